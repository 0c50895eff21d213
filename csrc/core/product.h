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
    int fold = 1;  // of the last block, see Columns::fold

    RECURRA_INLINE Panels(R* packed = nullptr) : packed(packed) {}
    // Panel `index` of K rows, `width` wide, of a bank of `gates`.
    template <class V>
    RECURRA_INLINE Lines<R> at(int64_t index, int width, int64_t K, int gates) const {
        if (index >= in_place) return packed_lines<V>(packed + (index - in_place) * 2 * V::width * K, width);
        const int64_t first = 2 * index, second = first + 1;
        return {{gate[first % gates] + first / gates * V::width, gate[second % gates] + second / gates * V::width}, row};
    }
};

// What the sums of a product begin with: row r, column c at p + r * ld + c. No p: zeros.
template <class R>
struct Start {
    const R* p = nullptr;
    int64_t ld = 0;
    RECURRA_INLINE Start at(int64_t row, int64_t column) const { return {p ? p + row * ld + column : nullptr, ld}; }
};

// A term of a tile's sums: rows of `a` times the columns of one panel, K deep. a(r, k) lies at a[r * ld + k], or at
// a[r + k * ld] if KMAJOR.
template <class R>
struct Factor {
    const R* a;
    int64_t ld, K;
    Lines<R> b;
};

// c(r, v) = start + sum over factors and k of a(r, k) * b(k, v): MR rows, NV vectors; rows of c are c_ld apart.
template <class V, int MR, int NV, bool KMAJOR>
static void micro(const Factor<typename V::Real>* factors, int count, Start<typename V::Real> start,
                  typename V::Real* c, int64_t c_ld) {
    constexpr int W = V::width;
    V sum[MR][NV];
    if (start.p) {
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r)
            for (int v = 0; v < NV; ++v) sum[r][v] = V::load(start.p + r * start.ld + v * W);
    } else {
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r)
            for (int v = 0; v < NV; ++v) sum[r][v] = V::zero();
    }
    for (const auto* end = factors + count; factors < end; ++factors) {
        Lines<typename V::Real> b = factors->b;
        const int64_t ld = factors->ld;
        // A pointer for every three rows, which their addresses count from: the compiler, left alone, runs out of registers.
        const typename V::Real* at[(MR + 2) / 3];
        for (int i = 0; i < (MR + 2) / 3; ++i) {
            at[i] = factors->a + 3 * i * (KMAJOR ? 1 : ld);
            __asm__("" : "+r"(at[i]));
        }
        for (int64_t k = factors->K; k > 0; --k) {
            V row[NV];
            for (int v = 0; v < NV; ++v) {
                row[v] = V::load(b.v[v]);
                b.v[v] += b.row;
            }
#pragma GCC unroll 16
            for (int r = 0; r < MR; ++r) {
                const V x = V::all(at[r / 3][r % 3 * (KMAJOR ? 1 : ld)]);
                for (int v = 0; v < NV; ++v) sum[r][v] = accumulate(sum[r][v], x, row[v]);
            }
            for (auto& p : at) p += KMAJOR ? ld : 1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r)
        for (int v = 0; v < NV; ++v) sum[r][v].store(c + r * c_ld + v * W);
}

// The same of one folded block (Columns::fold), from zeros.
template <class V, int F, int MR>
static void micro_folded(const Factor<typename V::Real>* factors, int count, typename V::Real* c, int64_t c_ld) {
    using R = typename V::Real;
    constexpr int W = V::width;
    V sum[MR];
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) sum[r] = V::zero();
    for (const auto* end = factors + count; factors < end; ++factors) {
        const R *b = factors->b.v[0], *a = factors->a;
        for (int64_t k = 0; k < factors->K; k += F, b += W) {
            const V row = V::load(b);
#pragma GCC unroll 16
            for (int r = 0; r < MR; ++r) sum[r] = accumulate(sum[r], V::template repeat<F>(a + r * factors->ld + k), row);
        }
    }
    for (int r = 0; r < MR; ++r) {
        alignas(64) R parts[W], units[W] = {};
        sum[r].store(parts);
        for (int u = 0; u < W / F; ++u)
            for (int i = 0; i < F; ++i) units[u] += parts[u * F + i];
        V::load(units).store(c + r * c_ld);
    }
}

// One row times PANELS whole panels, all packed or all in place: as many chains of sums as the multipliers want.
template <class V, int PANELS>
static void micro_row(const typename V::Real* a, const Lines<typename V::Real> (&b)[PANELS], int64_t K,
                      const typename V::Real* start, typename V::Real* c) {
    constexpr int W = V::width;
    V sum[PANELS][2];
#pragma GCC unroll 8
    for (int p = 0; p < PANELS; ++p)
        for (int v = 0; v < 2; ++v) sum[p][v] = start ? V::load(start + p * 2 * W + v * W) : V::zero();
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
using Micro = void (*)(const Factor<typename V::Real>*, int, Start<typename V::Real>, typename V::Real*, int64_t);

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

template <class V>
using MicroFolded = void (*)(const Factor<typename V::Real>*, int, typename V::Real*, int64_t);

template <class V, int F, int... MR>
struct FoldedTable {
    static constexpr MicroFolded<V> at[] = {micro_folded<V, F, MR>...};
};
template <class V, int F>
RECURRA_INLINE MicroFolded<V> micro_folded_for(int rows) {
    if constexpr (Tile<V>::rows == 14)
        return FoldedTable<V, F, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>::at[rows - 1];
    else
        return FoldedTable<V, F, 1, 2, 3, 4, 5, 6>::at[rows - 1];
}

// One term of a sum of products: rows of `a` (stride `ld`) times columns of K rows.
template <class R>
struct Term {
    const R* a;
    int64_t ld;
    int64_t K;
    Panels<R> b;

    template <class V>
    RECURRA_INLINE Factor<R> of(int64_t row, int64_t panel, int width, int gates) const {
        return {a + row * ld, ld, K, b.template at<V>(panel, width, K, gates)};
    }
};

// Two of them at most.
template <class R>
struct Terms {
    const Term<R>* of;
    int count;
    template <int N>
    RECURRA_INLINE Terms(const Term<R> (&terms)[N], int count = N) : of(terms), count(count) {
        static_assert(N <= 2);
    }
    // out = start + the sum, for `rows` rows of a panel; rows of out are ld apart.
    template <class V>
    RECURRA_INLINE void multiply(int64_t row, int rows, int64_t panel, int width, int gates, Start<R> start, R* out,
                                 int64_t ld) const {
        Factor<R> factors[2];
        for (int t = 0; t < count; ++t) factors[t] = of[t].template of<V>(row, panel, width, gates);
        micro_for<V, false>(rows, width)(factors, count, start, out, ld);
    }
    // The same of the last panel, whose last block is folded.
    template <class V>
    RECURRA_INLINE void multiply_folded(int64_t row, int rows, int64_t panel, int width, int fold, R* out, int64_t ld) const {
        if constexpr (V::repeats) {
            constexpr int W = V::width;
            Factor<R> whole[2], folded[2];
            for (int t = 0; t < count; ++t) {
                const Term<R>& term = of[t];
                const R* at = term.b.packed + panel * 2 * W * term.K;
                whole[t] = {term.a + row * term.ld, term.ld, term.K, packed_lines<V>(at, W)};
                folded[t] = whole[t];
                if (width > W) folded[t].b = packed_lines<V>(at + W * term.K, W);
            }
            if (width > W) micro_for<V, false>(rows, W)(whole, count, {}, out, ld);
            const auto micro = fold == 4 ? micro_folded_for<V, 4>(rows) : micro_folded_for<V, 2>(rows);
            micro(folded, count, out + width - W, ld);
        }
    }
};

// Rows cut into even tiles.
template <class V>
struct Tiles {
    int64_t count, least, more;  // the first `more` have one row more than `least`
    RECURRA_INLINE explicit Tiles(int64_t rows)
        : count((rows + Tile<V>::rows - 1) / Tile<V>::rows), least(count ? rows / count : 0), more(rows - least * count) {}
    RECURRA_INLINE int rows(int64_t tile) const { return int(least + (tile < more)); }
    // body(first row, rows) for each.
    template <class Body>
    RECURRA_INLINE void each(Body&& body) const {
        for (int64_t tile = 0, row = 0; tile < count; row += rows(tile++)) body(row, rows(tile));
    }
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
// An epilogue that takes all rows of a tile at once: tile(row, rows, block).
template <class Rows>
struct ByTile {
    Rows tile;
};
template <class Rows>
ByTile(Rows) -> ByTile<Rows>;

template <class V, int GATES, class Rows>
static void deliver(const typename V::Real* sums, const Columns<V>& columns, Range blocks, int64_t row, int rows,
                    const ByTile<Rows>& epilogue) {
    constexpr int W = V::width;
    for (int64_t index = blocks.begin; index < blocks.end; ++index, sums += GATES * W)
        epilogue.tile(row, rows, Block<V>{index, index * W, columns.valid(index), columns.pitch(index), columns.begin(index), sums});
}
template <class V, int GATES, class First, class Second>
static void deliver(const typename V::Real* sums, const Columns<V>& columns, Range blocks, int64_t row, int rows,
                    const InTurn<First, Second>& epilogue) {
    deliver<V, GATES>(sums, columns, blocks, row, rows, epilogue.first);
    deliver<V, GATES>(sums, columns, blocks, row, rows, epilogue.second);
}

// epilogue(row, block) for every row and every block of `blocks` (whole groups), of start + the sum over terms a * b.
template <class V, int GATES, class Epilogue>
RECURRA_INLINE void product(Terms<typename V::Real> terms, int64_t rows, const Columns<V>& columns, Range blocks,
                            Start<typename V::Real> start, Epilogue&& epilogue) {
    using R = typename V::Real;
    constexpr int W = V::width, P = 2 * W;
    constexpr int group_blocks = GATES % 2 == 1 ? 2 : 1;  // blocks until panels end with them
    constexpr int group_panels = GATES * group_blocks / 2;
    constexpr int wide_blocks = 8 / GATES, wide_panels = GATES * wide_blocks / 2;  // of a single row
    alignas(64) R sums[Tile<V>::size + W];
    const Tiles<V> tiles(rows);
    const int64_t panels = columns.panels();
    const int last_width = panels ? columns.panel_width(panels - 1) : 0, fold = terms.of[0].b.fold;
    for (int64_t block = blocks.begin, next; block < blocks.end; block = next) {
        const int64_t first_panel = columns.begin(block) / P;
        bool wide = rows == 1 && terms.count > 0 && block + wide_blocks <= blocks.end && columns.valid(block + wide_blocks - 1) == W;
        for (int t = 0; t < terms.count; ++t) {
            const int64_t in_place = terms.of[t].b.in_place;
            wide &= first_panel >= in_place || first_panel + wide_panels <= in_place;
        }
        next = block + (wide ? wide_blocks : group_blocks);
        if (next > blocks.end) next = blocks.end;
        if (wide) {
            for (int t = 0; t < terms.count; ++t) {
                const Term<R>& term = terms.of[t];
                Lines<R> lines[wide_panels];
                for (int p = 0; p < wide_panels; ++p) lines[p] = term.b.template at<V>(first_panel + p, P, term.K, GATES);
                micro_row<V, wide_panels>(term.a, lines, term.K, t ? sums : start.at(0, first_panel * P).p, sums);
            }
            deliver<V, GATES>(sums, columns, {block, next}, 0, 1, epilogue);
            continue;
        }
        tiles.each([&](int64_t row, int count) {
            for (int64_t panel = first_panel; panel < first_panel + group_panels && panel < panels; ++panel) {
                const int width = panel == panels - 1 ? last_width : P;
                R* out = sums + (panel - first_panel) * P;
                if (GATES == 1 && fold > 1 && panel == panels - 1)
                    terms.template multiply_folded<V>(row, count, panel, width, fold, out, Tile<V>::ld);
                else
                    terms.template multiply<V>(row, count, panel, width, GATES, start.at(row, panel * P), out, Tile<V>::ld);
            }
            deliver<V, GATES>(sums, columns, {block, next}, row, count, epilogue);
        });
    }
}

// out(row, column) = start(row, column) + the sum over terms a * b, for whole panels.
template <class V>
RECURRA_INLINE void product_into(Terms<typename V::Real> terms, int64_t rows, const Columns<V>& columns, Range panels,
                                 Start<typename V::Real> start, typename V::Real* out, int64_t ld) {
    constexpr int P = 2 * V::width;
    const Tiles<V> tiles(rows);
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        const int width = columns.panel_width(panel);
        tiles.each([&](int64_t row, int count) {
            terms.template multiply<V>(row, count, panel, width, columns.gates, start.at(row, panel * P),
                                       out + row * ld + panel * P, ld);
        });
    }
}

// epilogue(row, column, sums): the same without gates, a vector of columns [column, column + W) at a time.
template <class V, class Epilogue>
RECURRA_INLINE void plain_product(Terms<typename V::Real> terms, int64_t rows, const Columns<V>& columns, Range panels,
                                  Epilogue&& epilogue) {
    using R = typename V::Real;
    constexpr int W = V::width, P = 2 * W, ld = Tile<V>::ld;
    alignas(64) R sums[Tile<V>::size];
    const Tiles<V> tiles(rows);
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
        const int width = columns.panel_width(panel), fold = panel == columns.panels() - 1 ? terms.of[0].b.fold : 1;
        tiles.each([&](int64_t row, int count) {
            if (fold > 1)
                terms.template multiply_folded<V>(row, count, panel, width, fold, sums, ld);
            else
                terms.template multiply<V>(row, count, panel, width, columns.gates, {}, sums, ld);
            for (int r = 0; r < count; ++r)
                for (int v = 0; v < width; v += W) epilogue(row + r, panel * P + v, V::load(sums + r * ld + v));
        });
    }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
