// Products of plain matrices, for the steps of cells that the library does not know: b packed into panels of two vectors,
// then a register tile at a time. What a thread computes does not depend on how the work is cut.
#include "core/product.h"
#include "core/replay.h"

namespace recurra {
namespace RECURRA_ISA {
namespace {

#if defined(RECURRA_WIDE)
using V = Vec<float, RECURRA_WIDE / 4>;
#else
using V = Vec<float, 4>;
#endif
constexpr int W = V::width, P = 2 * W, M = Tile<V>::rows;
constexpr int64_t depth = 2048;  // of a piece of a long product: its panels stay in the cache

using Sizes = recurra_product_sizes;

Columns<V> columns_of(const Sizes& sizes) { return {1, sizes.N}; }

int64_t panel_elements(const Sizes& sizes) { return sizes.K * columns_of(sizes).count(); }

void pack_panels(const Sizes& sizes, const float* b, float* panels, const Team& team) {
    const Columns<V> columns = columns_of(sizes);
    const Range mine = piece(columns.panels(), 1, team.member(), team.members());
    if (mine.begin == mine.end) return;
    const int64_t last = 2 * mine.end < columns.blocks() ? 2 * mine.end : columns.blocks();
    const Strided<float> source = {b, sizes.b_row, sizes.b_column};
    pack<V>(&source, sizes.K, columns, 2 * mine.begin, last, panels + mine.begin * P * sizes.K);
}

// The even share of `count` that OpenMP's static schedule gives a member: what follows the product finds its rows near.
Range share(int64_t count, const Team& team) {
    const int64_t least = count / team.members(), more = count % team.members(), me = team.member();
    const int64_t begin = me * least + (me < more ? me : more);
    return {begin, begin + least + (me < more)};
}

// One tile of rows times one panel, to where it belongs; the last vector of a row may be incomplete.
template <bool KMAJOR>
void put(const Sizes& sizes, const Factor<float>& factor, int rows, int width, int64_t column, Start<float> start, float* c) {
    const Micro<V> kernel = micro_for<V, KMAJOR>(rows, width);
    if (column + width <= sizes.N) return kernel(&factor, 1, start, c, sizes.c_row);
    constexpr int ld = P;
    alignas(64) float sums[M * P];
    const int valid = int(sizes.N - column), tail = width == P ? valid - W : valid;
    const auto edge = [&](auto&& each) {
        for (int r = 0; r < rows; ++r) {
            if (width == P) each(r, 0, W);
            each(r, width - W, tail);
        }
    };
    if (start.p) edge([&](int r, int v, int n) { V::load(start.p + r * start.ld + v, n).store(sums + r * ld + v); });
    kernel(&factor, 1, start.p ? Start<float>{sums, ld} : start, sums, ld);
    edge([&](int r, int v, int n) { V::load(sums + r * ld + v).store(c + r * sizes.c_row + v, n); });
}

// One row: several panels at a time, as many chains of sums as the multipliers want.
int64_t multiply_row(const Sizes& sizes, const float* a, const float* panels, Start<float> start, float* c, Range mine) {
    constexpr int wide = 4;
    int64_t panel = mine.begin;
    for (; panel + wide <= mine.end && (panel + wide) * P <= sizes.N; panel += wide) {
        Lines<float> lines[wide];
        for (int p = 0; p < wide; ++p) lines[p] = packed_lines<V>(panels + (panel + p) * P * sizes.K, P);
        micro_row<V, wide>(a, lines, sizes.K, start.at(0, panel * P).p, c + panel * P);
    }
    return panel;
}

void multiply_rows(const Sizes& sizes, const float* a, const float* panels, const float* start, float* c, const Team& team) {
    const Columns<V> columns = columns_of(sizes);
    const bool by_rows = sizes.M >= 4 * team.members();
    const Range rows = by_rows ? share(sizes.M, team) : Range{0, sizes.M};
    Range some = by_rows ? Range{0, columns.panels()} : share(columns.panels(), team);
    const Start<float> from = {start, sizes.start_row};
    if (sizes.M == 1) some.begin = multiply_row(sizes, a, panels, from, c, some);
    const Tiles<V> tiles(rows.end - rows.begin);
    for (int64_t panel = some.begin; panel < some.end; ++panel) {
        const int width = columns.panel_width(panel);
        const auto lines = packed_lines<V>(panels + panel * P * sizes.K, width);
        tiles.each([&](int64_t first, int count) {
            const int64_t row = rows.begin + first;
            put<false>(sizes, {a + row * sizes.a_row, sizes.a_row, sizes.K, lines}, count, width, panel * P,
                       from.at(row, panel * P), c + row * sizes.c_row + panel * P);
        });
    }
}

// Rows of a transposed matrix are read where they lie, too: a tile is a line or two of each k.
void multiply_transposed(const Sizes& sizes, const float* a, const float* panels, const float* start, float* c, const Team& team) {
    const Columns<V> columns = columns_of(sizes);
    const int64_t down = (sizes.M + M - 1) / M;
    const Range mine = share(columns.panels() * down, team);
    for (int64_t from = 0; from < sizes.K; from += depth) {
        const int64_t count = sizes.K - from < depth ? sizes.K - from : depth;
        const Start<float> base = from ? Start<float>{c, sizes.c_row} : Start<float>{start, sizes.start_row};
        for (int64_t i = mine.begin; i < mine.end; ++i) {
            const int64_t panel = i / down, top = i % down * M;
            const int width = columns.panel_width(panel), rows = sizes.M - top < M ? int(sizes.M - top) : M;
            const auto lines = packed_lines<V>(panels + panel * P * sizes.K + from * width, width);
            put<true>(sizes, {a + top + from * sizes.a_column, sizes.a_column, count, lines}, rows, width, panel * P,
                      base.at(top, panel * P), c + top * sizes.c_row + panel * P);
        }
    }
}

void multiply(const Sizes& sizes, const float* a, const float* panels, const float* start, float* c, const Team& team) {
    (sizes.a_column == 1 ? multiply_rows : multiply_transposed)(sizes, a, panels, start, c, team);
}

}  // namespace

const Dense dense = {panel_elements, pack_panels, multiply};

}  // namespace RECURRA_ISA
}  // namespace recurra
