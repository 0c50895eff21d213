// Random masks. A word is a function of the seed, the row and the unit alone: a hash of 32 bits (C. Wellons, "prospecting
// for hash functions", https://nullprogram.com/blog/2018/07/31), a vector of a row's units at a time, keyed by two words of
// each row. So the numbers depend neither on threads nor on the instruction set, nor on what was drawn before.
#pragma once
#include "simd.h"

namespace recurra {
namespace RECURRA_ISA {

static inline uint64_t split_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// out[u] = value where a random word is below `limit`, else 0, for the `width` units of row `row`.
static inline void draw_row(float* out, int64_t width, uint32_t limit, float value, uint64_t seed, uint64_t row) {
    constexpr int lanes = 16;
    constexpr uint32_t step = 0x9e3779b9u;  // from unit to unit of a row
    typedef uint32_t Words __attribute__((vector_size(lanes * 4)));
    typedef float Floats __attribute__((vector_size(lanes * 4)));

    const uint64_t key = split_mix(split_mix(seed + 0x9e3779b97f4a7c15ull) + row * 0x9e3779b97f4a7c15ull);
    const uint32_t second = uint32_t(key >> 32);
    Words at = uint32_t(key) + step * Words{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const Floats yes = value - Floats{}, no = Floats{};
    for (int64_t u = 0; u < width; u += lanes, at += lanes * step) {
        Words random = at;
        random ^= random >> 16;
        random *= 0x7feb352du;
        random ^= (random >> 15) ^ second;
        random *= 0x846ca68bu;
        random ^= random >> 16;
        const Floats found = random < limit ? yes : no;
        if (width - u >= lanes)
            std::memcpy(out + u, &found, sizeof found);
        else
            std::memcpy(out + u, &found, (width - u) * sizeof(float));
    }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
