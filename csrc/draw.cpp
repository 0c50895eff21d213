// Random masks: xoshiro128++ (Blackman and Vigna, https://prng.di.unimi.it), sixteen streams side by side. Every piece of
// `size` elements starts streams of its own, so the numbers depend neither on threads nor on the instruction set.
#include "core/kernels.h"
#include "core/simd.h"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr int lanes = 16;
typedef uint32_t Words __attribute__((vector_size(lanes * 4)));
typedef float Floats __attribute__((vector_size(lanes * 4)));

uint64_t split_mix(uint64_t& state) {
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

struct Streams {
    Words s[4];

    Streams(uint64_t seed, uint64_t piece) {
        uint64_t state = seed ^ (piece * 0xd1342543de82ef95ull);
        split_mix(state);
        for (int lane = 0; lane < lanes; ++lane)
            for (int word = 0; word < 4; word += 2) {
                const uint64_t bits = split_mix(state);
                s[word][lane] = uint32_t(bits) | 1u;  // never all zeros
                s[word + 1][lane] = uint32_t(bits >> 32);
            }
    }
    RECURRA_INLINE void next(Words& result) {
        const Words sum = s[0] + s[3], shifted = s[1] << 9;
        result = ((sum << 7) | (sum >> 25)) + s[0];
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = (s[3] << 11) | (s[3] >> 21);
    }
};

}  // namespace

// out[i] = value where a random word is below `limit`, else 0; elements [0, count) of piece `piece`.
void draw(float* out, int64_t count, uint32_t limit, float value, uint64_t seed, uint64_t piece) {
    Streams streams(seed, piece);
    const Floats yes = value - Floats{}, no = Floats{};
    for (int64_t i = 0; i < count; i += lanes) {
        Words random;
        streams.next(random);
        const Floats found = random < limit ? yes : no;
        if (count - i >= lanes)
            std::memcpy(out + i, &found, sizeof found);
        else
            for (int lane = 0; lane < count - i; ++lane) out[i + lane] = found[lane];
    }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
