// The one matrix product: a few rows times packed panels, kept in registers, then handed to an epilogue while it is hot.
#pragma once
#include "half.h"
#include "team.h"

namespace recurra {
namespace RECURRA_ISA {

// Rows of a register tile: rows x 2 vectors of sums, the 2 vectors of a panel, and one broadcast must fit the registers.
template <class V>
struct Tile {
    static constexpr int rows = sizeof(typename V::Native) == 64 ? 14 : sizeof(typename V::Native) == 32 ? 6 : 4;
    // From row to row of a tile's sums: three panels, and a vector more, for a narrow last block reads past its end.
    static constexpr int ld = 7 * V::width;
    static constexpr int size = rows * ld;
};

// Where the (up to) two vectors of a panel lie; their next rows are `row` further.
template <class R>
struct Lines {
    const R* v[2];
    int64_t row;
};
// Those of a packed panel.
template <class V>
RECURRA_INLINE Lines<typename V::Real> packed_lines(const typename V::Real* panel, int width) {
    return {{panel, panel + V::width}, width};
}

// The columns of a product, as panels. The first `in_place` of them are read where the weights lie: the units of a gate side
// by side from `gate[g]` on, the next row of every gate `row` further. The others are packed, one after another.
template <class R>
struct Panels {
    R* packed;
    int64_t in_place = 0;
    const R* const* gate = nullptr;
    int64_t row = 0;

    RECURRA_INLINE Panels(R* packed = nullptr) : packed(packed) {}
    // Panel `index` of K rows, `width` wide, of a bank of `gates`.
    template <class V>
    RECURRA_INLINE Lines<R> at(int64_t index, int width, int64_t K, int gates) const {
        if (index >= in_place) return packed_lines<V>(packed + (index - in_place) * 2 * V::width * K, width);
        const int64_t first = 2 * index, second = first + 1;
        return {{gate[first % gates] + first / gates * V::width, gate[second % gates] + second / gates * V::width}, row};
    }
};

// c[r][v] (+)= sum over k of a(r, k) * b(k, v): MR rows, NV vectors. a(r, k) lies at a[r * a_stride + k], or at
// a[r + k * a_stride] if KMAJOR; rows of c are Tile::ld apart.
template <class V, int MR, int NV, bool KMAJOR>
static void micro(const typename V::Real* a, int64_t a_stride, Lines<typename V::Real> b, int64_t K,
                  typename V::Real* c, bool add) {
    constexpr int W = V::width, c_row = Tile<V>::ld;
    V sum[MR][NV];
    if (add) {
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r)
            for (int v = 0; v < NV; ++v) sum[r][v] = V::load(c + r * c_row + v * W);
    } else {
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r)
            for (int v = 0; v < NV; ++v) sum[r][v] = V::zero();
    }
    // A pointer for every three rows, which their addresses count from: the compiler, left alone, runs out of registers.
    const typename V::Real* at[(MR + 2) / 3];
    for (int i = 0; i < (MR + 2) / 3; ++i) {
        at[i] = a + 3 * i * (KMAJOR ? 1 : a_stride);
        __asm__("" : "+r"(at[i]));
    }
    for (int64_t k = 0; k < K; ++k) {
        V row[NV];
        for (int v = 0; v < NV; ++v) {
            row[v] = V::load(b.v[v]);
            b.v[v] += b.row;
        }
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r) {
            const V x = V::all(at[r / 3][r % 3 * (KMAJOR ? 1 : a_stride)]);
            for (int v = 0; v < NV; ++v) sum[r][v] = accumulate(sum[r][v], x, row[v]);
        }
        for (auto& p : at) p += KMAJOR ? a_stride : 1;
    }
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r)
        for (int v = 0; v < NV; ++v) sum[r][v].store(c + r * c_row + v * W);
}

// One row times PANELS whole panels, all packed or all in place: as many chains of sums as the multipliers want.
template <class V, int PANELS>
static void micro_row(const typename V::Real* a, const Lines<typename V::Real> (&b)[PANELS], int64_t K,
                      typename V::Real* c, bool add) {
    constexpr int W = V::width;
    V sum[PANELS][2];
#pragma GCC unroll 8
    for (int p = 0; p < PANELS; ++p)
        for (int v = 0; v < 2; ++v) sum[p][v] = add ? V::load(c + p * 2 * W + v * W) : V::zero();
    for (int64_t k = 0, at = 0; k < K; ++k, at += b[0].row) {
        const V x = V::all(a[k]);
#pragma GCC unroll 8
        for (int p = 0; p < PANELS; ++p)
            for (int v = 0; v < 2; ++v) sum[p][v] = accumulate(sum[p][v], x, V::load(b[p].v[v] + at));
    }
#pragma GCC unroll 8
    for (int p = 0; p < PANELS; ++p)
        for (int v = 0; v < 2; ++v) sum[p][v].store(c + p * 2 * W + v * W);
}

template <class V>
using Micro = void (*)(const typename V::Real*, int64_t, Lines<typename V::Real>, int64_t, typename V::Real*, bool);

template <class V, int NV, bool KMAJOR, int... MR>
struct MicroTable {
    static constexpr Micro<V> at[] = {micro<V, MR, NV, KMAJOR>...};
};

// The kernel for `rows` rows of a panel `width` columns wide. KMAJOR: a is [K][rows], else rows at a stride.
template <class V, bool KMAJOR>
RECURRA_INLINE Micro<V> micro_for(int rows, int width) {
    const bool two = width == 2 * V::width;
    if constexpr (Tile<V>::rows == 14) {
        using Two = MicroTable<V, 2, KMAJOR, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>;
        using One = MicroTable<V, 1, KMAJOR, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>;
        return two ? Two::at[rows - 1] : One::at[rows - 1];
    } else if constexpr (Tile<V>::rows == 6) {
        return two ? MicroTable<V, 2, KMAJOR, 1, 2, 3, 4, 5, 6>::at[rows - 1]
                   : MicroTable<V, 1, KMAJOR, 1, 2, 3, 4, 5, 6>::at[rows - 1];
    } else {
        return two ? MicroTable<V, 2, KMAJOR, 1, 2, 3, 4>::at[rows - 1]
                   : MicroTable<V, 1, KMAJOR, 1, 2, 3, 4>::at[rows - 1];
    }
}

// One term of a sum of products: rows of `a` (stride `ld`) times columns of K rows.
template <class R>
struct Term {
    const R* a;
    int64_t ld;
    int64_t K;
    Panels<R> b;
};

// One block of units of one row, as the epilogue gets it: `sums` holds each gate's sums, `pitch` apart.
template <class V>
struct Block {
    int64_t index;   // of the block
    int64_t unit;    // its first unit
    int valid;       // units in it
    int pitch;       // from gate to gate
    int64_t column;  // its first column in the bank's order
    const typename V::Real* sums;

    RECURRA_INLINE V gate(int g) const { return V::load(sums + g * pitch); }
    RECURRA_INLINE V gate(int g, const typename V::Real* inputs) const {
        return gate(g) + V::load(inputs + column + g * pitch);
    }
};

// Two epilogues, the second after the first has seen all rows of a tile. What is long and serial (one activation waiting
// for another) is cut there: the processor then works on several rows at a time.
template <class First, class Second>
struct InTurn {
    First first;
    Second second;
};
template <class First, class Second>
InTurn(First, Second) -> InTurn<First, Second>;

// Hands the sums of `rows` rows (Tile::ld apart) of some blocks to the epilogue. A function of its own: every product of
// a cell shares the one copy of its equations, with their constants kept in registers from row to row.
template <class V, int GATES, class Epilogue>
static __attribute__((noinline)) void deliver(const typename V::Real* sums, const Columns<V>& columns, Range blocks,
                                              int64_t row, int rows, const Epilogue& epilogue) {
    constexpr int W = V::width;
    for (int64_t index = blocks.begin; index < blocks.end; ++index) {
        Block<V> block = {index, index * W, columns.valid(index), columns.pitch(index), columns.begin(index), sums};
        for (int r = 0; r < rows; ++r, block.sums += Tile<V>::ld) epilogue(row + r, block);
        sums += GATES * W;
    }
}
template <class V, int GATES, class First, class Second>
static void deliver(const typename V::Real* sums, const Columns<V>& columns, Range blocks, int64_t row, int rows,
                    const InTurn<First, Second>& epilogue) {
    deliver<V, GATES>(sums, columns, blocks, row, rows, epilogue.first);
    deliver<V, GATES>(sums, columns, blocks, row, rows, epilogue.second);
}

// epilogue(row, block) for every row and every block of `blocks` (whole groups), of the sum over terms a * b.
template <class V, int GATES, int TERMS, class Epilogue>
RECURRA_INLINE void product(const Term<typename V::Real> (&terms)[TERMS], int64_t rows, const Columns<V>& columns,
                            Range blocks, Epilogue&& epilogue) {
    using R = typename V::Real;
    constexpr int W = V::width, P = 2 * W;
    constexpr int group_blocks = GATES % 2 == 1 ? 2 : 1;  // blocks until panels end with them
    constexpr int group_panels = GATES * group_blocks / 2;
    constexpr int wide_blocks = 8 / GATES, wide_panels = GATES * wide_blocks / 2;  // of a single row
    alignas(64) R sums[Tile<V>::size + W];
    const int64_t tiles = (rows + Tile<V>::rows - 1) / Tile<V>::rows;
    for (int64_t block = blocks.begin, next; block < blocks.end; block = next) {
        const int64_t first_panel = columns.begin(block) / P;
        bool wide = rows == 1 && block + wide_blocks <= blocks.end && columns.valid(block + wide_blocks - 1) == W;
        for (const Term<R>& term : terms)
            wide &= first_panel >= term.b.in_place || first_panel + wide_panels <= term.b.in_place;
        next = block + (wide ? wide_blocks : group_blocks);
        if (next > blocks.end) next = blocks.end;
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t row = rows * tile / tiles;
            const int count = int(rows * (tile + 1) / tiles - row);
            if (wide) {
                for (int t = 0; t < TERMS; ++t) {
                    Lines<R> lines[wide_panels];
                    for (int p = 0; p < wide_panels; ++p)
                        lines[p] = terms[t].b.template at<V>(first_panel + p, P, terms[t].K, GATES);
                    micro_row<V, wide_panels>(terms[t].a, lines, terms[t].K, sums, t > 0);
                }
            } else {
                for (int p = 0; p < group_panels && first_panel + p < columns.panels(); ++p) {
                    const int64_t panel = first_panel + p;
                    const int width = columns.panel_width(panel);
                    const Micro<V> kernel = micro_for<V, false>(count, width);
                    for (int t = 0; t < TERMS; ++t)
                        kernel(terms[t].a + row * terms[t].ld, terms[t].ld,
                               terms[t].b.template at<V>(panel, width, terms[t].K, GATES), terms[t].K, sums + p * P, t > 0);
                }
            }
            deliver<V, GATES>(sums, columns, {block, next}, row, count, epilogue);
        }
    }
}

// epilogue(row, column, sums): the same without gates, a vector of columns [column, column + W) at a time.
template <class V, int TERMS, class Epilogue>
RECURRA_INLINE void plain_product(const Term<typename V::Real> (&terms)[TERMS], int64_t rows, const Columns<V>& columns,
                                  Range panels, Epilogue&& epilogue) {
    using R = typename V::Real;
    constexpr int W = V::width, P = 2 * W, ld = Tile<V>::ld;
    alignas(64) R sums[Tile<V>::size];
    const int64_t tiles = (rows + Tile<V>::rows - 1) / Tile<V>::rows;
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        const int width = columns.panel_width(panel);
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t row = rows * tile / tiles;
            const int count = int(rows * (tile + 1) / tiles - row);
            const Micro<V> kernel = micro_for<V, false>(count, width);
            for (int t = 0; t < TERMS; ++t)
                kernel(terms[t].a + row * terms[t].ld, terms[t].ld,
                       terms[t].b.template at<V>(panel, width, terms[t].K, columns.gates), terms[t].K, sums, t > 0);
            for (int r = 0; r < count; ++r)
                for (int v = 0; v < width; v += W) epilogue(row + r, panel * P + v, V::load(sums + r * ld + v));
        }
    }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
