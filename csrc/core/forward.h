// A sequence forward: pack, project the inputs of some steps at once, run those steps, and so on.
#pragma once
#include "layer.h"

namespace recurra {
namespace RECURRA_ISA {

template <class Cell>
struct Forward : Shape<Cell> {
    using Base = Shape<Cell>;
    using typename Base::R;
    using typename Base::V;
    using Base::bank;
    using Base::call;
    using Base::plan;
    static constexpr int W = V::width, P = 2 * W;

    // Of one group of rows.
    struct Group {
        Matrix<R> x, inputs, h[2], c, work[2];
    };
    // Of one thread.
    struct Thread {
        R **out, **saved;
        const R** masks;
        Matrix<R> drawn, pairs;
    };

    // As the products read them, with the bias in the banks' order. 0 times the recurrent ones, a sum for each share.
    struct Weights {
        Panels<R> inputs[Cell::banks], states[Cell::banks];
        R *bias, *zero;
    };

    const bool alone;  // packing is all that is wanted, or was done before
    Weights* weights;  // [copies]
    int copies = 1;    // one for each group, or one for all
    const R *input_gate[5], *state_gate[5];
    int64_t bank_at[Cell::banks + 1];
    Group* group;
    Thread* thread;
    bool raw_inputs, raw_states;  // read these weights where they lie, a row at a time
    bool in_place;                // and these: all but the last units'
    bool large = false;           // what is packed goes to memory, past the caches
    bool joined;                  // inputs and states are multiplied in one product, step by step
    bool from_zeros;              // the first step's product with the states is left out, if that is what zeros give

    // Weights too large to be read where they lie.
    static constexpr double most_in_place = 3e6;

    // A call that is there to pack its weights has no plan.
    Forward(const recurra_call& call, const Plan& plan, bool to_pack = false)
        : Base(call, plan), alone(to_pack || call.packed) {
        const bool readable = !halves && !alone && this->units_side_by_side();
        raw_inputs = readable && plan.total < 4;
        raw_states = readable && (plan.total < 4 || call.B == 1);
        // What packing costs, fewer steps than these do not repay; but rows of far larger weights lie on too many pages.
        in_place = readable && plan.steps <= 64 && this->weight_bytes() <= most_in_place;
        joined = joins_inputs();
        from_zeros = to_pack || (!raw_states && begins_with_zeros());
        for (int g = 0; g < 5; ++g) {
            input_gate[g] = static_cast<const R*>(call.gate[g].x);
            state_gate[g] = static_cast<const R*>(call.gate[g].h);
        }
        bank_at[0] = 0;
        for (int k = 0; k < Cell::banks; ++k) bank_at[k + 1] = bank_at[k] + (k < Cell::input_banks ? bank[k].count() + W : 0);
        if (alone) return;
        Arena count;
        lay_weights(count);
        copies = this->copies_of(count.used());
        large = !halves && count.used() > size_t(2) << 20;
    }

    Weights lay_weights(Arena& arena) const {
        Weights laid;
        for (int k = 0; k < Cell::banks; ++k) {
            const auto lay = [&](bool wanted, int64_t rows, const R* const* gates, int64_t row) {
                const int64_t from = first_packed(k);
                Panels<R> panels(arena.take<R>(wanted ? (bank[k].count() - bank[k].begin(from)) * packed_rows(rows) : 0));
                panels.in_place = bank[k].begin(from) / P;
                panels.gate = gates + Step<Cell>::first_gate(k);
                panels.row = row;
                return panels;
            };
            const recurra_gate& gate = this->gate(k, 0);
            laid.inputs[k] = lay(!raw_inputs && k < Cell::input_banks, call.I, input_gate, gate.x_row);
            laid.states[k] = lay(!raw_states, this->depth[k], state_gate, gate.h_row);
        }
        laid.bias = arena.take<R>(bank_at[Cell::banks] + W);
        laid.zero = arena.take<R>(shares());
        return laid;
    }
    // How many members pack weights that all read.
    int shares() const { return alone ? 1 : this->groups * this->parts; }

    bool begins_with_zeros() const {
        if (call.resets.base) return false;
        for (int64_t b = 0; call.initial[0].base && b < call.B; ++b)
            if (!zeros(row_of<const R>(call.initial[0], 0, b), call.R)) return false;
        return true;
    }

    // One product for both saves storing and loading sums. Not where a step's rows fill no tile, nor where the weights
    // come out of the third-level cache in every step (the bound is measured: a little above the second level's size).
    bool joins_inputs() const {
        if (!Cell::joins_inputs || halves || raw_inputs || raw_states) return false;
        return 2 * this->group_rows > Tile<V>::rows && this->weight_bytes() <= 1.6e6;
    }

    // The first block of a bank that has to be packed.
    int64_t first_packed(int k) const { return in_place ? bank[k].whole_blocks() : 0; }

    void layout(Arena& arena) {
        weights = arena.take<Weights>(copies);
        Arena packed(const_cast<void*>(call.packed));
        for (int i = 0; i < copies; ++i) {
            const Weights laid = lay_weights(call.packed ? packed : arena);
            if (weights) weights[i] = laid;
        }
        group = arena.take<Group>(this->groups);
        thread = arena.take<Thread>(this->groups * this->parts);
        const auto matrix = [&](int64_t rows, int64_t columns) {
            const int64_t ld = padded<V>(columns);
            return Matrix<R>{arena.take<R>(rows * ld), ld};
        };
        for (int g = 0; g < this->groups; ++g) {
            const int64_t rows = this->group_rows;
            Group laid;
            laid.x = matrix(this->chunk_rows, call.I);
            laid.inputs = matrix(this->chunk_rows, bank_at[Cell::banks]);
            for (auto& h : laid.h) h = matrix(rows, call.R);
            if (Cell::states > 1) laid.c = matrix(rows, call.H);
            for (int i = 0; i < Cell::work; ++i) laid.work[i] = matrix(rows, Cell::work_width(call, i));
            if (group) group[g] = laid;
        }
        for (int m = 0; m < this->groups * this->parts; ++m) {
            Thread laid = {arena.take<R*>(this->group_rows), arena.take<R*>(this->group_rows),
                           arena.take<const R*>(this->mask_pointers()),
                           matrix(this->drawn_rows(), this->drawn_width()),
                           matrix(halves ? this->group_rows : 0, call.R < call.H ? call.H : call.R)};
            if (thread) thread[m] = laid;
        }
    }

    const Weights& weights_of(const Team& team) const { return weights[copies > 1 ? team.group : 0]; }

    // A share of the weights.
    void pack_weights(const Weights& to, int member, int members) const {
        to.zero[member] = 0;
        for (int k = 0; k < Cell::banks; ++k) {
            const Range mine = piece(bank[k].blocks(), 2, member, members);
            const int64_t packed = first_packed(k), from = mine.begin < packed ? packed : mine.begin;
            const int64_t at = bank[k].begin(from) - bank[k].begin(packed);
            Strided<R> x[4], h[4];
            for (int g = 0; g < bank[k].gates; ++g) {
                const recurra_gate& gate = this->gate(k, g);
                x[g] = {static_cast<const R*>(gate.x), gate.x_row, gate.x_unit};
                h[g] = {static_cast<const R*>(gate.h), gate.h_row, gate.h_unit};
            }
            const auto lay = [&](const Strided<R>* gates, int64_t rows, const Panels<R>& panels) {
                if (from >= mine.end) return R(0);
                R* to = panels.packed + at * packed_rows(rows);
                return large ? pack<V, true>(gates, rows, bank[k], from, mine.end, to)
                             : pack_pairs<V>(gates, rows, bank[k], from, mine.end, to);
            };
            if (!raw_states) to.zero[member] += lay(h, this->depth[k], to.states[k]);
            const int64_t unit = mine.begin * W, in_place = (packed < mine.end ? packed : mine.end) * W - unit;
            for (int g = 0; from_zeros && in_place > 0 && g < bank[k].gates; ++g)
                to.zero[member] += zero_times<V>(h[g].p + unit, h[g].row, this->depth[k], in_place);
            if (k >= Cell::input_banks) continue;
            if (!raw_inputs) lay(x, call.I, to.inputs[k]);
            for (int64_t b = mine.begin; b < mine.end; ++b) pack_bias(to.bias, k, b);
        }
    }

    void pack_bias(R* bias, int k, int64_t b) const {
        const int valid = bank[k].valid(b);
        for (int g = 0; g < bank[k].gates; ++g) {
            const recurra_gate& gate = this->gate(k, g);
            V sum = V::all(R(Cell::constant(call, k, g)));
            if (gate.x_bias) sum += V::load(static_cast<const R*>(gate.x_bias) + b * W, valid);
            if (gate.h_bias && Cell::joins_h_bias(k)) sum += V::load(static_cast<const R*>(gate.h_bias) + b * W, valid);
            sum.store(bias + bank_at[k] + bank[k].begin(b) + g * bank[k].pitch(b));
        }
    }

    // The inputs of step s, where they lie if their rows do so evenly.
    Matrix<const R> inputs_of(Group& at, const Team& team, int g, int64_t s, int64_t rows) {
        const auto row = [&](int64_t i) {
            const int64_t p = this->position(i, g);
            return this->template sequence_row<const R>(call.x, plan.time(p, s), plan.order[p]);
        };
        const bool evenly = this->equal_lengths() || (plan.packed && !plan.reverse && this->groups == 1);
        if (evenly) return {row(0), call.x.b_stride};
        for (int64_t i = team.part; i < rows; i += team.parts) std::memcpy(at.x.row(i), row(i), call.I * sizeof(R));
        team.sync_group();
        return {at.x.p, at.x.ld};
    }

    // inputs = x * input weights + bias for the real steps [begin, end) of the group's rows, this part's units.
    void project(Group& at, const Weights& from, const Team& team, int g, int64_t begin, int64_t end) {
        int64_t rows = 0;
        for (int64_t s = begin; s < end; ++s)
            for (int64_t i = 0; i < this->local_rows(s, g); ++i, ++rows) {
                if (rows % team.parts != team.part) continue;
                const int64_t p = this->position(i, g);
                narrow<V>(this->template sequence_row<const R>(call.x, plan.time(p, s), plan.order[p]), call.I, at.x.row(rows));
            }
        team.sync_group();
        for (int k = 0; k < Cell::input_banks; ++k) {
            const Columns<V>& columns = bank[k];
            const Range own = this->own_blocks(team, columns);
            if (raw_inputs) {
                if (columns.gates == 4) project_raw<4>(at, from, k, rows, own);
                if (columns.gates == 3) project_raw<3>(at, from, k, rows, own);
                if (columns.gates == 2) project_raw<2>(at, from, k, rows, own);
                if (columns.gates == 1) project_raw<1>(at, from, k, rows, own);
                continue;
            }
            const int64_t last = own.end == columns.blocks() ? columns.panels() : columns.begin(own.end) / P;
            const Range panels = {columns.begin(own.begin) / P, last};
            const Term<R> terms[] = {{at.x.p, at.x.ld, packed_rows(call.I), from.inputs[k]}};
            product_into<V>(terms, rows, columns, panels, {from.bias + bank_at[k], 0}, at.inputs.p + bank_at[k], at.inputs.ld);
        }
    }

    template <int GATES>
    void project_raw(Group& at, const Weights& from, int k, int64_t rows, Range own) {
        const R* gates[GATES];
        for (int g = 0; g < GATES; ++g) gates[g] = static_cast<const R*>(this->gate(k, g).x);
        direct_product<V, GATES>(at.x.p, at.x.ld, rows, call.I, gates, this->gate(k, 0).x_row, bank[k], own,
                                 {from.bias + bank_at[k], 0}, [&](int64_t r, const Block<V>& b) {
                                     R* out = at.inputs.row(r) + bank_at[k] + b.column;
                                     for (int g = 0; g < GATES; ++g) b.gate(g).store(out + g * b.pitch);
                                 });
    }

    // Whether zeros times the recurrent weights are zeros.
    bool drops_zeros(const Weights& from, const Team& team) const {
        if (!from_zeros) return false;
        R sum = 0;
        for (int i = 0; i < (alone || copies > 1 ? 1 : team.members()); ++i) sum += from.zero[i];
        return sum == 0;
    }

    void begin_states(Group& at, int g) {
        for (int64_t i = 0; i < this->all_rows(g); ++i) {
            const int64_t b = plan.order[this->position(i, g)];
            load_state(call.initial[0], b, at.h[0].row(i), call.R);
            if (Cell::states > 1) load_state(call.initial[1], b, at.c.row(i), call.H);
        }
    }

    static void load_state(const recurra_rows& from, int64_t b, R* to, int64_t count) {
        if (from.base)
            std::memcpy(to, row_of<const R>(from, 0, b), count * sizeof(R));
        else
            std::memset(to, 0, count * sizeof(R));
    }

    // Rows [first, last) of the group are through: their states are the final ones.
    void end_states(Group& at, const Matrix<R>& h, int g, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
            const int64_t b = plan.order[this->position(i, g)];
            std::memcpy(row_of<R>(call.final[0], 0, b), h.row(i), call.R * sizeof(R));
            if (Cell::states > 1) std::memcpy(row_of<R>(call.final[1], 0, b), at.c.row(i), call.H * sizeof(R));
        }
    }

    void clear_padding(int g) {
        if (plan.packed) return;
        const auto clear = [&](const recurra_rows& rows, int64_t t, int64_t b, int64_t count) {
            if (rows.base) std::memset(row_of<R>(rows, t, b), 0, count * sizeof(R));
        };
        for (int64_t i = 0; i < this->all_rows(g); ++i) {
            const int64_t p = this->position(i, g), b = plan.order[p];
            for (int64_t t = plan.length[p]; t < call.T; ++t) {
                clear(call.out, t, b, call.R);
                clear(call.states[0], t, b, call.R);
                clear(call.states[1], t, b, call.H);
            }
        }
    }

    // This part's share of a row of state `which`, copied.
    void copy_state(const Team& team, int which, R* to, const R* from) const {
        const Range own = this->own_elements(team, which == 0 ? this->outputs : this->units);
        if (own.end <= own.begin) return;
        if (from)
            std::memcpy(to + own.begin, from + own.begin, (own.end - own.begin) * sizeof(R));
        else
            std::memset(to + own.begin, 0, (own.end - own.begin) * sizeof(R));
    }

    // Rows that start anew before step s.
    void restart(Group& at, const Team& team, const Matrix<R>& h, int64_t rows, int64_t s, int g) const {
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t p = this->position(i, g), b = plan.order[p];
            if (!this->restarts(plan.time(p, s), b)) continue;
            const Matrix<R> states[] = {h, at.c};
            for (int which = 0; which < Cell::states; ++which) {
                const recurra_rows& from = call.restart[which];
                copy_state(team, which, states[which].row(i), from.base ? row_of<const R>(from, 0, b) : nullptr);
            }
        }
        team.sync_group();
    }

    // The states after step s, where somebody wants them.
    void give_states(Group& at, const Team& team, const Matrix<R>& h, int64_t rows, int64_t s, int g) const {
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t p = this->position(i, g), t = plan.time(p, s), b = plan.order[p];
            copy_state(team, 0, this->template sequence_row<R>(call.states[0], t, b), h.row(i));
            if (Cell::states > 1) copy_state(team, 1, this->template sequence_row<R>(call.states[1], t, b), at.c.row(i));
        }
    }

    void run_group(const Cell& cell, const Team& team, int g) {
        Group& at = group[g];
        Thread& own = thread[g * this->parts + team.part];
        if (team.part == 0) {
            begin_states(at, g);
            end_states(at, at.h[0], g, this->local_rows(0, g), this->all_rows(g));
            clear_padding(g);
        }
        const Weights& from = weights_of(team);
        Step<Cell> step{};
        this->prepare(step);
        step.bank_at = bank_at;
        step.weights = from.states;
        step.raw = raw_states ? call.gate : nullptr;
        step.input_weights = joined ? from.inputs : nullptr;
        step.x_depth = call.I;
        step.bias = from.bias;
        step.c = at.c;
        step.pairs_of = own.pairs;
        step.work[0] = at.work[0];
        step.work[1] = at.work[1];
        step.out = own.out;
        step.saved = call.reserve ? own.saved : nullptr;
        step.team = &team;
        const int64_t saved_row = this->saved_row();
        if (joined) team.sync_group();
        for (int64_t begin = 0, end; begin < plan.steps; begin = end) {
            end = this->chunk_end(begin, g);
            if (!joined) project(at, from, team, g, begin, end);
            step.gates = at.inputs;
            for (int64_t s = begin; s < end; ++s) {
                step.rows = this->local_rows(s, g);
                step.h = at.h[s % 2];
                step.h_next = at.h[1 - s % 2];
                for (int64_t i = 0; i < step.rows; ++i) {
                    const int64_t p = this->position(i, g);
                    own.out[i] = this->template sequence_row<R>(call.out, plan.time(p, s), plan.order[p]);
                    own.saved[i] = static_cast<R*>(call.reserve) + (plan.first[s] + p) * saved_row;
                }
                this->point_masks(step, own.masks, own.drawn, s, g);
                if (call.resets.base) restart(at, team, step.h, step.rows, s, g);
                step.drops_zeros = s == 0 && drops_zeros(from, team);
                if (joined) step.x = inputs_of(at, team, g, s, step.rows);
                cell.forward(step);
                if (call.states[0].base) give_states(at, team, step.h_next, step.rows, s, g);
                team.sync_group();
                if (team.part == 0) end_states(at, step.h_next, g, this->local_rows(s + 1, g), step.rows);
                step.gates.p += step.rows * step.gates.ld;
            }
        }
    }

    static void body(void* self, const Team& team) {
        auto& forward = *static_cast<Forward*>(self);
        if (!forward.call.packed) {
            const bool own = forward.copies > 1;
            forward.pack_weights(forward.weights_of(team), own ? 0 : team.member(), own ? 1 : team.members());
            if (!own) team.sync_all();
        }
        const Cell cell(forward.call);
        for (int g = team.group; g < forward.groups; g += team.groups) forward.run_group(cell, team, g);
    }

    static int64_t packed_bytes(const recurra_call& call) {
        const Plan none{};
        Arena count;
        Forward(call, none, true).lay_weights(count);
        return int64_t(count.used());
    }

    static void pack_all(const recurra_call& call, void* memory) {
        const Plan none{};
        Forward forward(call, none, true);
        Arena arena(memory);
        forward.pack_weights(forward.lay_weights(arena), 0, 1);
    }

    static void run(const recurra_call& call, const Plan& plan) {
        Forward forward(call, plan);
        Laid<Forward> memory(forward);
        run_team(forward.groups, forward.parts, body, &forward);
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
