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

    const recurra_call& call;
    const Plan& plan;
    const Columns<V>* bank;
    R* const* panels;
    int64_t saved_row, extra_at, h_row_at;
    int sources = 0, tasks = 0;
    Source source[3];
    Task task[2 * Cell::slots];
    int64_t depth;  // pairs at a time

    WeightGradient(const recurra_call& call, const Plan& plan, const Columns<V>* bank, R* const* panels,
                   int64_t saved_row, int64_t extra_at, int64_t h_row_at)
        : call(call), plan(plan), bank(bank), panels(panels), saved_row(saved_row), extra_at(extra_at), h_row_at(h_row_at) {
        add(inputs, call.I);
        add(states, call.R);
        if (Cell::saves_row) add(saved_rows, call.H);
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
        const int64_t b = plan.order[p];
        if (kind == inputs) return row_of<const R>(call.x, plan.time(p, s), b);
        if (kind == saved_rows) return static_cast<const R*>(call.reserve) + (plan.first[s] + p) * saved_row + extra_at;
        if (s && h_row_at) return static_cast<const R*>(call.reserve) + (plan.first[s - 1] + p) * saved_row + h_row_at;
        if (s) return row_of<const R>(call.out, plan.time(p, s - 1), b);
        return call.initial[0].base ? row_of<const R>(call.initial[0], 0, b) : nullptr;
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
                micro_for<V, true>(count, width)(rows.tiles + tile * M * pairs, count,
                                                 panels[task[t].slot] + panel * P * plan.total + from * width, pairs,
                                                 sums, false);
                put(task[t], rows, columns, panel, tile, sums, from > 0);
            }
            done += size;
        }
    }

    // out[unit] = sum over all (step, row) pairs of gate `gate`'s gradient * row(step, position, block), for a vector of
    // weights that was multiplied unit by unit.
    template <class Row>
    void diagonal(const Team& team, int slot, int gate, void* out, Row&& row) const {
        if (!out) return;
        const Columns<V>& columns = bank[Cell::bank_of(slot)];
        const Range mine = piece(columns.blocks(), 1, team.member(), team.members());
        for (int64_t b = mine.begin; b < mine.end; ++b) {
            const int valid = columns.valid(b);
            const int64_t column = columns.begin(b) + gate * columns.pitch(b), panel = column / P;
            const int width = columns.panel_width(panel);
            const R* d = panels[slot] + panel * P * plan.total + column % P;
            const Block<V> block = {b, b * W, valid, columns.pitch(b), column, nullptr};
            V sum = V::zero();
            for (int64_t s = 0, pair = 0; s < plan.steps; ++s)
                for (int64_t p = 0; p < plan.active[s]; ++p, ++pair)
                    sum += V::load(d + pair * width, valid) * row(s, p, block);
            sum.store(static_cast<R*>(out) + b * W, valid);
        }
    }

    const R* saved(int64_t s, int64_t p) const {
        return static_cast<const R*>(call.reserve) + (plan.first[s] + p) * saved_row;
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
        int gates = 0;
        for (int k = 0; k < Cell::banks; ++k) gates += Cell::gates_of(k);
        for (int g = 0; g < gates; ++g) {
            const recurra_gate& to = call.d_gate[g];
            const auto zero = [&](void* p, int64_t rows, int64_t row, int64_t unit) {
                if (p)
                    for (int64_t r = 0; r < rows; ++r)
                        for (int64_t u = 0; u < call.H; ++u) static_cast<R*>(p)[r * row + u * unit] = 0;
            };
            zero(to.x, call.I, to.x_row, to.x_unit);
            zero(to.h, call.R, to.h_row, to.h_unit);
            zero(to.x_bias, 1, 0, 1);
            zero(to.h_bias, 1, 0, 1);
        }
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
