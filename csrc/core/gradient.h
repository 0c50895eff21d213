// The weights' gradients: transposed rows (inputs, states before, whatever was multiplied) times the panels of gradients
// that the backward steps wrote, over all real steps. Biases come along as a column of ones behind the inputs.
#pragma once
#include "forward.h"

namespace recurra {
namespace RECURRA_ISA {

template <class Cell>
struct WeightGradient {
    using V = typename Cell::V;
    using R = typename V::Real;
    static constexpr int W = V::width, P = 2 * W, M = Tile<V>::rows, ld = Tile<V>::ld;

    enum Kind { inputs, states, saved_rows };
    // Rows that were multiplied, `width` wide, then a one.
    struct Source {
        Kind kind;
        int64_t width;
        R* tiles;  // [tile][pair][rows of the tile]

        int64_t count() const { return width + 1; }
        int64_t tile_count() const { return (count() + M - 1) / M; }
        int tile_rows(int64_t tile) const { return count() - tile * M < M ? int(count() - tile * M) : M; }
    };
    // A product to do: a source times a slot's panels.
    struct Task {
        int source, slot;
        bool of_inputs;
        int64_t size(const Source* sources, const Columns<V>* bank) const {
            return sources[source].tile_count() * bank[Cell::bank_of(slot)].panels();
        }
    };

    const Shape<Cell>& shape;
    const recurra_call& call;
    const Plan& plan;
    const Columns<V>* bank;
    R* const* panels;
    R* kept = nullptr;  // see Cell::kept
    int sources = 0, tasks = 0;
    Source source[3];
    Task task[2 * Cell::slots];
    int64_t depth;  // pairs at a time

    WeightGradient(const Shape<Cell>& shape, R* const* panels)
        : shape(shape), call(shape.call), plan(shape.plan), bank(shape.bank), panels(panels) {
        add(inputs, call.I);
        add(states, call.R);
        if (Cell::saves_row(call)) add(saved_rows, call.H);
        int first = 0;
        for (int k = 0; k < Cell::banks; ++k) {
            bool x = false, h = false;
            for (int g = first; g < first + Cell::gates_of(k); ++g) {
                x |= call.d_gate[g].x || call.d_gate[g].x_bias || (call.d_gate[g].h_bias && Cell::joins_h_bias(k));
                h |= call.d_gate[g].h || (call.d_gate[g].h_bias && !Cell::joins_h_bias(k));
            }
            first += Cell::gates_of(k);
            if (x) task[tasks++] = {0, k, true};
            if (h) task[tasks++] = {Cell::multiplies_saved(k) ? 2 : 1, Cell::state_slot(k), false};
        }
        const int64_t bytes = (call.I + 2 * call.R + 3) * int64_t(sizeof(R));
        depth = (int64_t(12) << 20) / bytes;
        depth = depth < 512 ? 512 : depth;
        depth = plan.total < depth ? plan.total : depth;
    }

    void add(Kind kind, int64_t width) { source[sources++] = {kind, width, nullptr}; }

    void layout(Arena& arena) {
        for (int i = 0; i < sources; ++i) source[i].tiles = arena.take<R>(depth * source[i].count() + W);
    }

    const R* row(Kind kind, int64_t s, int64_t p) const {
        if (kind == inputs) return shape.template sequence_row<const R>(call.x, plan.time(p, s), plan.order[p]);
        return kind == saved_rows ? saved(s, p) + shape.row_at() : shape.before(0, s, p);
    }

    // Copies pairs [begin, end) of the rows into tiles; `from` is the first pair of the tiles.
    void pack_rows(Source& to, int64_t from, int64_t begin, int64_t end, int64_t pairs) {
        int64_t s = 0;
        while (s + 1 < plan.steps && plan.first[s + 1] <= begin) ++s;
        for (int64_t pair = begin; pair < end; ++pair) {
            while (pair - plan.first[s] >= plan.active[s]) ++s;
            const R* in = row(to.kind, s, pair - plan.first[s]);
            const int64_t full = to.width / M;
            for (int64_t tile = 0; tile < to.tile_count(); ++tile) {
                const int rows = to.tile_rows(tile);
                R* out = to.tiles + tile * M * pairs + (pair - from) * rows;
                if (tile < full && in)
                    std::memcpy(out, in + tile * M, M * sizeof(R));
                else
                    for (int r = 0; r < rows; ++r) {
                        const int64_t column = tile * M + r;
                        out[r] = column == to.width ? R(1) : in ? in[column] : R(0);
                    }
            }
        }
    }

    void run(const Team& team) {
        for (int64_t from = 0; from < plan.total; from += depth) {
            const int64_t pairs = plan.total - from < depth ? plan.total - from : depth;
            const Range mine = piece(pairs, 8, team.member(), team.members());
            for (int i = 0; i < sources; ++i) pack_rows(source[i], from, from + mine.begin, from + mine.end, pairs);
            team.sync_all();
            multiply(team, from, pairs);
            team.sync_all();
        }
        if (plan.total == 0 && team.member() == 0) clear();
    }

    void multiply(const Team& team, int64_t from, int64_t pairs) {
        int64_t total = 0;
        for (int t = 0; t < tasks; ++t) total += task[t].size(source, bank);
        const Range mine = piece(total, 1, team.member(), team.members());
        alignas(64) R sums[Tile<V>::size];
        int64_t done = 0;
        for (int t = 0; t < tasks; ++t) {
            const Source& rows = source[task[t].source];
            const Columns<V>& columns = bank[Cell::bank_of(task[t].slot)];
            const int64_t size = task[t].size(source, bank), tiles = rows.tile_count();
            const int64_t begin = mine.begin > done ? mine.begin - done : 0;
            const int64_t end = mine.end - done < size ? mine.end - done : size;
            for (int64_t i = begin; i < end; ++i) {
                const int64_t panel = i / tiles, tile = i % tiles;
                const int width = columns.panel_width(panel), count = rows.tile_rows(tile);
                const Factor<R> factor = {rows.tiles + tile * M * pairs, count, pairs,
                                          packed_lines<V>(panels[task[t].slot] + panel * P * plan.total + from * width, width)};
                micro_for<V, true>(count, width)(&factor, 1, {}, sums, ld);
                put(task[t], rows, columns, panel, tile, sums, from > 0);
            }
            done += size;
        }
    }

    // The gradients of one gate's pre-activations of a block, in the panels.
    struct GateRows {
        const R* d;
        int width;
        RECURRA_INLINE V of(int64_t pair, const Block<V>& b) const { return V::load(d + pair * width, b.valid); }
    };
    GateRows gate_rows(int slot, int gate, const Block<V>& b) const {
        const Columns<V>& columns = bank[Cell::bank_of(slot)];
        const int64_t column = columns.begin(b.index) + gate * columns.pitch(b.index), panel = column / P;
        return {panels[slot] + panel * P * plan.total + column % P, columns.panel_width(panel)};
    }

    // out[unit] = sum over all real steps and rows of term(s, p, pair), for weights that were multiplied unit by unit;
    // `begin(block)` gives the term of a block of units.
    template <class Begin>
    void per_unit(const Team& team, void* out, Begin&& begin) const {
        if (!out) return;
        const Range mine = piece(shape.units.blocks(), 1, team.member(), team.members());
        for (int64_t index = mine.begin; index < mine.end; ++index) {
            const Block<V> block = {index, index * W, shape.units.valid(index), 0, 0, nullptr};
            const auto term = begin(block);
            V sum = V::zero();
            for (int64_t s = 0, pair = 0; s < plan.steps; ++s)
                for (int64_t p = 0; p < plan.active[s]; ++p, ++pair) sum += term(s, p, pair);
            sum.store(static_cast<R*>(out) + block.unit, block.valid);
        }
    }

    // out[unit] = sum over the rows of the batch of what their backward steps added up in `kept`, from element `at` on.
    void per_row(const Team& team, void* out, int64_t at) const {
        if (!out) return;
        const Range mine = piece(shape.units.blocks(), 1, team.member(), team.members());
        for (int64_t index = mine.begin; index < mine.end; ++index) {
            V sum = V::zero();
            for (int64_t p = 0; p < call.B; ++p) sum += V::load(kept + p * Cell::kept(call) + at + index * W);
            sum.store(static_cast<R*>(out) + index * W, shape.units.valid(index));
        }
    }

    const R* saved(int64_t s, int64_t p) const { return shape.saved_of(s, p); }

    // The candidate's mask.
    V mask(int64_t s, int64_t p, const Block<V>& b) const {
        if (!call.mask.base) return V::all(1);
        return Step<Cell>::of(row_of<const R>(call.mask, plan.time(p, s), plan.order[p]), b);
    }

    // The memory before a step, of which a step saves its new one as vector `vector`.
    V memory_before(int64_t s, int64_t p, const Block<V>& b, int vector) const {
        const R* left = nullptr;
        const R* row = shape.before(1, s, p, &left);
        return left ? Step<Cell>::recall(left, b, vector) : Step<Cell>::of(row, b);
    }

    // Where a column of a bank belongs.
    struct Place {
        int64_t unit;
        int gate, lane, valid, pitch;
    };
    static Place place(const Columns<V>& columns, int64_t column) {
        int64_t block = column / (columns.gates * W);
        if (block >= columns.blocks()) block = columns.blocks() - 1;
        const int64_t within = column - columns.begin(block);
        const int pitch = columns.pitch(block);
        return {block * W, int(within / pitch), int(within % pitch), columns.valid(block), pitch};
    }

    // One tile of sums to where the gradients lie; `add` for all but the first pairs.
    void put(const Task& what, const Source& rows, const Columns<V>& columns, int64_t panel, int64_t tile, const R* sums,
             bool add) {
        const int which = Cell::bank_of(what.slot);
        const int first = Step<Cell>::first_gate(which);
        const int width = columns.panel_width(panel);
        const int count = rows.tile_rows(tile);
        for (int64_t v = 0; v < width;) {
            const Place at = place(columns, panel * P + v);
            const recurra_gate& to = call.d_gate[first + at.gate];
            R* base = static_cast<R*>(what.of_inputs ? to.x : to.h);
            const int64_t row_stride = what.of_inputs ? to.x_row : to.h_row;
            const int64_t unit_stride = what.of_inputs ? to.x_unit : to.h_unit;
            const int64_t top = tile * M, real = rows.width - top < count ? rows.width - top : count;
            if (base) {
                base += top * row_stride + at.unit * unit_stride;
                if (unit_stride == 1)
                    for (int64_t r = 0; r < real; ++r) {
                        V sum = V::load(sums + r * ld + v);
                        if (add) sum += V::load(base + r * row_stride, at.valid);
                        sum.store(base + r * row_stride, at.valid);
                    }
                else
                    for (int u = 0; u < at.valid; ++u)
                        for (int64_t r = 0; r < real; ++r) {
                            R& out = base[r * row_stride + u * unit_stride];
                            out = sums[r * ld + v + u] + (add ? out : R(0));
                        }
            }
            if (real < count) {
                const bool joined = Cell::joins_h_bias(which);
                if (what.of_inputs) put_bias(to.x_bias, at, sums + real * ld + v, add);
                if (what.of_inputs == joined) put_bias(to.h_bias, at, sums + real * ld + v, add);
            }
            v += at.pitch;
        }
    }

    static void put_bias(void* bias, const Place& at, const R* sums, bool add) {
        if (!bias) return;
        R* out = static_cast<R*>(bias) + at.unit;
        for (int u = 0; u < at.valid; ++u) out[u] = sums[u] + (add ? out[u] : R(0));
    }

    // No step was run: the gradients are zeros.
    void clear() {
        int gate = 0;
        for (int k = 0; k < Cell::banks; ++k)
            for (int g = 0; g < Cell::gates_of(k); ++g, ++gate) {
            const recurra_gate& to = call.d_gate[gate];
            const auto zero = [&](void* p, int64_t rows, int64_t row, int64_t unit) {
                if (p)
                    for (int64_t r = 0; r < rows; ++r)
                        for (int64_t u = 0; u < bank[k].units; ++u) static_cast<R*>(p)[r * row + u * unit] = 0;
            };
            zero(to.x, call.I, to.x_row, to.x_unit);
            zero(to.h, shape.depth[k], to.h_row, to.h_unit);
            zero(to.x_bias, 1, 0, 1);
            zero(to.h_bias, 1, 0, 1);
        }
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
