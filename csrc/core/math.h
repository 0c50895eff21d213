// sigmoid and tanh of vectors. float: 2^n * polynomial, absolute error below 3e-7; double: the C library, per lane.
#pragma once
#include <cmath>

#include "simd.h"

namespace recurra {
namespace RECURRA_ISA {

// 2^x + bias, bias 0, 1 or -1, x = n + r: 2^n (p(r) r) + (2^n + bias) keeps the last bits where bias is -1 and x is
// small. The polynomial is the best one for (2^r - 1) / r: relative error 1.3e-8, |r| <= 1/2.
template <int N>
RECURRA_INLINE Vec<float, N> power_of_two(Vec<float, N> x, float bias) {
    using V = Vec<float, N>;
#if defined(__AVX512DQ__)
    static_assert(N == 16);
    const V r = {(typename V::Native)_mm512_reduce_ps((__m512)x.v, 0)};
    const V scale = {(typename V::Native)_mm512_scalef_ps(_mm512_set1_ps(1), _mm512_roundscale_ps((__m512)x.v, 0))};
#else
    x = x.at_least(-126.0f);  // a normal number
    typedef uint32_t Int __attribute__((vector_size(N * 4)));  // unsigned: NaN brings any bits
    const float magic = 12582912.0f;                           // 1.5 * 2^23: adding it rounds to an integer
    const V shifted = x + magic;
    const V r = x - (shifted + (-magic));
    const V scale = {(typename V::Native)(((Int)shifted.v << 23) + (127u << 23))};  // the low bits of `shifted` hold n
#endif
    V p = V::all(1.5397764e-4f) * r + 1.3387399e-3f;
    p = p * r + 9.6182496e-3f;
    p = p * r + 5.5503677e-2f;
    p = p * r + 2.4022650e-1f;
    p = p * r + 6.9314718e-1f;
    return scale * (p * r) + (scale + bias);
}

// 2^x + 1, for which the last bits of a small 2^x do not count: x = n + r with 0 <= r < 1 and the best polynomial for
// 2^r of degree 5, relative error 7.5e-8.
template <int N>
RECURRA_INLINE Vec<float, N> power_of_two_and_one(Vec<float, N> x) {
#if defined(__AVX512DQ__)
    using V = Vec<float, N>;
    const V r = {(typename V::Native)_mm512_reduce_ps((__m512)x.v, _MM_FROUND_TO_NEG_INF)};
    V p = V::all(1.8775767e-3f) * r + 8.9893401e-3f;
    p = p * r + 5.5826318e-2f;
    p = p * r + 2.4015361e-1f;
    p = p * r + 6.9315307e-1f;
    p = p * r + 9.9999993e-1f;
    return V{(typename V::Native)_mm512_scalef_ps((__m512)p.v, (__m512)x.v)} + 1.0f;
#else
    return power_of_two<N>(x, 1);
#endif
}

// A quotient before it is divided: several share one division, the slowest of all operations.
template <class V>
struct Ratio {
    V top, bottom;
};

// 1 / (1 + 2^(-x log2 e)); the bounds keep products of three bottoms finite.
template <int N>
RECURRA_INLINE Ratio<Vec<float, N>> sigmoid_ratio(Vec<float, N> x) {
    return {Vec<float, N>::all(1), power_of_two_and_one<N>((x * -1.44269504088896341f).at_most(40.0f))};
}

// With m = exp(2x) - 1: m / (m + 2). Good to the last bits near zero, too.
template <int N>
RECURRA_INLINE Ratio<Vec<float, N>> tanh_ratio(Vec<float, N> x) {
    const auto m = power_of_two<N>((x * 2.88539008177792681f).at_most(30.0f), -1);
    return {m, m + 2.0f};
}

template <int N>
RECURRA_INLINE Vec<float, N> sigmoid(Vec<float, N> x) {
    const auto r = sigmoid_ratio<N>(x);
    return r.top / r.bottom;
}

template <int N>
RECURRA_INLINE Vec<float, N> tanh(Vec<float, N> x) {
    const auto r = tanh_ratio<N>(x);
    return r.top / r.bottom;
}

// x = sigmoid(x), y = tanh(y).
template <int N>
RECURRA_INLINE void sigmoid_tanh(Vec<float, N>& x, Vec<float, N>& y) {
    const auto a = sigmoid_ratio<N>(x), b = tanh_ratio<N>(y);
    const auto q = 1.0f / (a.bottom * b.bottom);
    x = b.bottom * q;
    y = b.top * (a.bottom * q);
}

// x = sigmoid(x), y = sigmoid(y).
template <int N>
RECURRA_INLINE void sigmoid_sigmoid(Vec<float, N>& x, Vec<float, N>& y) {
    const auto a = sigmoid_ratio<N>(x), b = sigmoid_ratio<N>(y);
    const auto q = 1.0f / (a.bottom * b.bottom);
    x = b.bottom * q;
    y = a.bottom * q;
}

// x = sigmoid(x), y = sigmoid(y), z = tanh(z).
template <int N>
RECURRA_INLINE void sigmoid_sigmoid_tanh(Vec<float, N>& x, Vec<float, N>& y, Vec<float, N>& z) {
    const auto a = sigmoid_ratio<N>(x), b = sigmoid_ratio<N>(y), c = tanh_ratio<N>(z);
    const auto ab = a.bottom * b.bottom, q = 1.0f / (ab * c.bottom), cq = c.bottom * q;
    x = b.bottom * cq;
    y = a.bottom * cq;
    z = c.top * (ab * q);
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

template <int N>
RECURRA_INLINE void sigmoid_tanh(Vec<double, N>& x, Vec<double, N>& y) {
    x = sigmoid(x);
    y = tanh(y);
}

template <int N>
RECURRA_INLINE void sigmoid_sigmoid(Vec<double, N>& x, Vec<double, N>& y) {
    x = sigmoid(x);
    y = sigmoid(y);
}

template <int N>
RECURRA_INLINE void sigmoid_sigmoid_tanh(Vec<double, N>& x, Vec<double, N>& y, Vec<double, N>& z) {
    sigmoid_sigmoid(x, y);
    z = tanh(z);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
