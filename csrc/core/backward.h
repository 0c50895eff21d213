// A sequence backward: the steps from the last to the first, some steps' input gradients at once, and, when all steps
// are through, the weights' gradients.
#pragma once
#include "gradient.h"

namespace recurra {
namespace RECURRA_ISA {

template <class Cell>
struct Backward : Shape<Cell> {
    using Base = Shape<Cell>;
    using typename Base::R;
    using typename Base::V;
    using Base::bank;
    using Base::call;
    using Base::plan;
    static constexpr int W = V::width, P = 2 * W;

    // Of one group of rows: gradients of the pre-activations of a chunk's steps, gradients of the states.
    struct Group {
        Matrix<R> gates, h, c, work[2];
    };
    // Of one thread: a step's rows.
    struct Thread {
        R **out, **saved, **x;
        const R **h_before, **c_before, **saved_before;
        int64_t* pair;
        const R** masks;
        Matrix<R> drawn;
    };

    Columns<V> features;  // of an input gradient, [I]
    // Transposed; no input weights where nobody asks for the gradient of x.
    struct Weights {
        Panels<R> states[Cell::banks], inputs[Cell::banks];
    };
    Weights* weights;  // [copies]
    int copies;        // one for each group, or one for all
    R* panels[Cell::slots];
    int64_t slot_at[Cell::slots + 1];
    R* kept;
    Group* group;
    Thread* thread;
    WeightGradient<Cell> gradient;

    Backward(const recurra_call& call, const Plan& plan)
        : Base(call, plan), features{1, call.I}, gradient(*this, panels) {
        slot_at[0] = 0;
        // A vector of room between slots: the last block of one is stored in whole vectors, too.
        for (int k = 0; k < Cell::slots; ++k) slot_at[k + 1] = slot_at[k] + bank[Cell::bank_of(k)].count() + W;
        Arena count;
        lay_weights(count);
        copies = this->copies_of(count.used());
    }

    Weights lay_weights(Arena& arena) const {
        Weights laid;
        for (int k = 0; k < Cell::banks; ++k) {
            const Columns<V> state = {1, this->depth[k]};
            laid.states[k] = arena.take<R>(bank[k].transposed_rows() * state.count());
            laid.states[k].fold = state.fold();
            if (!has_inputs(k)) continue;
            laid.inputs[k] = arena.take<R>(bank[k].transposed_rows() * features.count());
            laid.inputs[k].fold = features.fold();
        }
        return laid;
    }
    bool has_inputs(int k) const { return call.d_x.base && k < Cell::input_banks; }
    const Weights& weights_of(const Team& team) const { return weights[copies > 1 ? team.group : 0]; }

    void layout(Arena& arena) {
        weights = arena.take<Weights>(copies);
        for (int i = 0; i < copies; ++i) {
            const Weights laid = lay_weights(arena);
            if (weights) weights[i] = laid;
        }
        kept = gradient.kept = arena.take<R>(gradient.pairs() * Cell::kept(call));
        for (int k = 0; k < Cell::slots; ++k) panels[k] = arena.take<R>(gradient.pairs() * bank[Cell::bank_of(k)].count());
        group = arena.take<Group>(this->groups);
        thread = arena.take<Thread>(this->groups * this->parts);
        const auto matrix = [&](int64_t rows, int64_t columns) {
            const int64_t ld = padded<V>(columns);
            return Matrix<R>{arena.take<R>(rows * ld), ld};
        };
        const int64_t rows = this->group_rows;
        for (int g = 0; g < this->groups; ++g) {
            Group laid;
            laid.gates = matrix(this->chunk_rows, slot_at[Cell::slots]);
            laid.h = matrix(rows, call.R);
            if (Cell::states > 1) laid.c = matrix(rows, call.H);
            for (int i = 0; i < Cell::work; ++i) laid.work[i] = matrix(rows, Cell::work_width(call, i));
            if (group) group[g] = laid;
        }
        for (int m = 0; m < this->groups * this->parts; ++m) {
            Thread laid;
            R*** const pointers[] = {&laid.out, &laid.saved};
            const R*** const befores[] = {&laid.h_before, &laid.c_before, &laid.saved_before};
            for (R*** p : pointers) *p = arena.take<R*>(rows);
            for (const R*** p : befores) *p = arena.take<const R*>(rows);
            laid.x = arena.take<R*>(this->chunk_rows);
            laid.pair = arena.take<int64_t>(rows);
            laid.masks = arena.take<const R*>(this->mask_pointers());
            laid.drawn = matrix(this->drawn_rows(), this->drawn_width());
            if (thread) thread[m] = laid;
        }
        gradient.layout(arena);
    }

    // A share of the weights.
    void pack_weights(const Weights& to, int member, int members) const {
        for (int k = 0; k < Cell::banks; ++k) {
            Strided<R> x[4], h[4];
            for (int g = 0; g < bank[k].gates; ++g) {
                const recurra_gate& gate = this->gate(k, g);
                x[g] = {static_cast<const R*>(gate.x), gate.x_row, gate.x_unit};
                h[g] = {static_cast<const R*>(gate.h), gate.h_row, gate.h_unit};
            }
            const Columns<V> state = {1, this->depth[k]};
            const Range mine = piece(state.blocks(), 2, member, members);
            pack_transposed<V>(h, bank[k], state, mine.begin, mine.end, to.states[k].packed, to.states[k].fold);
            if (!has_inputs(k)) continue;
            const Range inputs = piece(features.blocks(), 2, member, members);
            pack_transposed<V>(x, bank[k], features, inputs.begin, inputs.end, to.inputs[k].packed, to.inputs[k].fold);
        }
    }

    void begin_states(Group& at, int g) {
        for (int64_t i = 0; i < this->all_rows(g); ++i) {
            const int64_t b = plan.order[this->position(i, g)];
            Forward<Cell>::load_state(call.d_final[0], b, at.h.row(i), call.R);
            if (Cell::states > 1) Forward<Cell>::load_state(call.d_final[1], b, at.c.row(i), call.H);
            for (int which = 0; which < Cell::states; ++which)
                if (call.d_restart[which].base)
                    std::memset(row_of<R>(call.d_restart[which], 0, b), 0, (which ? call.H : call.R) * sizeof(R));
        }
    }

    // Adds the gradients of the states after step s, where there are any: this part's share.
    void add_states(Group& at, const Team& team, int64_t rows, int64_t s, int g) const {
        for (int which = 0; which < Cell::states; ++which) {
            if (!call.d_states[which].base) continue;
            const Range own = this->own_elements(team, which == 0 ? this->outputs : this->units);
            for (int64_t i = 0; i < rows; ++i) {
                const int64_t p = this->position(i, g);
                const R* d = this->template sequence_row<const R>(call.d_states[which], plan.time(p, s), plan.order[p]);
                R* state = (which == 0 ? at.h : at.c).row(i);
                for (int64_t u = own.begin; u < own.end; ++u) state[u] += d[u];
            }
        }
    }

    // A row that started anew at step s: its gradient belongs to what it started from, and none goes further back.
    void restart(Group& at, const Team& team, int64_t rows, int64_t s, int g) const {
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t p = this->position(i, g), b = plan.order[p];
            if (!this->restarts(plan.time(p, s), b)) continue;
            for (int which = 0; which < Cell::states; ++which) {
                const Range own = this->own_elements(team, which == 0 ? this->outputs : this->units);
                R* state = (which == 0 ? at.h : at.c).row(i);
                R* to = call.d_restart[which].base ? row_of<R>(call.d_restart[which], 0, b) : nullptr;
                for (int64_t u = own.begin; u < own.end; ++u) {
                    if (to) to[u] += state[u];
                    state[u] = 0;
                }
            }
        }
    }

    void end_states(Group& at, int g) {
        for (int64_t i = 0; i < this->all_rows(g); ++i) {
            const int64_t b = plan.order[this->position(i, g)];
            if (call.d_initial[0].base)
                std::memcpy(row_of<R>(call.d_initial[0], 0, b), at.h.row(i), call.R * sizeof(R));
            if (Cell::states > 1 && call.d_initial[1].base)
                std::memcpy(row_of<R>(call.d_initial[1], 0, b), at.c.row(i), call.H * sizeof(R));
        }
    }

    void clear_padding(int g) {
        for (int64_t i = 0; i < this->all_rows(g); ++i) {
            const int64_t p = this->position(i, g);
            for (int64_t t = plan.length[p]; t < call.T; ++t)
                std::memset(row_of<R>(call.d_x, t, plan.order[p]), 0, call.I * sizeof(R));
        }
    }

    // `pair`: of each stream's first row.
    void point(Thread& own, int64_t s, const int64_t* pair, int g, int64_t rows) const {
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t p = this->position(i, g);
            const auto at = gradient.place_of(p);
            own.pair[i] = pair[at.stream] + at.index;
            own.saved[i] = this->saved_of(s, p);
            own.out[i] = call.d_out.base ? this->template sequence_row<R>(call.d_out, plan.time(p, s), plan.order[p]) : nullptr;
            own.h_before[i] = this->before(0, s, p);
            own.saved_before[i] = nullptr;
            if (Cell::states > 1) own.c_before[i] = this->before(1, s, p, &own.saved_before[i]);
        }
    }

    // d_x of a chunk's rows: sum over banks of gradients * transposed input weights.
    void project(Group& at, const Weights& from, Thread& own, const Team& team, int g, int64_t begin, int64_t end) {
        int64_t rows = 0;
        for (int64_t s = begin; s < end; ++s)
            for (int64_t i = 0; i < this->local_rows(s, g); ++i) {
                const int64_t p = this->position(i, g);
                own.x[rows++] = this->template sequence_row<R>(call.d_x, plan.time(p, s), plan.order[p]);
            }
        Term<R> terms[Cell::input_banks];
        for (int k = 0; k < Cell::input_banks; ++k)
            terms[k] = {at.gates.p + slot_at[k], at.gates.ld, bank[k].transposed_rows(), from.inputs[k]};
        const Range mine = piece(features.panels(), 1, team.part, team.parts);
        plain_product<V>(terms, rows, features, mine, [&](int64_t r, int64_t column, V sum) {
            const int64_t left = call.I - column;
            if (left > 0) sum.store(own.x[r] + column, left < W ? int(left) : W);
        });
    }

    void begin_group(const Team& team, int g) {
        if (team.part == 0) {
            begin_states(group[g], g);
            if (call.d_x.base && !plan.packed) clear_padding(g);
        }
        team.sync_group();
    }

    // Steps [begin, end), from the last to the first.
    void run_steps(const Cell& cell, const Team& team, int g, int64_t begin, int64_t end) {
        Group& at = group[g];
        Thread& own = thread[g * this->parts + team.part];
        const Weights& from = weights_of(team);
        Step<Cell> step{};
        this->prepare(step);
        step.bank_at = slot_at;
        step.weights = from.states;
        step.h = at.h;
        step.c = at.c;
        step.work[0] = at.work[0];
        step.work[1] = at.work[1];
        step.saved = own.saved;
        step.out = own.out;
        step.h_before = own.h_before;
        step.c_before = own.c_before;
        step.c_saved_before = own.saved_before;
        step.panels = panels;
        step.pair = own.pair;
        step.pairs = gradient.pairs();
        step.kept = kept;
        step.kept_row = Cell::kept(call);
        step.team = &team;
        int64_t pair[] = {0, gradient.capacity};
        for (int64_t chunk_end = end, chunk; chunk_end > begin; chunk_end = chunk) {
            int64_t rows = this->local_rows(chunk_end - 1, g);
            chunk = chunk_end - 1;
            while (chunk > begin && rows + this->local_rows(chunk - 1, g) <= this->chunk_rows)
                rows += this->local_rows(--chunk, g);
            for (int64_t s = chunk_end - 1; s >= chunk; --s) {
                step.rows = this->local_rows(s, g);
                rows -= step.rows;
                step.gates = at.gates;
                step.gates.p = at.gates.row(rows);
                point(own, s, pair, g, step.rows);
                this->point_masks(step, own.masks, own.drawn, s, g);
                add_states(at, team, step.rows, s, g);
                cell.backward(step);
                if (call.resets.base) restart(at, team, step.rows, s, g);
                for (int t = 0; t < gradient.streams; ++t) pair[t] += gradient.rows_at(t, s);
            }
            if (call.d_x.base) {
                team.sync_group();
                project(at, from, own, team, g, chunk, chunk_end);
            }
            team.sync_group();
        }
    }

    static void body(void* self, const Team& team) {
        auto& backward = *static_cast<Backward*>(self);
        const bool own = backward.copies > 1;
        backward.pack_weights(backward.weights_of(team), own ? 0 : team.member(), own ? 1 : team.members());
        if (!own) team.sync_all();
        const Cell cell(backward.call);
        for (int g = team.group; g < backward.groups; g += team.groups) backward.begin_group(team, g);
        for (int64_t end = backward.plan.steps, begin; end > 0; end = begin) {
            begin = backward.gradient.begin_of(end);
            for (int g = team.group; g < backward.groups; g += team.groups) backward.run_steps(cell, team, g, begin, end);
            backward.gradient.add(cell, team, begin, end);
        }
        team.sync_group();
        for (int g = team.group; g < backward.groups && team.part == 0; g += team.groups) backward.end_states(backward.group[g], g);
        backward.gradient.finish(team);
    }

    static void run(const recurra_call& call, const Plan& plan) {
        Backward backward(call, plan);
        Laid<Backward> memory(backward);
        run_team(backward.groups, backward.parts, body, &backward);
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
