// Weights as the product reads them: columns in the order the epilogue wants, cut into panels of two vectors, each panel
// [K][2 W] in one piece of memory.
//
// The columns of a bank are its gates interleaved by blocks of W units: block b holds gate 0 of units bW .. bW+W-1,
// then gate 1 of the same units, and so on, so that all gates of a unit come out of the product together. The last,
// incomplete block packs its gates closer (a `pitch` below W), so that odd sizes waste next to nothing.
#pragma once
#include "call.h"
#include "simd.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V>
struct Columns {
    static constexpr int W = V::width;
    int gates;
    int64_t units;

    int64_t blocks() const { return (units + W - 1) / W; }
    int valid(int64_t block) const { return units - block * W < W ? int(units - block * W) : W; }
    int pitch(int64_t block) const {
        int pitch = W;
        while (pitch / 2 >= valid(block) && (gates * pitch / 2) % W == 0) pitch /= 2;
        return pitch;
    }
    int64_t begin(int64_t block) const { return block * gates * W; }
    int64_t count() const {
        return units == 0 ? 0 : begin(blocks() - 1) + gates * int64_t(pitch(blocks() - 1));
    }
    // Rows of the panels of transposed weights: the columns, but for a single gate's padding.
    int64_t transposed_rows() const {
        const int64_t filled = (units + 3) / 4 * 4;  // whole ones of a folded block
        return gates == 1 && filled < count() ? filled : count();
    }
    // A last block of a single gate that would leave half of its vector empty or more is folded: F rows lie side by side
    // there, those of one unit next to each other, and the product's parts are added in the end. 1: it is not.
    int fold() const {
        if (!V::repeats || units == 0) return 1;
        const int valid = this->valid(blocks() - 1);
        return valid * 4 <= W ? 4 : valid * 2 <= W ? 2 : 1;
    }
    // Blocks before the last panels, those that hold an incomplete one.
    int64_t whole_blocks() const { return gates % 2 == 1 ? units / W / 2 * 2 : units / W; }
    int64_t panels() const { return (count() + 2 * W - 1) / (2 * W); }
    // Width of a panel: two vectors, or one where the last is odd.
    int panel_width(int64_t panel) const { return count() - panel * 2 * W >= 2 * W ? 2 * W : W; }
};

// A matrix seen through strides, rows x units.
template <class R>
struct Strided {
    const R* p;
    int64_t row, unit;
};

#if defined(__clang__)
#define RECURRA_SHUFFLE 0
#else
#define RECURRA_SHUFFLE 1
#endif

template <int BYTES>
struct LaneOf {
    using Type = int32_t;
};
template <>
struct LaneOf<8> {
    using Type = int64_t;
};

template <bool PAST_CACHES, class V>
RECURRA_INLINE void put(V x, typename V::Real* p) {
    if constexpr (PAST_CACHES)
        x.store_past_caches(p);
    else
        x.store(p);
}

// out[k * out_ld + u] = in[u * in_ld + k] for a full W x W square, by log2(W) rounds of interleaving halves.
template <class V, bool PAST_CACHES = false>
RECURRA_INLINE void transpose_square(const typename V::Real* in, int64_t in_ld, typename V::Real* out, int64_t out_ld) {
    constexpr int W = V::width;
#if RECURRA_SHUFFLE
    using R = typename V::Real;
    using Lane = typename LaneOf<sizeof(R)>::Type;
    typedef Lane Index __attribute__((vector_size(W * sizeof(R))));
    Index low, high;
    for (int i = 0; i < W; ++i) {
        low[i] = Lane(i / 2 + (i % 2) * W);
        high[i] = low[i] + W / 2;
    }
    typename V::Native a[W], b[W];
    for (int i = 0; i < W; ++i) a[i] = V::load(in + i * in_ld).v;
    for (int round = 1; round < W; round *= 2) {
        for (int i = 0; i < W / 2; ++i) {
            b[2 * i] = __builtin_shuffle(a[i], a[i + W / 2], low);
            b[2 * i + 1] = __builtin_shuffle(a[i], a[i + W / 2], high);
        }
        for (int i = 0; i < W; ++i) a[i] = b[i];
    }
    for (int i = 0; i < W; ++i) put<PAST_CACHES>(V{a[i]}, out + i * out_ld);
#else
    for (int k = 0; k < W; ++k)
        for (int u = 0; u < W; ++u) out[k * out_ld + u] = in[u * in_ld + k];
#endif
}

// out[k * out_ld + u] = in(k, u) for k < rows, u < units, whichever way the source lies. If LOOKS, returns sums of
// 0 * in(k, u): zeros, or NaN where one of them is not finite.
template <class V, bool PAST_CACHES = false, bool LOOKS = false>
inline V copy_strided(Strided<typename V::Real> in, int64_t rows, int units, typename V::Real* out, int64_t out_ld) {
    constexpr int W = V::width;
    const V nothing = V::zero();
    V sum = nothing;
    if (in.unit == 1) {
        if (units == W)
            for (int64_t k = 0; k < rows; ++k) {
                // Of a later block: rows are too many for the processor's own prefetching. Into the second level: the
                // first has too few lines for so many rows.
                __builtin_prefetch(in.p + k * in.row + 4 * W, 0, 2);
                const V x = V::load(in.p + k * in.row);
                if (LOOKS) sum += nothing * x;
                put<PAST_CACHES>(x, out + k * out_ld);
            }
        else
            for (int64_t k = 0; k < rows; ++k) {
                const V x = V::load(in.p + k * in.row, units);
                if (LOOKS) sum += nothing * x;
                x.store(out + k * out_ld, units);
            }
        return sum;
    }
    int64_t k = 0;
    if (in.row == 1 && units == W)
        for (; k + W <= rows; k += W) {
            transpose_square<V, PAST_CACHES>(in.p + k, in.unit, out + k * out_ld, out_ld);
            for (int u = 0; LOOKS && u < W; ++u) sum += nothing * V::load(in.p + k + u * in.unit);
        }
    typename V::Real rest = 0;
    for (; k < rows; ++k)
        for (int u = 0; u < units; ++u) rest += 0 * (out[k * out_ld + u] = in.p[k * in.row + u * in.unit]);
    return sum + rest;
}

// The sum of 0 * x over rows of units side by side: 0, or NaN where one of them is not finite.
template <class V>
inline typename V::Real zero_times(const typename V::Real* p, int64_t stride, int64_t rows, int64_t units) {
    constexpr int W = V::width;
    V sum = V::zero(), second = V::zero();
    for (int64_t k = 0; k < rows; ++k, p += stride) {
        int64_t u = 0;
        for (; u + 2 * W <= units; u += 2 * W) {
            sum += V::zero() * V::load(p + u);
            second += V::zero() * V::load(p + u + W);
        }
        for (; u < units; u += W) sum += V::zero() * V::load(p + u, units - u < W ? int(units - u) : W);
    }
    return (sum + second).sum();
}

// Where column `column`, row 0 lies in panels of `rows` rows; its next row is panel_width further.
template <class V>
RECURRA_INLINE int64_t panel_offset(int64_t column, int64_t rows) {
    constexpr int64_t P = 2 * V::width;
    return column / P * P * rows + column % P;
}

// Panels of weights [rows -> gates x units] for blocks [first, last), from where a panel begins. PAST_CACHES: of many
// megabytes, which would be fetched before they are overwritten, and push out what is read next. Returns the sum of 0 * x.
template <class V, bool PAST_CACHES = false>
inline typename V::Real pack(const Strided<typename V::Real>* gates, int64_t rows, const Columns<V>& columns, int64_t first,
                 int64_t last, typename V::Real* panels) {
    using R = typename V::Real;
    // Some rows at a time where rows lie in one piece: the source is then read from front to back.
    const int64_t step = gates[0].unit == 1 ? 32 : rows;
    V sum = V::zero();
    for (int64_t row = 0; row < rows; row += step) {
        const int64_t count = rows - row < step ? rows - row : step;
        for (int64_t block = first; block < last; ++block) {
            const int n = columns.valid(block), pitch = columns.pitch(block);
            for (int g = 0; g < columns.gates; ++g) {
                const int64_t column = columns.begin(block) + g * pitch;
                const int ld = columns.panel_width(column / (2 * V::width));
                R* out = panels + panel_offset<V>(column - columns.begin(first), rows) + row * ld;
                Strided<R> source = gates[g];
                source.p += row * source.row + block * V::width * source.unit;
                sum += copy_strided<V, PAST_CACHES, true>(source, count, n, out, ld);
                if (n < pitch)
                    for (int64_t k = 0; k < count; ++k)
                        for (int u = n; u < pitch; ++u) out[k * ld + u] = 0;
            }
        }
    }
    if (PAST_CACHES) V::past_caches_stored();
    return sum.sum();
}

// Panels of the transposed weights [gates x units -> rows]: row `column` of the panels is a column of the bank, in the
// bank's order, its padding included (zeros). `plain` = the columns of the result; panels [first, last) of it; `fold` of
// its last block.
template <class V>
inline void pack_transposed(const Strided<typename V::Real>* gates, const Columns<V>& bank, const Columns<V>& plain,
                            int64_t first, int64_t last, typename V::Real* panels, int fold = 1) {
    using R = typename V::Real;
    constexpr int W = V::width;
    const int64_t rows = bank.transposed_rows();
    for (int64_t block = first; block < last; ++block) {
        const int n = plain.valid(block);
        const int64_t column = plain.begin(block), panel = column / (2 * W);
        const bool folded = fold > 1 && block == plain.blocks() - 1;
        // A block beside a folded one is a panel of its own.
        const bool alone = fold > 1 && panel == plain.panels() - 1;
        const int ld = alone ? W : plain.panel_width(panel);
        R* out = panels + panel * 2 * W * rows + column % (2 * W) * (alone ? rows : 1);
        if (n < W || bank.valid(bank.blocks() - 1) < W)
            for (int64_t k = 0; k < rows; k += folded ? fold : 1) V::zero().store(out + k / (folded ? fold : 1) * ld);
        for (int64_t b = 0; b < bank.blocks(); ++b)
            for (int g = 0; g < bank.gates; ++g) {
                const Strided<R> source = {gates[g].p + b * W * gates[g].unit + block * W * gates[g].row, gates[g].unit,
                                           gates[g].row};
                const int64_t at = bank.begin(b) + g * bank.pitch(b);
                if (!folded) {
                    copy_strided<V>(source, bank.valid(b), n, out + at * ld, ld);
                    continue;
                }
                for (int u = 0; u < n; ++u)
                    for (int64_t k = 0; k < bank.valid(b); ++k)
                        out[(at + k) / fold * W + u * fold + (at + k) % fold] = source.p[k * source.row + u * source.unit];
            }
    }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
