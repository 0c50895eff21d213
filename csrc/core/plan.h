// Who runs when. Rows are taken longest first, so that the rows running at step s are the first active[s] of them: a
// batch of unequal lengths costs its real steps and nothing else. Step s is time s, or length-1-s in reverse.
#pragma once
#include <cstdint>

#include "call.h"

// For functions shared by code of several instruction sets: a copy compiled for AVX-512 must not serve the others.
#define RECURRA_SHARED inline __attribute__((always_inline))

namespace recurra {

struct Plan {
    int64_t batch, steps, total;  // total: real steps over all rows
    int32_t* order;               // [B] row at a position
    int32_t* length;              // [B] its length
    int32_t* active;              // [steps + 1] rows running at step s; 0 at the end
    int64_t* first;               // [steps + 1] index of step s's first (step, position) pair
    bool reverse, packed;

    RECURRA_SHARED int64_t time(int64_t position, int64_t step) const { return reverse ? length[position] - 1 - step : step; }
};

// Bytes of `memory` that make_plan needs, and the plan in it.
int64_t plan_bytes(const recurra_call& call);
Plan make_plan(const recurra_call& call, void* memory);

}  // namespace recurra
