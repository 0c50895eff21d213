// exp and log of vectors. float: relative error of exp below 1e-6 near zero, of log below 2e-7; double: the C library.
#pragma once
#include "math.h"

namespace recurra {
namespace RECURRA_ISA {

// exp(x) for x <= 0; exactly zero below -87 (float), for -inf too.
template <int N>
RECURRA_INLINE Vec<float, N> falling_exp(Vec<float, N> x) {
    using V = Vec<float, N>;
    return {x.v < -87.0f ? V::zero().v : power_of_two<N>(x * 1.44269504088896341f, 0).v};
}

template <int N>
RECURRA_INLINE Vec<double, N> falling_exp(Vec<double, N> x) {
    for (int i = 0; i < N; ++i) x.v[i] = std::exp(x.v[i]);
    return x;
}

// log(x) of normal numbers above zero; x = 2^e (1 + r), sqrt(1/2) <= 1 + r < sqrt(2). Polynomial: Cephes (Moshier).
template <int N>
RECURRA_INLINE Vec<float, N> natural_log(Vec<float, N> x) {
    using V = Vec<float, N>;
    typedef int32_t Int __attribute__((vector_size(N * 4)));
    const Int bits = (Int)x.v - 0x3f3504f3;  // of sqrt(1/2)
    const Int exponent = bits >> 23;
    const V e = {__builtin_convertvector(exponent, typename V::Native)};
    const V r = V{(typename V::Native)((Int)x.v - (exponent << 23))} + (-1.0f), r2 = r * r;
    V p = V::all(7.0376836292e-2f) * r + (-1.1514610310e-1f);
    p = p * r + 1.1676998740e-1f;
    p = p * r + (-1.2420140846e-1f);
    p = p * r + 1.4249322787e-1f;
    p = p * r + (-1.6668057665e-1f);
    p = p * r + 2.0000714765e-1f;
    p = p * r + (-2.4999993993e-1f);
    p = p * r + 3.3333331174e-1f;
    const V y = p * r * r2 + e * -2.12194440e-4f + r2 * -0.5f;
    const V log = r + y + e * 0.693359375f;
    return {x.v == x.v ? log.v : x.v};
}

template <int N>
RECURRA_INLINE Vec<double, N> natural_log(Vec<double, N> x) {
    for (int i = 0; i < N; ++i) x.v[i] = std::log(x.v[i]);
    return x;
}

}  // namespace RECURRA_ISA
}  // namespace recurra
