// The table of compiled recurrences, per instruction set.
#pragma once
#include "plan.h"

namespace recurra {

// The instruction set in use: 0 portable, 1 AVX2, 2 AVX-512.
int isa_in_use();

// A recurrence of one instruction set and number type.
struct Kernel {
    void (*forward)(const recurra_call&, const Plan&);
    void (*backward)(const recurra_call&, const Plan&);  // null: forward only
    int64_t (*reserve_row)(const recurra_call&);  // elements per (step, row) pair
    int64_t (*packed_bytes)(const recurra_call&);
    void (*pack)(const recurra_call&, void* memory);  // all weights of the forward call, for `packed`
};

#define RECURRA_EACH(declare) \
    declare(lstm) declare(gru) declare(gru_after) declare(rnn_tanh) declare(rnn_relu) declare(rnn_sigmoid)

#define RECURRA_FLOAT(name) extern const Kernel name;
#define RECURRA_DOUBLE(name) extern const Kernel name##_double;

namespace portable {
RECURRA_EACH(RECURRA_FLOAT)
RECURRA_EACH(RECURRA_DOUBLE)
double multiply_add(int64_t rounds, float* sink);
}  // namespace portable

namespace avx2 {
RECURRA_EACH(RECURRA_FLOAT)
double multiply_add(int64_t rounds, float* sink);
}

namespace avx512 {
RECURRA_EACH(RECURRA_FLOAT)
double multiply_add(int64_t rounds, float* sink);
}

namespace bfloat16 {
RECURRA_EACH(RECURRA_FLOAT)
}

}  // namespace recurra
