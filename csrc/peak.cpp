// Multiply-adds per second out of registers: what the benchmark calls 100 %.
#include "core/kernels.h"
#include "core/simd.h"

namespace recurra {
namespace RECURRA_ISA {

#if defined(RECURRA_WIDE)
using Float = Vec<float, RECURRA_WIDE / 4>;
#else
using Float = Vec<float, 4>;
#endif

// Twelve chains: more than latency times units. Returns the floating-point operations done.
double multiply_add(int64_t rounds, float* sink) {
    Float chain[12];
    for (int i = 0; i < 12; ++i) chain[i] = Float::all(float(i));
    const Float a = Float::all(0.999f), b = Float::all(0.001f);
    for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
        for (int i = 0; i < 12; ++i) chain[i] = chain[i] * a + b;
    Float sum = Float::zero();
    for (int i = 0; i < 12; ++i) sum += chain[i];
    *sink = sum.sum();
    return double(rounds) * 12 * Float::width * 2;
}

}  // namespace RECURRA_ISA
}  // namespace recurra
