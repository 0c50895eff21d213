#include "core/plan.h"

#include <algorithm>

namespace recurra {

int64_t plan_bytes(const recurra_call& call) {
    return (call.T + 1) * (sizeof(int64_t) + sizeof(int32_t)) + 2 * call.B * sizeof(int32_t);
}

namespace {

void plan_lengths(Plan& plan, const recurra_call& call) {
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
}

void plan_packed(Plan& plan, const recurra_call& call) {
    plan.steps = call.T;
    for (int64_t b = 0; b < call.B; ++b) plan.order[b] = int32_t(b);
    for (int64_t s = 0; s < call.T; ++s) {
        const int64_t next = s + 1 < call.T ? call.batch_sizes[s + 1] : 0;
        plan.active[s] = int32_t(call.batch_sizes[s]);
        std::fill(plan.length + next, plan.length + plan.active[s], int32_t(s + 1));
    }
    plan.active[call.T] = 0;
}

}  // namespace

Plan make_plan(const recurra_call& call, void* memory) {
    Plan plan;
    plan.batch = call.B;
    plan.reverse = call.reverse != 0;
    plan.packed = call.batch_sizes != nullptr;
    plan.first = static_cast<int64_t*>(memory);
    plan.active = reinterpret_cast<int32_t*>(plan.first + call.T + 1);
    plan.order = plan.active + call.T + 1;
    plan.length = plan.order + call.B;
    if (plan.packed)
        plan_packed(plan, call);
    else
        plan_lengths(plan, call);

    plan.total = 0;
    for (int64_t s = 0; s <= plan.steps; ++s) {
        plan.first[s] = plan.total;
        plan.total += s < plan.steps ? plan.active[s] : 0;
    }
    return plan;
}

}  // namespace recurra
