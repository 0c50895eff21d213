// The table of compiled recurrences, per instruction set.
#pragma once
#include "plan.h"

namespace recurra {

enum Isa { portable_isa, avx2_isa, avx512_isa };
// The instruction set in use.
int isa_in_use();

// What each instruction set's namespace has under this name, of the one in use.
#if defined(RECURRA_X86)
#define RECURRA_PICK_IN_USE(name) \
    (isa_in_use() == avx512_isa ? avx512::name : isa_in_use() == avx2_isa ? avx2::name : portable::name)
#else
#define RECURRA_PICK_IN_USE(name) (portable::name)
#endif

// A recurrence of one instruction set and number type.
struct Kernel {
    void (*forward)(const recurra_call&, const Plan&);
    void (*backward)(const recurra_call&, const Plan&);  // null: forward only
    int64_t (*reserve_row)(const recurra_call&);  // elements per (step, row) pair
    int64_t (*packed_bytes)(const recurra_call&);
    void (*pack)(const recurra_call&, void* memory);  // all weights of the forward call, for `packed`
};

#define RECURRA_EACH(declare)                                                              \
    declare(lstm) declare(lstm_coupled) declare(lstm_normed) declare(lstm_normed_coupled) \
    declare(gru) declare(gru_after) declare(rnn)

#define RECURRA_FLOAT(name) extern const Kernel name;
#define RECURRA_DOUBLE(name) extern const Kernel name##_double;

namespace portable {
RECURRA_EACH(RECURRA_FLOAT)
RECURRA_EACH(RECURRA_DOUBLE)
double multiply_add(int64_t rounds, float* sink);
void draw(float* out, int64_t width, uint32_t limit, float value, uint64_t seed, uint64_t row);
}  // namespace portable

namespace avx2 {
RECURRA_EACH(RECURRA_FLOAT)
double multiply_add(int64_t rounds, float* sink);
void draw(float* out, int64_t width, uint32_t limit, float value, uint64_t seed, uint64_t row);
}

namespace avx512 {
RECURRA_EACH(RECURRA_FLOAT)
double multiply_add(int64_t rounds, float* sink);
void draw(float* out, int64_t width, uint32_t limit, float value, uint64_t seed, uint64_t row);
}

namespace bfloat16 {
RECURRA_EACH(RECURRA_FLOAT)
}

}  // namespace recurra
