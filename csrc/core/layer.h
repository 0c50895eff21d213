// What forward and backward of every cell share: sizes, packed weights, the cut into threads, and the view of one step
// that a cell's equations see.
//
// A cell is a policy struct (lstm.cpp, gru.cpp, rnn.cpp) that names its banks of gates and states its two equations,
// forward(Step&) and backward(Step&). Vocabulary:
//   bank   gates multiplied together, with packed weights of their own (LSTM one of 4, GRU gates 2 + candidate 1)
//   slot   gradients of a bank's pre-activations; one per bank, but GRU "after" has two for its candidate: the
//          gradient before the reset gate belongs to the input, the one behind it to the state
//   saved  vectors per block of units that forward keeps for backward, in the call's reserve
//   pair   one row at one step
//   kept   elements per pair that the backward steps leave for the cell's own `sum_units`
#pragma once
#include "direct.h"
#include "draw.h"
#include "math.h"
#include "memory.h"
#include "plan.h"
#include "product.h"

namespace recurra {
namespace RECURRA_ISA {

// Rows at a stride.
template <class R>
struct Matrix {
    R* p = nullptr;
    int64_t ld = 0;
    R* row(int64_t r) const { return p + r * ld; }
};

template <class R>
inline R* row_of(const recurra_rows& rows, int64_t t, int64_t b) {
    return static_cast<R*>(rows.base) + t * rows.t_stride + b * rows.b_stride;
}

// How the rows of a batch, longest first, are dealt to groups. Rows of equal lengths are cut into pieces that lie side by
// side: two threads then write to different lines. Of unequal ones every group gets long and short rows: they are dealt in
// rounds, every other the other way, or the first group would have the longer row of all of them.
struct Dealing {
    int64_t batch;
    int groups;
    bool equal;  // lengths

    // One group's rows.
    struct Hand {
        int64_t begin;
        int groups, group;
        bool equal;

        int64_t position(int64_t i) const { return equal ? begin + i : i * groups + turn(i, groups, group); }
    };
    Hand hand(int group) const { return {equal ? piece(batch, 1, group, groups).begin : 0, groups, group, equal}; }

    // Whose turn it is, or which one, in a round.
    static int64_t turn(int64_t round, int groups, int64_t group) { return round % 2 == 1 ? groups - 1 - group : group; }

    // How many of the first `rows` rows are a group's.
    int64_t count(int64_t rows, int group) const {
        if (equal) {
            const Range own = piece(batch, 1, group, groups);
            return own.end - own.begin;
        }
        const int64_t rounds = rows / groups;
        return rounds + (turn(rounds, groups, group) < rows % groups);
    }
};

template <class R>
inline bool zeros(const R* row, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
        if (row[i] != 0) return false;
    return true;
}

// A row length that leaves a vector of slack and does not fall onto the same cache sets row after row.
template <class V>
inline int64_t padded(int64_t n) {
    const int64_t ld = (n + V::width - 1) / V::width * V::width + V::width;
    return ld % 512 == 0 ? ld + V::width : ld;
}

// What is so in most cells; a cell hides what it does otherwise.
template <class V_>
struct CellBase {
    using V = V_;
    using R = typename V::Real;
    static constexpr int states = 1, banks = 1, input_banks = 1, slots = 1, work = 0;
    static constexpr bool whole_rows = false;  // a row's units may not be split among threads
    static constexpr int bank_of(int slot) { return slot; }
    static constexpr int state_slot(int bank) { return bank; }
    static constexpr bool multiplies_saved(int) { return false; }
    static constexpr bool joins_h_bias(int) { return true; }
    static constexpr bool joins_inputs = true;  // what all banks want of the input is added to their products with the state
    static double constant(const recurra_call&, int, int) { return 0; }
    // Units of a bank, and the width of what its recurrent weights multiply. Only the first `input_banks` see the input.
    static int64_t units_of(const recurra_call& call, int) { return call.H; }
    static int64_t depth_of(const recurra_call& call, int) { return call.R; }
    static int64_t work_width(const recurra_call& call, int) { return call.H; }
    // Whether a saved row holds one more row of H units that was multiplied; further elements of it; `kept`.
    static bool saves_row(const recurra_call&) { return false; }
    static int64_t extra(const recurra_call&) { return 0; }
    static int64_t kept(const recurra_call&) { return 0; }
    // Gradients of parameters that belong to single units, [H], are sums over steps and rows: how many there are, where
    // they go (null: not wanted), and the sums of a slice of steps, which sum_units(gradient, slice, block, sums) adds to.
    static constexpr int unit_sums = 0;
    static void* unit_gradient(const recurra_call&, int) { return nullptr; }
    template <class Gradient, class Slice>
    void sum_units(const Gradient&, const Slice&, const Block<V>&, V*) const {}
};

// One step of the rows of one group, as a cell's equations see it.
template <class Cell>
struct Step {
    using V = typename Cell::V;
    using R = typename V::Real;
    static constexpr int W = V::width;

    int64_t rows;             // running now
    const Columns<V>* bank;   // [banks]
    const int64_t* depth;     // [banks] rows of a bank's recurrent weights
    const int64_t* bank_at;   // [slots] first column of a bank, or slot, within a row of all of them
    const Panels<R>* weights; // [banks] recurrent weights (backward: transposed)
    const Panels<R>* input_weights;  // forward: [banks], multiplied in the steps' products; null: before
    Matrix<const R> x;               // the inputs for them
    int64_t x_depth;
    const R* bias;
    bool drops_zeros;         // forward: a product of nothing but zeros may be left out
    const recurra_gate* raw;  // forward: the gates' weights where they lie, to be read from there; null: packed
    Matrix<R> h, h_next, c;   // states; in backward their gradients, with h_next unused
    Matrix<R> gates;          // forward: the projected inputs; backward: gradients of the pre-activations
    Matrix<R> pairs_of;       // forward, where operands are pairs: the operand's rows so
    Matrix<R> work[2];        // for the cell's own use, kept through a step
    R* const* saved;          // per row, or null
    R* const* out;            // forward: output rows; backward: gradients of the outputs (null: zeros)
    const R* const* h_before;       // backward: the state before the step (null: zeros)
    const R* const* c_before;
    const R* const* c_saved_before; // backward: the saved values of the step before, or null at a row's first step
    R* const* panels;         // backward: [slots] gradients once more, as panels over all steps
    const int64_t* pair;      // backward: index of each row's (step, row) pair in them
    int64_t pairs;            // backward: how many there are
    R* kept;                  // backward: [pairs][kept_row], see Cell::kept
    int64_t kept_row;
    int64_t row_at, extra_at;  // where a saved row keeps the row that was multiplied, and Cell::extra
    int64_t h_row_at;          // where a saved row keeps the mixed h; 0: it does not, the outputs are the states
    // Mixing, see recurra_mix: rows of coefficients of h, c and the output; null where nothing is mixed.
    const R* const* fresh[3];
    const R* const* old[3];
    const R* const* mask;  // rows of recurra_call::mask, or null
    const Team* team;

    void sync() const { team->sync_group(); }
    static constexpr int first_gate(int which) {
        int first = 0;
        for (int k = 0; k < which; ++k) first += Cell::gates_of(k);
        return first;
    }

    // This part's blocks of some columns.
    Range mine(const Columns<V>& columns) const {
        return team->parts == 1 ? Range{0, columns.blocks()} : piece(columns.blocks(), 2, team->part, team->parts);
    }

    // epilogue(row, block) of sum_k h(row, k) * weights(bank), or of that and what the bank gets from the inputs.
    template <int GATES, class Epilogue>
    RECURRA_INLINE void multiply(int which, Matrix<R> h, Epilogue&& epilogue) const {
        multiply_from<GATES>(which, h, {}, false, epilogue);
    }
    template <int GATES, class Epilogue>
    RECURRA_INLINE void multiply_with_inputs(int which, Matrix<R> h, Epilogue&& epilogue) const {
        const bool joined = Cell::joins_inputs && input_weights;
        multiply_from<GATES>(which, h, joined ? Start<R>{bias + bank_at[which], 0} : inputs(which), joined, epilogue);
    }

    template <int GATES, class Epilogue>
    RECURRA_INLINE void multiply_from(int which, Matrix<R> h, Start<R> start, bool joined, Epilogue&& epilogue) const {
        if (raw) {
            const recurra_gate* gate = raw + first_gate(which);
            const R* at[GATES];
            for (int g = 0; g < GATES; ++g) at[g] = static_cast<const R*>(gate[g].h);
            direct_product<V, GATES>(h.p, h.ld, rows, depth[which], at, gate->h_row, bank[which], mine(bank[which]), start, epilogue);
            return;
        }
        const int states = drops_zeros && all_zeros(h, depth[which]) ? 0 : 1;
        if (halves && states) {
            for (int64_t r = 0; r < rows; ++r) narrow<V>(h.row(r), depth[which], pairs_of.row(r));
            h = pairs_of;
        }
        const Term<R> state = {h.p, h.ld, packed_rows(depth[which]), weights[which]};
        const Term<R> terms[] = {joined ? Term<R>{x.p, x.ld, x_depth, input_weights[which]} : state, state};
        product<V, GATES>({terms, joined + states}, rows, bank[which], mine(bank[which]), start, epilogue);
    }
    bool all_zeros(Matrix<R> h, int64_t columns) const {
        for (int64_t r = 0; r < rows; ++r)
            if (!zeros(h.row(r), columns)) return false;
        return true;
    }

    // --- forward -----------------------------------------------------------------------------------------------
    // The projected inputs of a bank, for the sums of its product to begin with.
    RECURRA_INLINE Start<R> inputs(int which) const { return {gates.p + bank_at[which], gates.ld}; }
    static RECURRA_INLINE V at(Matrix<R> m, int64_t r, const Block<V>& b) { return V::load(m.row(r) + b.unit); }
    static RECURRA_INLINE void put(Matrix<R> m, int64_t r, const Block<V>& b, V x) { x.store(m.row(r) + b.unit); }

    // The new h: what the state keeps of it, and what goes out.
    RECURRA_INLINE void put_output(int64_t r, const Block<V>& b, V x) const {
        if (h_row_at) {
            const V before = at(h, r, b), state = mixed(0, r, b, x, before);
            put(h_next, r, b, state);
            if (saved) state.store(saved[r] + h_row_at + b.unit);
            mixed(2, r, b, x, before).store(out[r] + b.unit, b.valid);
            return;
        }
        const V state = mixes_h() ? mixed(0, r, b, x, at(h, r, b)) : x;
        put(h_next, r, b, state);
        state.store(out[r] + b.unit, b.valid);
    }
    RECURRA_INLINE bool mixes_h() const { return fresh[0] || old[0]; }

    // fresh * x + old * before of state `which`.
    RECURRA_INLINE V mixed(int which, int64_t r, const Block<V>& b, V x, V before) const {
        const R *const *f = fresh[which], *const *o = old[which];
        if (!f && !o) return x;
        if (!o) return of(f[r], b) * x;
        const V keep = of(o[r], b);
        return keep * before + (f ? of(f[r], b) : 1 - keep) * x;
    }

    template <int N>
    RECURRA_INLINE void save(int64_t r, const Block<V>& b, const V (&values)[N]) const {
        if (!saved) return;
        R* p = saved[r] + b.index * (Cell::saved * W);
        for (int i = 0; i < N; ++i) values[i].store(p + i * W);
    }
    RECURRA_INLINE void save_one(int64_t r, const Block<V>& b, int i, V x) const {
        if (saved) x.store(saved[r] + b.index * (Cell::saved * W) + i * W);
    }
    // A whole row of units, needed as a matrix by the weights' gradient.
    RECURRA_INLINE void save_row(int64_t r, const Block<V>& b, V x) const {
        if (saved) x.store(saved[r] + row_at + b.unit);
    }

    // --- backward ----------------------------------------------------------------------------------------------
    static RECURRA_INLINE V recall(const R* row, const Block<V>& b, int i) {
        return V::load(row + b.index * (Cell::saved * W) + i * W);
    }
    // A block of a row of somebody's tensor, of which only the real units may be touched.
    static RECURRA_INLINE V of(const R* row, const Block<V>& b) {
        return row ? V::load(row + b.unit, b.valid) : V::zero();
    }

    // The gradient of the new h, from the state's and the output's; what goes past the step into the old h waits in `h`.
    RECURRA_INLINE V d_output(int64_t r, const Block<V>& b) const {
        const V state = at(h, r, b), output = of(out[r], b);
        if (!h_row_at && !mixes_h()) return state + output;
        V d = V::zero(), past = V::zero();
        unmix(0, r, b, h_row_at ? state : state + output, d, past);
        if (h_row_at) unmix(2, r, b, output, d, past);
        put(h, r, b, past);
        return d;
    }
    // Adds a mixture's gradient `g` to those of the new and of the old value.
    RECURRA_INLINE void unmix(int which, int64_t r, const Block<V>& b, V g, V& d, V& past) const {
        const R *const *f = fresh[which], *const *o = old[which];
        if (!f && !o) {
            d += g;
            return;
        }
        const V keep = o ? of(o[r], b) : V::zero();
        d += (f ? of(f[r], b) : 1 - keep) * g;
        past += keep * g;
    }
    // What d_output left for the old h.
    RECURRA_INLINE V past_h(int64_t r, const Block<V>& b) const { return h_row_at || mixes_h() ? at(h, r, b) : V::zero(); }

    // The block `index` of a bank's units, outside of a product.
    RECURRA_INLINE Block<V> block(int which, int64_t index) const {
        return {index, index * W, bank[which].valid(index), 0, 0, nullptr};
    }

    // body(row, block) for all rows and this part's blocks of a bank's units: what a row reads lies in one piece.
    template <class Body>
    RECURRA_INLINE void each(int which, Body&& body) const {
        const Range blocks = mine(bank[which]);
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t index = blocks.begin; index < blocks.end; ++index) body(r, block(which, index));
    }

    // Stores one block's gate gradients in slot `slot` of bank `which`: as a row, and as panels.
    template <int N>
    RECURRA_INLINE void put_gates(int slot, int which, int64_t r, const Block<V>& b, const V (&d)[N]) const {
        const Columns<V>& columns = bank[which];
        const int64_t begin = columns.begin(b.index);
        const int pitch = columns.pitch(b.index);
        R* row = gates.row(r) + bank_at[slot] + begin;
        for (int g = 0; g < N; ++g) d[g].first(b.valid).store(row + g * pitch);
        for (int64_t column = 0; column < N * pitch; column += W) {
            const int64_t panel = (begin + column) / (2 * W);
            const int width = columns.panel_width(panel);
            V::load(row + column).store(panels[slot] + panel * 2 * W * pairs + pair[r] * width + (begin + column) % (2 * W));
        }
    }

    // epilogue(row, block) of sum over slots of gradient * transposed weights: what flows back into h.
    template <int TERMS, class Epilogue>
    RECURRA_INLINE void multiply_back(const int (&slots)[TERMS], const Columns<V>& plain, Epilogue&& epilogue) const {
        Term<R> terms[TERMS];
        for (int t = 0; t < TERMS; ++t) {
            const int which = Cell::bank_of(slots[t]);
            terms[t] = {gates.p + bank_at[slots[t]], gates.ld, bank[which].transposed_rows(), weights[which]};
        }
        product<V, 1>({terms}, rows, plain, mine(plain), {}, epilogue);
    }
};

// Sizes and threads of a call.
template <class Cell>
struct Shape {
    using V = typename Cell::V;
    using R = typename V::Real;
    static constexpr int W = V::width;

    const recurra_call& call;
    const Plan& plan;
    int groups = 1, parts = 1;
    Columns<V> bank[Cell::banks];
    int64_t depth[Cell::banks];
    Columns<V> units, outputs;  // of one plain gate, [H], and of h, [R]
    int64_t group_rows, chunk_rows;

    // Bytes of recurrent weights that the last cache holds beside the rest.
    static constexpr double last_cache = halves ? 56e6 : 28e6;

    Shape(const recurra_call& call, const Plan& plan) : call(call), plan(plan) {
        for (int k = 0; k < Cell::banks; ++k) {
            bank[k] = {Cell::gates_of(k), Cell::units_of(call, k)};
            depth[k] = Cell::depth_of(call, k);
        }
        units = {1, call.H};
        outputs = {1, call.R};
        cut();
        group_rows = (call.B + groups - 1) / groups;
        // Projecting several steps at once fills the register tiles and reads the input weights less often.
        const int64_t target = 5 * Tile<V>::rows;
        chunk_rows = group_rows >= target ? group_rows : (target / (group_rows ? group_rows : 1)) * group_rows;
    }

    // Rows per thread for the whole sequence where there are enough of them, and the recurrent weights stay in the last
    // cache; otherwise hidden units per thread, which meet after every product.
    void cut() {
        const int threads = int(call.threads);
        const int64_t blocks = units.blocks();
        const double weights = recurrent_weights();
        const bool large = weights * sizeof(R) > last_cache && call.B < 64;
        const bool few = call.B < 2 * threads;
        // What repays the meetings; a single row cannot be shared otherwise.
        const double enough = call.B == 1 ? 12e3 : 30e3;
        // A single step is over before a second thread has come, unless it reads megabytes.
        const bool short_step = plan.steps <= 1 && weights * sizeof(R) < 4e6 && call.B < 4;
        if (threads <= 1 || short_step) return;
        if ((few || large) && !Cell::whole_rows && weights * call.B > enough && blocks >= 4)
            parts = int(threads < blocks / 2 ? threads : blocks / 2);
        else
            groups = int(threads < call.B ? threads : call.B);
    }

    double recurrent_weights() const {
        double count = 0;
        for (int k = 0; k < Cell::banks; ++k) count += double(bank[k].gates) * double(bank[k].units * depth[k]);
        return count;
    }
    // Of a forward pass.
    double weight_bytes() const {
        double count = recurrent_weights();
        for (int k = 0; k < Cell::input_banks; ++k) count += double(bank[k].gates) * double(bank[k].units * call.I);
        return count * sizeof(R);
    }

    // How often weights of so many bytes are packed: lines that another core has written are slow to read, so that little
    // is packed by each group for itself.
    int copies_of(size_t bytes) const { return much(groups * bytes) ? 1 : groups; }
    // Of weights that are packed: no second-level cache holds them.
    static bool much(size_t bytes) { return bytes > size_t(4) << 20; }

    bool equal_lengths() const { return !call.lengths && !plan.packed; }
    Dealing dealing() const { return {call.B, groups, equal_lengths()}; }
    int64_t position(int64_t i, int group) const { return dealing().hand(group).position(i); }
    int64_t local_rows(int64_t step, int group) const {
        return step >= plan.steps ? 0 : dealing().count(plan.active[step], group);
    }
    int64_t all_rows(int group) const { return dealing().count(call.B, group); }

    // A part's share of a bank: whole pairs of blocks, so that every bank and the plain products are cut alike.
    static Range own_blocks(const Team& team, const Columns<V>& columns) {
        return piece(columns.blocks(), 2, team.part, team.parts);
    }
    // The same as elements of a row.
    static Range own_elements(const Team& team, const Columns<V>& columns) {
        const Range own = own_blocks(team, columns);
        return {own.begin * W, own.end * W < columns.units ? own.end * W : columns.units};
    }

    // The last step (exclusive) of a chunk that begins at `begin`.
    int64_t chunk_end(int64_t begin, int group) const {
        int64_t rows = 0, end = begin;
        while (end < plan.steps && (end == begin || rows + local_rows(end, group) <= chunk_rows)) rows += local_rows(end++, group);
        return end;
    }

    bool mixes() const {
        for (const recurra_mix& mix : call.mix)
            if (mix.fresh.base || mix.old.base) return true;
        return false;
    }
    // A saved row: vectors of each block, a row that was multiplied, the mixed h, what else the cell wants.
    int64_t row_at() const { return units.blocks() * W * Cell::saved; }
    int64_t behind_row() const { return row_at() + (Cell::saves_row(call) ? units.blocks() * W : 0); }
    int64_t h_row_at() const { return call.output_is_state ? 0 : behind_row(); }
    int64_t extra_at() const { return behind_row() + (call.output_is_state ? 0 : outputs.blocks() * W); }
    int64_t saved_row() const { return extra_at() + Cell::extra(call); }
    R* saved_of(int64_t s, int64_t p) const { return static_cast<R*>(call.reserve) + (plan.first[s] + p) * saved_row(); }

    // What a step is told once for all steps.
    void prepare(Step<Cell>& step) const {
        step.bank = bank;
        step.depth = depth;
        step.row_at = row_at();
        step.extra_at = extra_at();
        step.h_row_at = h_row_at();
    }

    static bool drawn(const recurra_rows& rows) { return rows.base && rows.b_stride < 0; }
    // Coefficients that a thread draws for a step of its rows.
    int64_t drawn_rows() const {
        int64_t masks = 0;
        for (const recurra_mix& mix : call.mix) masks += drawn(mix.fresh) + drawn(mix.old);
        return masks * group_rows;
    }
    int64_t drawn_width() const { return call.R < call.H ? call.H : call.R; }

    // Pointers that a thread holds for the mixtures and the mask of its rows.
    int64_t mask_pointers() const { return mixes() || call.mask.base ? 7 * group_rows : 0; }
    // Points them at step s.
    void point_masks(Step<Cell>& step, const R** pointers, Matrix<R> room, int64_t s, int group) const {
        if (!mask_pointers()) return;
        const auto point = [&](const recurra_rows& from, int64_t width) -> const R* const* {
            if (!from.base) return nullptr;
            const R** rows = pointers;
            pointers += group_rows;
            for (int64_t i = 0; i < step.rows; ++i) {
                const int64_t p = position(i, group), t = plan.time(p, s), b = plan.order[p];
                rows[i] = drawn(from) ? draw(from, t * call.B + b, room.row(i), width) : row_of<const R>(from, t, b);
            }
            if (drawn(from)) room.p = room.row(group_rows);
            return rows;
        };
        const int mixtures = call.output_is_state ? 2 : 3;
        for (int which = 0; which < mixtures; ++which) {
            const int64_t width = which == 1 ? call.H : call.R;
            step.fresh[which] = point(call.mix[which].fresh, width);
            step.old[which] = point(call.mix[which].old, width);
        }
        step.mask = point(call.mask, call.H);
    }

    static const R* draw(const recurra_rows& from, int64_t row, R* out, int64_t width) {
        const auto& what = *static_cast<const recurra_drawn*>(from.base);
        if constexpr (sizeof(R) == sizeof(float))
            draw_row(out, width, uint32_t(what.limit), float(what.value), what.seed, uint64_t(row));
        return out;
    }

    // Row b at time t of the inputs, the outputs, all states, or a gradient of these.
    template <class A>
    A* sequence_row(const recurra_rows& rows, int64_t t, int64_t b) const {
        return plan.packed ? row_of<A>(rows, 0, plan.first[t] + b) : row_of<A>(rows, t, b);
    }

    // Whether row b starts anew before time t.
    bool restarts(int64_t t, int64_t b) const {
        return call.resets.base && *row_of<const uint8_t>(call.resets, t, b) != 0;
    }
    // The state that step s of position p started from: `which` 0 is h, 1 is c. Null: zeros. Of a c that a step left
    // behind, null too, and `saved` is that step's saved row.
    const R* before(int which, int64_t s, int64_t p, const R** saved = nullptr) const {
        const int64_t b = plan.order[p];
        const bool anew = restarts(plan.time(p, s), b);
        if (s == 0 || anew) {
            const recurra_rows& from = anew ? call.restart[which] : call.initial[which];
            return from.base ? row_of<const R>(from, 0, b) : nullptr;
        }
        if (which == 1) {
            *saved = saved_of(s - 1, p);
            return nullptr;
        }
        const int64_t mixed = h_row_at();
        return mixed ? saved_of(s - 1, p) + mixed : sequence_row<const R>(call.out, plan.time(p, s - 1), b);
    }

    const recurra_gate& gate(int which, int g) const { return call.gate[Step<Cell>::first_gate(which) + g]; }

    // Whether all weights have their units side by side, the gates of a bank at one row stride.
    bool units_side_by_side() const {
        for (int k = 0; k < Cell::banks; ++k)
            for (int g = 0; bank[k].units && g < bank[k].gates; ++g) {
                const recurra_gate &one = gate(k, g), &first = gate(k, 0);
                if (one.h_unit != 1 || one.h_row != first.h_row) return false;
                if (k < Cell::input_banks && (one.x_unit != 1 || one.x_row != first.x_row)) return false;
            }
        return true;
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
