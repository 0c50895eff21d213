#include "core/draw.h"

#include "core/kernels.h"

namespace recurra {
namespace RECURRA_ISA {

void draw(float* out, int64_t width, uint32_t limit, float value, uint64_t seed, uint64_t row) {
    draw_row(out, width, limit, value, seed, row);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
