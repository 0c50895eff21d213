// sigmoid and tanh of vectors. float: 2^n * polynomial, absolute error below 3e-7; double: the C library, per lane.
#pragma once
#include <cmath>

#include "simd.h"

namespace recurra {
namespace RECURRA_ISA {

template <int N>
struct Power {
    Vec<float, N> scale;  // 2^n
    Vec<float, N> rest;   // 2^r - 1 of the rest |r| <= 1/2
};

// 2^x, x = n + r. The polynomial is the Taylor series of 2^r - 1 to r^6: relative error below 2e-7 at the ends.
template <int N>
RECURRA_INLINE Power<N> power_of_two(Vec<float, N> x) {
    using V = Vec<float, N>;
    typedef uint32_t Int __attribute__((vector_size(N * 4)));  // unsigned: NaN brings any bits
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const V shifted = x + magic;
    const V r = x - (shifted + (-magic));
    V p = V::all(1.5403530e-4f) * r + 1.3333558e-3f;
    p = p * r + 9.6181291e-3f;
    p = p * r + 5.5504109e-2f;
    p = p * r + 2.4022651e-1f;
    p = p * r + 6.9314718e-1f;
    const Int bits = ((Int)shifted.v << 23) + (127u << 23);  // the low bits of `shifted` hold n
    return {V{(typename V::Native)bits}, p * r};
}

// 1 / (1 + 2^(-x log2 e)); the bounds keep 2^n a normal number.
template <int N>
RECURRA_INLINE Vec<float, N> sigmoid(Vec<float, N> x) {
    const auto e = power_of_two<N>((x * -1.44269504088896341f).at_most(126.0f).at_least(-126.0f));
    return Vec<float, N>::all(1) / (e.scale * e.rest + (e.scale + 1.0f));
}

// With m = exp(2x) - 1: m / (m + 2). Good to the last bits near zero, too.
template <int N>
RECURRA_INLINE Vec<float, N> tanh(Vec<float, N> x) {
    const auto e = power_of_two<N>((x * 2.88539008177792681f).at_most(30.0f).at_least(-30.0f));
    const Vec<float, N> m = e.scale * e.rest + (e.scale + (-1.0f));
    return m / (m + 2.0f);
}

template <int N>
RECURRA_INLINE Vec<double, N> sigmoid(Vec<double, N> x) {
    for (int i = 0; i < N; ++i) x.v[i] = 1.0 / (1.0 + std::exp(-x.v[i]));
    return x;
}

template <int N>
RECURRA_INLINE Vec<double, N> tanh(Vec<double, N> x) {
    for (int i = 0; i < N; ++i) x.v[i] = std::tanh(x.v[i]);
    return x;
}

}  // namespace RECURRA_ISA
}  // namespace recurra
