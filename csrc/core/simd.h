// One SIMD vector type for every instruction set, on the compilers' vector extensions: the same source is compiled with
// the flags of AVX-512, of AVX2 and of the plain machine (see CMakeLists.txt); RECURRA_ISA names the namespace of each.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef RECURRA_ISA
#error "compile with -DRECURRA_ISA=portable|avx2|avx512"
#endif

#define RECURRA_INLINE inline __attribute__((always_inline))

namespace recurra {
namespace RECURRA_ISA {

template <class R, int N>
struct Vec {
    using Real = R;
    static constexpr int width = N;
    typedef R Native __attribute__((vector_size(N * sizeof(R))));
    typedef R Loose __attribute__((vector_size(N * sizeof(R)), aligned(alignof(R))));  // aliases R, as GCC and Clang have it

    typedef std::conditional_t<sizeof(R) == 4, int32_t, int64_t> Lane;
    typedef Lane Lanes __attribute__((vector_size(N * sizeof(R))));

    Native v;

    static RECURRA_INLINE Vec zero() { return {Native{}}; }
    static RECURRA_INLINE Vec all(R x) { return {x - Native{}}; }
    static RECURRA_INLINE Vec load(const R* p) { return {*reinterpret_cast<const Loose*>(p)}; }
    RECURRA_INLINE void store(R* p) const { *reinterpret_cast<Loose*>(p) = v; }

    // To memory, past the caches: for much that is not read soon. `p` aligned; others may read it after past_caches_stored().
    RECURRA_INLINE void store_past_caches(R* p) const {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(R) == 4) {  // a whole line; of less, half lines would be written
            _mm512_stream_ps(p, (__m512)v);
            return;
        }
#endif
        store(p);
    }
    static RECURRA_INLINE void past_caches_stored() {
#if defined(__AVX512F__)
        _mm_sfence();
#endif
    }

    // p[0] .. p[F - 1] again and again: one load, where vectors are long.
    static constexpr bool repeats = sizeof(R) == 4 && N >= 8;
    template <int F>
    static RECURRA_INLINE Vec repeat(const R* p) {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(R) == 4 && F == 4) return {(Native)_mm512_broadcast_f32x4(_mm_loadu_ps(p))};
        if constexpr (N == 16 && sizeof(R) == 4 && F == 2)
            return {(Native)_mm512_broadcastsd_pd(_mm_castsi128_pd(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
#elif defined(__AVX2__)
        if constexpr (N == 8 && sizeof(R) == 4 && F == 4) return {(Native)_mm256_broadcast_ps(reinterpret_cast<const __m128*>(p))};
        if constexpr (N == 8 && sizeof(R) == 4 && F == 2)
            return {(Native)_mm256_broadcastsd_pd(_mm_castsi128_pd(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
#endif
        Vec out;
        for (int i = 0; i < N; ++i) out.v[i] = p[i % F];
        return out;
    }

    // The first n lanes; the others are zero (load) or not written (store).
    static RECURRA_INLINE Vec load_part(const R* p, int n) {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(R) == 4) return {(Native)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p)};
#endif
        Vec out = zero();
        for (int i = 0; i < n; ++i) out.v[i] = p[i];
        return out;
    }
    RECURRA_INLINE void store_part(R* p, int n) const {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(R) == 4) {
            _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), (__m512)v);
            return;
        }
#endif
        for (int i = 0; i < n; ++i) p[i] = v[i];
    }
    // The same, for whole vectors most of the time.
    static RECURRA_INLINE Vec load(const R* p, int n) { return n == N ? load(p) : load_part(p, n); }
    RECURRA_INLINE void store(R* p, int n) const { n == N ? store(p) : store_part(p, n); }
    // Lanes from n on set to zero: what lies in the padding must not meet a product.
    RECURRA_INLINE Vec first(int n) const {
        if (n == N) return *this;
        Lanes lane;
        for (int i = 0; i < N; ++i) lane[i] = i;
        return {lane < Lane(n) ? v : Native{}};
    }

    friend RECURRA_INLINE Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
    friend RECURRA_INLINE Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
    friend RECURRA_INLINE Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
    friend RECURRA_INLINE Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
    friend RECURRA_INLINE Vec operator+(Vec a, R b) { return {a.v + b}; }
    friend RECURRA_INLINE Vec operator*(Vec a, R b) { return {a.v * b}; }
    friend RECURRA_INLINE Vec operator-(R a, Vec b) { return {a - b.v}; }
    friend RECURRA_INLINE Vec operator/(R a, Vec b) { return {a / b.v}; }
    RECURRA_INLINE Vec operator-() const { return {-v}; }
    RECURRA_INLINE Vec& operator+=(Vec b) { v += b.v; return *this; }

    // NaN passes through both (the comparison is false, x is kept).
    RECURRA_INLINE Vec at_most(R hi) const {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(R) == 4) return {(Native)_mm512_min_ps((__m512)all(hi).v, (__m512)v)};
#elif defined(__AVX2__)
        if constexpr (N == 8 && sizeof(R) == 4) return {(Native)_mm256_min_ps((__m256)all(hi).v, (__m256)v)};
#endif
        return {v > hi ? all(hi).v : v};
    }
    RECURRA_INLINE Vec at_least(R lo) const {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(R) == 4) return {(Native)_mm512_max_ps((__m512)all(lo).v, (__m512)v)};
#elif defined(__AVX2__)
        if constexpr (N == 8 && sizeof(R) == 4) return {(Native)_mm256_max_ps((__m256)all(lo).v, (__m256)v)};
#endif
        return {v < lo ? all(lo).v : v};
    }
    // 1 where strictly inside (-limit, limit), else 0: the derivative of a clip.
    RECURRA_INLINE Vec inside(R limit) const { return {(v >= -limit) & (v <= limit) ? all(1).v : Native{}}; }
    RECURRA_INLINE Vec positive() const { return {v > R(0) ? all(1).v : Native{}}; }
    // `yes` where above `limit`, else `no` (NaN too).
    RECURRA_INLINE Vec above(R limit, Vec yes, Vec no) const { return {v > limit ? yes.v : no.v}; }
    RECURRA_INLINE Vec magnitude() const { return {v < R(0) ? -v : v}; }
    // A function of each lane.
    template <class Function>
    RECURRA_INLINE Vec each(Function&& function) const {
        Vec out = *this;
        for (int i = 0; i < N; ++i) out.v[i] = function(v[i]);
        return out;
    }

    // Of the halves' sums, and so on.
    RECURRA_INLINE R sum() const {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(R) == 4) return _mm512_reduce_add_ps((__m512)v);
#endif
        R s[N];
        store(s);
        for (int half = N / 2; half > 0; half /= 2)
            for (int i = 0; i < half; ++i) s[i] += s[i + half];
        return s[0];
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
