// What a cell's translation unit offers to the C ABI, once per instruction set.
#pragma once
#include "backward.h"
#include "kernels.h"

namespace recurra {
namespace RECURRA_ISA {

// The number of lanes: 64, 32 or 16 bytes; double runs in the portable code only (it is there for checking gradients).
#if defined(RECURRA_WIDE)
using Float = Vec<float, RECURRA_WIDE / 4>;
#else
using Float = Vec<float, 4>;
using Double = Vec<double, 2>;
#endif

// Pairs of bfloat16 are for inference.
template <class Cell>
struct Entry {
#if defined(RECURRA_HALF)
    static constexpr auto backward = nullptr;
#else
    static constexpr auto backward = Backward<Cell>::run;
#endif
    static int64_t reserve_row(const recurra_call& call) { return Shape<Cell>(call, Plan{}).saved_row(); }
    static constexpr Kernel kernel = {Forward<Cell>::run, backward, reserve_row, Forward<Cell>::packed_bytes, Forward<Cell>::pack_all};
};

#if defined(RECURRA_WIDE)
#define RECURRA_DEFINE(name, Cell) const Kernel name = Entry<Cell<Float>>::kernel;
#else
#define RECURRA_DEFINE(name, Cell)                  \
    const Kernel name = Entry<Cell<Float>>::kernel; \
    const Kernel name##_double = Entry<Cell<Double>>::kernel;
#endif

}  // namespace RECURRA_ISA
}  // namespace recurra
