// The product for one row, straight from the weights where they lie (units side by side, as TensorFlow has them): for a
// single step packing would cost more than it saves. Sums run in the same order as the packed product's: same bits.
#pragma once
#include "product.h"

namespace recurra {
namespace RECURRA_ISA {

// sums[block][gate] of BLOCKS whole blocks of units at a time, as many as the registers hold.
template <class V, int GATES, int BLOCKS>
static void direct(const typename V::Real* a, int64_t K, const typename V::Real* const* gates, int64_t row,
                   const typename V::Real* start, typename V::Real* sums) {
    constexpr int W = V::width;
    V sum[BLOCKS][GATES];
#pragma GCC unroll 8
    for (int b = 0; b < BLOCKS; ++b)
        for (int g = 0; g < GATES; ++g) sum[b][g] = start ? V::load(start + (b * GATES + g) * W) : V::zero();
    for (int64_t k = 0; k < K; ++k) {
        const V x = V::all(a[k]);
#pragma GCC unroll 8
        for (int b = 0; b < BLOCKS; ++b)
            for (int g = 0; g < GATES; ++g) sum[b][g] += x * V::load(gates[g] + k * row + b * W);
    }
#pragma GCC unroll 8
    for (int b = 0; b < BLOCKS; ++b)
        for (int g = 0; g < GATES; ++g) sum[b][g].store(sums + (b * GATES + g) * W);
}

// The last, incomplete block, its gates `pitch` apart: what spills over is overwritten by the next.
template <class V, int GATES>
static void direct_part(const typename V::Real* a, int64_t K, const typename V::Real* const* gates, int64_t row, int valid,
                        int pitch, const typename V::Real* start, typename V::Real* sums) {
    V sum[GATES];
    for (int g = 0; g < GATES; ++g) sum[g] = start ? V::load(start + g * pitch) : V::zero();
    for (int64_t k = 0; k < K; ++k)
        for (int g = 0; g < GATES; ++g) sum[g] += V::all(a[k]) * V::load_part(gates[g] + k * row, valid);
    for (int g = 0; g < GATES; ++g) sum[g].store(sums + g * pitch);
}

// epilogue(row, block) like `product`, of start + sum_k a(row, k) * gates(k, unit); all gates have the row stride `row`.
template <class V, int GATES, class Epilogue>
RECURRA_INLINE void direct_product(const typename V::Real* a, int64_t ld, int64_t rows, int64_t K,
                                   const typename V::Real* const (&gates)[GATES], int64_t row,
                                   const Columns<V>& columns, Range blocks, Start<typename V::Real> start,
                                   Epilogue&& epilogue) {
    using R = typename V::Real;
    constexpr int W = V::width;
    constexpr int many = (Tile<V>::rows * 2 + 4) / 2 / GATES >= 4 ? 4 : 2;
    alignas(64) R sums[(many * GATES + 1) * W];
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t block = blocks.begin, next; block < blocks.end; block = next) {
            const R* at[GATES];
            for (int g = 0; g < GATES; ++g) at[g] = gates[g] + block * W;
            const R* from = start.at(r, columns.begin(block)).p;
            next = block + 1;
            if (block + many <= blocks.end && columns.valid(block + many - 1) == W) {
                direct<V, GATES, many>(a + r * ld, K, at, row, from, sums);
                next = block + many;
            } else if (columns.valid(block) == W) {
                direct<V, GATES, 1>(a + r * ld, K, at, row, from, sums);
            } else {
                direct_part<V, GATES>(a + r * ld, K, at, row, columns.valid(block), columns.pitch(block), from, sums);
            }
            deliver<V, GATES>(sums, columns, {block, next}, r, 1, epilogue);
        }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
