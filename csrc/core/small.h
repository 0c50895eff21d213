// Products of small matrices that stay in the caches, read where they lie: no packing.
#pragma once
#include "pack.h"

namespace recurra {
namespace RECURRA_ISA {

// Rows of a register tile; row counts are multiples of it.
template <class V>
constexpr int small_rows = sizeof(typename V::Native) == 64 ? 8 : 4;

// Which entries of `a` are not zero: all, those with k <= row, those with k >= row.
enum class Filled { all, lower, upper };

template <class V, bool KMAJOR, int NV>
RECURRA_INLINE void small_tile(const typename V::Real* a, int64_t lda, const typename V::Real* b, int64_t ldb, int64_t K,
                               typename V::Real* c, int64_t ldc, bool add) {
    constexpr int W = V::width, M = small_rows<V>;
    V sum[M][NV];
#pragma GCC unroll 8
    for (int r = 0; r < M; ++r)
        for (int v = 0; v < NV; ++v) sum[r][v] = add ? V::load(c + r * ldc + v * W) : V::zero();
    for (int64_t k = 0; k < K; ++k) {
        V row[NV];
        for (int v = 0; v < NV; ++v) row[v] = V::load(b + k * ldb + v * W);
#pragma GCC unroll 8
        for (int r = 0; r < M; ++r) {
            const V x = V::all(KMAJOR ? a[k * lda + r] : a[r * lda + k]);
            for (int v = 0; v < NV; ++v) sum[r][v] = sum[r][v] + x * row[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < M; ++r)
        for (int v = 0; v < NV; ++v) sum[r][v].store(c + r * ldc + v * W);
}

// c [M, N] (+)= a b: a [M, K], or [K, M] if KMAJOR, b [K, N]; M a multiple of small_rows, N of the vector's width.
template <class V, bool KMAJOR = false, Filled filled = Filled::all>
static __attribute__((noinline)) void small_product(const typename V::Real* a, int64_t lda, const typename V::Real* b,
                                                    int64_t ldb, typename V::Real* c, int64_t ldc, int64_t M, int64_t N,
                                                    int64_t K, bool add) {
    constexpr int W = V::width, rows = small_rows<V>;
    for (int64_t r = 0; r < M; r += rows) {
        const int64_t from = filled == Filled::upper ? r : 0;
        const int64_t to = filled == Filled::lower && r + rows < K ? r + rows : K;
        const auto* first = KMAJOR ? a + from * lda + r : a + r * lda + from;
        int64_t n = 0;
        for (; n + 2 * W <= N; n += 2 * W)
            small_tile<V, KMAJOR, 2>(first, lda, b + from * ldb + n, ldb, to - from, c + r * ldc + n, ldc, add);
        if (n < N) small_tile<V, KMAJOR, 1>(first, lda, b + from * ldb + n, ldb, to - from, c + r * ldc + n, ldc, add);
    }
}

// out [columns, rows] = in [rows, columns] turned; both multiples of the vector's width.
template <class V>
static void small_transpose(const typename V::Real* in, int64_t ld_in, int64_t rows, int64_t columns,
                            typename V::Real* out, int64_t ld_out) {
    for (int64_t r = 0; r < rows; r += V::width)
        for (int64_t c = 0; c < columns; c += V::width)
            transpose_square<V>(in + r * ld_in + c, ld_in, out + c * ld_out + r, ld_out);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
