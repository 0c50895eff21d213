#include "core/plan.h"

#include <algorithm>

namespace recurra {

int64_t plan_bytes(const recurra_call& call) {
    return (call.T + 1) * (sizeof(int64_t) + sizeof(int32_t)) + 2 * call.B * sizeof(int32_t);
}

Plan make_plan(const recurra_call& call, void* memory) {
    Plan plan;
    plan.batch = call.B;
    plan.reverse = call.reverse != 0;
    plan.first = static_cast<int64_t*>(memory);
    plan.active = reinterpret_cast<int32_t*>(plan.first + call.T + 1);
    plan.order = plan.active + call.T + 1;
    plan.length = plan.order + call.B;

    auto length = [&](int64_t b) { return call.lengths ? call.lengths[b] : call.T; };
    plan.steps = 0;
    std::fill(plan.active, plan.active + call.T + 1, 0);
    for (int64_t b = 0; b < call.B; ++b) {
        plan.order[b] = int32_t(b);
        if (length(b) > 0) ++plan.active[length(b) - 1];
        plan.steps = std::max(plan.steps, length(b));
    }
    for (int64_t s = plan.steps - 2; s >= 0; --s) plan.active[s] += plan.active[s + 1];
    if (call.lengths)
        std::stable_sort(plan.order, plan.order + call.B, [&](int32_t a, int32_t b) { return length(a) > length(b); });
    for (int64_t i = 0; i < call.B; ++i) plan.length[i] = int32_t(length(plan.order[i]));

    plan.total = 0;
    for (int64_t s = 0; s <= plan.steps; ++s) {
        plan.first[s] = plan.total;
        plan.total += s < plan.steps ? plan.active[s] : 0;
    }
    return plan;
}

}  // namespace recurra
