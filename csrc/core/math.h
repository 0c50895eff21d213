// exp, sigmoid and tanh of vectors. float: 2^n * polynomial, absolute error below 3e-7; double: the C library, per lane.
#pragma once
#include <cmath>

#include "simd.h"

namespace recurra {
namespace RECURRA_ISA {

template <int N>
struct Exponent {
    Vec<float, N> scale;  // 2^n
    Vec<float, N> rest;   // exp(r) - 1 of the rest |r| <= ln 2 / 2
};

// x = n ln 2 + r. The polynomial is the Taylor series of expm1 to r^7 (error below 2^-26 on the interval).
template <int N>
RECURRA_INLINE Exponent<N> split_exponent(Vec<float, N> x) {
    using V = Vec<float, N>;
    typedef int32_t Int __attribute__((vector_size(N * 4)));
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    V shifted = x * 1.44269504088896341f + magic;
    V n = shifted + (-magic);
    V r = x - n * 0.693145751953125f;       // ln 2, upper bits
    r = r - n * 1.42860682030941723e-6f;    // ln 2, the rest
    V p = V::all(1.0f / 5040) * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r;
    Int bits = ((Int)shifted.v << 23) + (127 << 23);  // the low bits of `shifted` hold n
    return {V{(typename V::Native)bits}, p};
}

template <int N>
RECURRA_INLINE Vec<float, N> exp(Vec<float, N> x) {
    auto e = split_exponent<N>(x.at_most(88.0f).at_least(-87.0f));
    return e.scale * e.rest + e.scale;
}

template <int N>
RECURRA_INLINE Vec<float, N> sigmoid(Vec<float, N> x) {
    return Vec<float, N>::all(1) / (exp<N>(-x) + 1.0f);
}

// expm1(2x) / (expm1(2x) + 2): exact to the last bits near zero, too.
template <int N>
RECURRA_INLINE Vec<float, N> tanh(Vec<float, N> x) {
    auto e = split_exponent<N>((x + x).at_most(20.0f).at_least(-20.0f));
    Vec<float, N> m = e.scale * e.rest + (e.scale + (-1.0f));
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
