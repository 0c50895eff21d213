// Products of bfloat16 pairs: where this is compiled with RECURRA_HALF, operands of the recurrences' products lie as
// pairs of bfloat16, a pair in a float's place, and one instruction multiplies and adds both; sums stay float. Everything
// else (projected inputs, gates, states, outputs) is float as ever. A matrix of K rows is then one of (K + 1) / 2.
#pragma once
#include "pack.h"

namespace recurra {
namespace RECURRA_ISA {

#if defined(RECURRA_HALF)
constexpr bool halves = true;
#else
constexpr bool halves = false;
#endif

// Rows of a packed operand of `rows` rows.
RECURRA_INLINE int64_t packed_rows(int64_t rows) { return halves ? (rows + 1) / 2 : rows; }

// sum + x * y, of numbers or of pairs.
template <class V>
RECURRA_INLINE V accumulate(V sum, V x, V y) {
#if defined(RECURRA_HALF)
    return {(typename V::Native)_mm512_dpbf16_ps((__m512)sum.v, (__m512bh)x.v, (__m512bh)y.v)};
#else
    return sum + x * y;
#endif
}

// A row of `count` numbers as pairs; of an odd number the last has a zero for company. `out` has room for whole vectors.
template <class V>
inline void narrow(const typename V::Real* in, int64_t count, typename V::Real* out) {
#if defined(RECURRA_HALF)
    for (int64_t k = 0; k < count; k += 32) {
        const auto part = [&](int64_t at) {
            const int64_t left = count - at;
            return (__m512)(left >= 16 ? V::load(in + at) : left > 0 ? V::load_part(in + at, int(left)) : V::zero()).v;
        };
        const __m512bh pairs = _mm512_cvtne2ps_pbh(part(k + 16), part(k));
        std::memcpy(out + k / 2, &pairs, sizeof pairs);
    }
#else
    std::memcpy(out, in, count * sizeof(*in));
#endif
}

// `pack`, of pairs of rows.
template <class V>
inline typename V::Real pack_pairs(const Strided<typename V::Real>* gates, int64_t rows, const Columns<V>& columns,
                                   int64_t first, int64_t last, typename V::Real* panels) {
#if defined(RECURRA_HALF)
    using R = typename V::Real;
    constexpr int W = V::width, depth = 32;
    const __m512i interleaved = [] {
        alignas(64) uint16_t lane[32];
        for (int i = 0; i < 32; ++i) lane[i] = uint16_t(i / 2 + i % 2 * 16);
        return _mm512_load_si512(lane);
    }();
    alignas(64) R strip[depth * W];
    V sum = V::zero();
    for (int64_t block = first; block < last; ++block)
        for (int g = 0; g < columns.gates; ++g) {
            const int n = columns.valid(block), pitch = columns.pitch(block);
            const int64_t column = columns.begin(block) + g * pitch;
            const int ld = columns.panel_width(column / (2 * W));
            R* out = panels + panel_offset<V>(column - columns.begin(first), packed_rows(rows));
            for (int64_t row = 0; row < rows; row += depth) {
                const int64_t count = rows - row < depth ? rows - row : depth;
                if (n < W || count < depth) std::memset(strip, 0, sizeof strip);
                Strided<R> source = gates[g];
                source.p += row * source.row + block * W * source.unit;
                sum += copy_strided<V, false, true>(source, count, n, strip, W);
                for (int64_t k = 0; k < count; k += 2, out += ld) {
                    const __m512bh pair = _mm512_cvtne2ps_pbh((__m512)V::load(strip + (k + 1) * W).v, (__m512)V::load(strip + k * W).v);
                    const __m512i mixed = _mm512_permutexvar_epi16(interleaved, (__m512i)pair);
                    V{(typename V::Native)mixed}.store(out, pitch < W ? pitch : W);
                }
            }
        }
    return sum.sum();
#else
    return pack<V>(gates, rows, columns, first, last, panels);
#endif
}

}  // namespace RECURRA_ISA
}  // namespace recurra
