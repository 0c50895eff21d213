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
    static constexpr int W = V::width, P = 2 * W, M = Tile<V>::rows;

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

    // Steps [begin, end) of the rows of one stream.
    struct Slice {
        int stream;
        int64_t begin, end;
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
    int64_t tiles = 0;  // of all tasks

    // Where there are many more steps and rows than weights, two halves of the rows, cut as for two threads, are a stream
    // each, with sums of its own: two threads read what each wrote itself, some steps at a time, before it has left their
    // caches. Sizes decide, not threads: the sums' order, and so their bits, are the same for any number of threads.
    int streams;
    Dealing dealing;       // of rows to streams
    Dealing::Hand second;  // the last stream's
    int64_t capacity;  // pairs of a stream that the panels hold
    int64_t depth;     // pairs of a stream that are multiplied at a time
    R* partial;        // with streams: [stream][tile][M][P]
    R* unit_sums;      // [stream][Cell::unit_sums][units]

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
        for (int t = 0; t < tasks; ++t) tiles += task[t].size(source, bank);
        cut();
    }

    void cut() {
        int64_t bytes = 0;  // of a pair's rows
        for (int i = 0; i < sources; ++i) bytes += source[i].count() * int64_t(sizeof(R));
        streams = call.B >= 2 && plan.total >= 4 * (call.I + call.R) && tiles * tile_bytes <= most_partial ? 2 : 1;
        dealing = {call.B, streams, shape.equal_lengths()};
        second = dealing.hand(streams - 1);
        if (streams == 1) {
            depth = (int64_t(12) << 20) / bytes;
            depth = depth < 512 ? 512 : depth;
            depth = plan.total < depth ? plan.total : depth;
            capacity = plan.total;
            return;
        }
        bytes += Cell::kept(call) * int64_t(sizeof(R));
        for (int k = 0; k < Cell::slots; ++k) bytes += bank[Cell::bank_of(k)].count() * int64_t(sizeof(R));
        const int64_t step = (call.B + 1) / 2;  // of the longer stream's rows
        depth = cached_bytes / bytes / step * step;
        capacity = depth = depth < step ? step : depth;
    }
    static constexpr int64_t tile_bytes = M * P * sizeof(R), most_partial = 2000000, cached_bytes = 500000;

    int64_t pairs() const { return streams * capacity; }
    // Rows of a stream at step s.
    RECURRA_INLINE int64_t rows_at(int stream, int64_t s) const { return dealing.count(plan.active[s], stream); }
    // A position's stream and its index there.
    struct Row {
        int stream;
        int64_t index;
    };
    RECURRA_INLINE Row place_of(int64_t p) const {
        if (streams == 1) return {0, p};
        if (!dealing.equal) return {int(Dealing::turn(p / 2, 2, p % 2)), p / 2};
        return p < second.begin ? Row{0, p} : Row{1, p - second.begin};
    }
    // How many pairs of a stream run in steps [begin, end).
    int64_t count(const Slice& of) const {
        int64_t pairs = 0;
        for (int64_t s = of.begin; s < of.end && streams > 1; ++s) pairs += rows_at(of.stream, s);
        return streams > 1 ? pairs : plan.first[of.end] - plan.first[of.begin];
    }
    // The first of the steps before `end` whose pairs the panels hold.
    int64_t begin_of(int64_t end) const {
        if (streams == 1) return 0;
        const auto most = [&](int64_t s) { return (plan.active[s] + 1) / 2; };
        int64_t begin = end - 1, pairs = most(begin);
        while (begin > 0 && pairs + most(begin - 1) <= capacity) pairs += most(--begin);
        return begin;
    }
    // Whether every thread has all rows of its own streams.
    bool apart(const Team& team) const {
        return team.members() == 1 || (team.parts == 1 && shape.groups == streams && team.groups == streams);
    }

    void add(Kind kind, int64_t width) { source[sources++] = {kind, width, nullptr}; }

    void layout(Arena& arena) {
        for (int i = 0; i < sources; ++i) source[i].tiles = arena.take<R>(streams * (depth * source[i].count() + W));
        partial = arena.take<R>(streams > 1 ? streams * tiles * M * P : 0);
        unit_sums = arena.take<R>(streams * Cell::unit_sums * units());
    }
    int64_t units() const { return shape.units.blocks() * W; }

    const R* row(Kind kind, int64_t s, int64_t p) const {
        if (kind == inputs) return shape.template sequence_row<const R>(call.x, plan.time(p, s), plan.order[p]);
        return kind == saved_rows ? saved(s, p) + shape.row_at() : shape.before(0, s, p);
    }

    // body(s, p, pair) for those of a slice's pairs, in the order in which they were run: the last step first.
    template <class Body>
    RECURRA_INLINE void each_pair(const Slice& of, Range pairs, Body&& body) const {
        const Dealing::Hand hand = dealing.hand(of.stream);
        int64_t pair = 0;
        for (int64_t s = of.end; s-- > of.begin && pair < pairs.end;) {
            const int64_t rows = rows_at(of.stream, s);
            for (int64_t i = pairs.begin > pair ? pairs.begin - pair : 0; i < rows && pair + i < pairs.end; ++i)
                body(s, hand.position(i), pair + i);
            pair += rows;
        }
    }

    // Copies some pairs of the rows into tiles that hold `deep` of them, from `from` on.
    void pack_rows(const Source& to, const Slice& of, int64_t from, Range pairs, int64_t deep) const {
        const int64_t full = to.width / M, left = to.width - full * M;
        R* const tiles = tiles_of(to, of.stream);
        each_pair(of, pairs, [&, kind = to.kind](int64_t s, int64_t p, int64_t pair) {
            const R* in = row(kind, s, p);
            R* out = tiles + (pair - from) * M;
            for (int64_t tile = 0; tile < full; ++tile, out += M * deep)
                if (in)
                    std::memcpy(out, in + tile * M, M * sizeof(R));
                else
                    std::memset(out, 0, M * sizeof(R));
            out = tiles + full * M * deep + (pair - from) * (left + 1);
            for (int64_t r = 0; r < left; ++r) out[r] = in ? in[full * M + r] : R(0);
            out[left] = 1;
        });
    }
    R* tiles_of(const Source& source, int stream) const { return source.tiles + stream * (depth * source.count() + W); }

    // Adds what steps [begin, end), which the whole team has run, contribute.
    void add(const Cell& cell, const Team& team, int64_t begin, int64_t end) {
        const bool apart = this->apart(team);
        if (!apart) team.sync_all();
        const int64_t longest = count({0, begin, end});
        for (int64_t from = 0; from < longest && tiles; from += depth) {
            const auto deep = [&](int stream) {
                const int64_t left = count({stream, begin, end}) - from;
                return left < depth ? left : depth;
            };
            for (int t = 0; t < streams; ++t) {
                const int64_t here = deep(t);
                const Range mine = !apart ? piece(here, 8, team.member(), team.members())
                                          : t % team.members() == team.member() ? Range{0, here} : Range{0, 0};
                for (int i = 0; i < sources; ++i)
                    pack_rows(source[i], {t, begin, end}, from, {from + mine.begin, from + mine.end}, here);
            }
            if (!apart) team.sync_all();
            const Range mine = piece(streams * tiles, apart ? tiles : 1, team.member(), team.members());
            for (int t = 0; t < streams; ++t) {
                const Range own = {mine.begin > t * tiles ? mine.begin - t * tiles : 0,
                                   mine.end - t * tiles < tiles ? mine.end - t * tiles : tiles};
                multiply(t, own, from, deep(t), from > 0 || end < plan.steps);
            }
            if (!apart) team.sync_all();
        }
        if (Cell::unit_sums) add_units(cell, team, begin, end);
    }

    // One tile of a task's sums.
    struct TileOf {
        const Task& task;
        const Source& rows;
        const Columns<V>& columns;
        int64_t panel, tile;
        int64_t index;  // among all tasks'

        int width() const { return columns.panel_width(panel); }
        int high() const { return rows.tile_rows(tile); }
    };
    // body(tile) for the tiles `mine` of all tasks.
    template <class Body>
    RECURRA_INLINE void each_tile(Range mine, Body&& body) {
        int64_t done = 0;
        for (int t = 0; t < tasks; ++t) {
            const Source& rows = source[task[t].source];
            const int64_t size = task[t].size(source, bank), count = rows.tile_count();
            const int64_t begin = mine.begin > done ? mine.begin - done : 0;
            const int64_t end = mine.end - done < size ? mine.end - done : size;
            for (int64_t i = begin; i < end; ++i)
                body(TileOf{task[t], rows, bank[Cell::bank_of(task[t].slot)], i / count, i % count, done + i});
            done += size;
        }
    }

    // The tiles `mine` of all tasks, of a stream's pairs from `from` on; `add` for all but the first.
    void multiply(int stream, Range mine, int64_t from, int64_t deep, bool add) {
        alignas(64) R local[M * P];
        each_tile(mine, [&](const TileOf& of) {
            const int width = of.width(), high = of.high();
            const R* lines = panels[of.task.slot] + of.panel * P * pairs() + (stream * capacity + from) * width;
            const Factor<R> factor = {tiles_of(of.rows, stream) + of.tile * M * deep, high, deep, packed_lines<V>(lines, width)};
            R* sums = streams > 1 ? partial + (stream * tiles + of.index) * M * P : local;
            const Start<R> start = streams > 1 && add ? Start<R>{sums, P} : Start<R>{};
            micro_for<V, true>(high, width)(&factor, 1, start, sums, P);
            if (streams == 1) put(of, sums, add);
        });
    }

    // All steps are through.
    void finish(const Team& team) {
        if (plan.total == 0) {
            if (team.member() == 0) clear();
            return;
        }
        if (streams == 1 && !Cell::unit_sums) return;
        team.sync_all();
        if (streams > 1) join(piece(tiles, 1, team.member(), team.members()));
        if (Cell::unit_sums) put_units(piece(shape.units.blocks(), 1, team.member(), team.members()));
    }

    // The streams' sums together, to where they belong.
    void join(Range mine) {
        each_tile(mine, [&](const TileOf& of) {
            R* sums = partial + of.index * M * P;
            for (int64_t r = 0; r < of.high(); ++r)
                for (int v = 0; v < of.width(); v += W) {
                    R* at = sums + r * P + v;
                    (V::load(at) + V::load(at + tiles * M * P)).store(at);
                }
            put(of, sums, false);
        });
    }

    // Sums of what belongs to single units, see Cell::sum_units.
    void add_units(const Cell& cell, const Team& team, int64_t begin, int64_t end) const {
        bool wanted = false;
        for (int i = 0; i < Cell::unit_sums; ++i) wanted |= Cell::unit_gradient(call, i) != nullptr;
        if (!wanted) return;
        const int64_t blocks = shape.units.blocks();
        const Range mine = piece(streams * blocks, apart(team) ? blocks : 1, team.member(), team.members());
        for (int64_t i = mine.begin; i < mine.end; ++i) {
            const Slice slice = {int(i / blocks), begin, end};
            const int64_t index = i % blocks;
            const Block<V> block = {index, index * W, shape.units.valid(index), 0, 0, nullptr};
            R* at = unit_sums + slice.stream * Cell::unit_sums * units() + block.unit;
            V sums[Cell::unit_sums ? Cell::unit_sums : 1];
            for (int k = 0; k < Cell::unit_sums; ++k) sums[k] = end < plan.steps ? V::load(at + k * units()) : V::zero();
            cell.sum_units(*this, slice, block, sums);
            for (int k = 0; k < Cell::unit_sums; ++k) sums[k].store(at + k * units());
        }
        if (!apart(team)) team.sync_all();
    }
    void put_units(Range mine) const {
        for (int64_t index = mine.begin; index < mine.end; ++index)
            for (int k = 0; k < Cell::unit_sums; ++k) {
                R* out = static_cast<R*>(Cell::unit_gradient(call, k));
                if (!out) continue;
                const R* at = unit_sums + k * units() + index * W;
                V sum = V::load(at);
                if (streams > 1) sum += V::load(at + Cell::unit_sums * units());
                sum.store(out + index * W, shape.units.valid(index));
            }
    }

    // body(s, p, pair) for all pairs of a slice; `pair` counts within the panels.
    template <class Body>
    RECURRA_INLINE void each_pair(const Slice& of, Body&& body) const {
        const int64_t base = of.stream * capacity;
        each_pair(of, {0, plan.total}, [&](int64_t s, int64_t p, int64_t pair) { body(s, p, base + pair); });
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
        return {panels[slot] + panel * P * pairs() + column % P, columns.panel_width(panel)};
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
    void put(const TileOf& of, const R* sums, bool add) {
        const bool of_inputs = of.task.of_inputs;
        const int which = Cell::bank_of(of.task.slot);
        const int first = Step<Cell>::first_gate(which);
        const int width = of.width(), count = of.high();
        for (int64_t v = 0; v < width;) {
            const Place at = place(of.columns, of.panel * P + v);
            const recurra_gate& to = call.d_gate[first + at.gate];
            R* base = static_cast<R*>(of_inputs ? to.x : to.h);
            const int64_t row_stride = of_inputs ? to.x_row : to.h_row;
            const int64_t unit_stride = of_inputs ? to.x_unit : to.h_unit;
            const int64_t top = of.tile * M, real = of.rows.width - top < count ? of.rows.width - top : count;
            if (base) {
                base += top * row_stride + at.unit * unit_stride;
                if (unit_stride == 1)
                    for (int64_t r = 0; r < real; ++r) {
                        V sum = V::load(sums + r * P + v, at.valid);
                        if (add) sum += V::load(base + r * row_stride, at.valid);
                        sum.store(base + r * row_stride, at.valid);
                    }
                else
                    for (int u = 0; u < at.valid; ++u)
                        for (int64_t r = 0; r < real; ++r) {
                            R& out = base[r * row_stride + u * unit_stride];
                            out = sums[r * P + v + u] + (add ? out : R(0));
                        }
            }
            if (real < count) {
                const bool joined = Cell::joins_h_bias(which);
                if (of_inputs) put_bias(to.x_bias, at, sums + real * P + v, add);
                if (of_inputs == joined) put_bias(to.h_bias, at, sums + real * P + v, add);
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
        for (int k = 0; k < Cell::unit_sums; ++k)
            if (R* out = static_cast<R*>(Cell::unit_gradient(call, k))) std::memset(out, 0, call.H * sizeof(R));
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
