// The C ABI of linear chains.
#include <new>

#include "core/chain.h"
#include "core/kernels.h"
#include "core/memory.h"

using namespace recurra;

namespace {

const ChainKernel& choose(const recurra_chain& call) {
    return call.is_double ? portable::chain_double : RECURRA_PICK_IN_USE(chain);
}

// Runs `pass` under the plan of the call's lengths. 0, -2: no memory, -3: a length outside 0..T.
template <class Pass>
int planned(const recurra_chain& call, Pass&& pass) {
    for (int64_t b = 0; call.lengths && b < call.B; ++b)
        if (call.lengths[b] < 0 || call.lengths[b] > call.T) return -3;
    recurra_call rows{};
    rows.T = call.T;
    rows.B = call.B;
    rows.lengths = call.lengths;
    void* memory = nullptr;
    int status = 0;
    try {
        memory = pool_take(size_t(plan_bytes(rows)));
        pass(choose(call), make_plan(rows, memory));
    } catch (const std::bad_alloc&) {
        status = -2;
    }
    pool_give(memory);
    return status;
}

}  // namespace

#define RECURRA_API __attribute__((visibility("default")))

extern "C" {

RECURRA_API int64_t recurra_chain_bytes() { return sizeof(recurra_chain); }

// The total of each row; with `training`, leaves in call->reserve what the gradient needs (give it to recurra_release).
RECURRA_API int recurra_chain_log_norm(recurra_chain* call, int training) {
    call->reserve = nullptr;
    const int status = planned(*call, [&](const ChainKernel& kernel, const Plan& plan) {
        const size_t elements = size_t(plan.total * kernel.reserve_row(call->K));
        if (training) call->reserve = pool_take(elements * (call->is_double ? 8 : 4));
        kernel.log_norm(*call, plan);
    });
    if (status) {
        pool_give(call->reserve);
        call->reserve = nullptr;
    }
    return status;
}

RECURRA_API int recurra_chain_gradient(const recurra_chain* call) {
    return planned(*call, [&](const ChainKernel& kernel, const Plan& plan) { kernel.gradient(*call, plan); });
}

RECURRA_API int recurra_chain_viterbi(const recurra_chain* call) {
    return planned(*call, [&](const ChainKernel& kernel, const Plan& plan) { kernel.viterbi(*call, plan); });
}

}  // extern "C"
