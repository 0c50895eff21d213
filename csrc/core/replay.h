// The C ABI of replayed steps: one step of a compiled program as a list of calls, run for every step of a sequence.
//
// What a step reads and writes lies in slots. A call is a function of pointers (compiled by torch's compiler), or a
// product of matrices of this library. Every field is eight bytes wide (src/recurra/kernels/replay.py).
#pragma once
#include <cstdint>

extern "C" {

// At time t: base + (t + shift) % period * stride, in bytes; at the first step that runs, `first` where it is given. Without
// a base the slot is scratch of the call's own, `stride` bytes.
typedef struct {
    char* base;
    int64_t stride, period, shift;
    char* first;
} recurra_slot;

// A slot and an offset in bytes.
typedef struct {
    int64_t slot, offset;
} recurra_place;

// c [M, N] = start + a b: a(m, k) at a[m * a_row + k * a_column], one of them 1, and so on, strides in elements; rows of c
// are c_row apart, columns side by side; start(m, n) at start[m * start_row + n], no slot (-1): zeros.
typedef struct {
    int64_t M, N, K;
    int64_t a_row, a_column, b_row, b_column, c_row, start_row;
} recurra_product_sizes;

enum recurra_operation_kind {
    RECURRA_COMPILED = 0,  // a function of `count` pointers
    RECURRA_PRODUCT = 1,   // places of a, b, c, start
    RECURRA_ADD = 2        // the N floats at the first place are added to those at the second
};

typedef struct {
    int64_t kind;
    void (*function)();
    int64_t first, count;  // its places
    recurra_product_sizes sizes;
} recurra_operation;

typedef struct {
    int64_t threads, reverse, steps;
    int64_t slots, operations;
    const recurra_slot* slot;
    const recurra_place* place;
    const recurra_operation* operation;
} recurra_replay_call;

}  // extern "C"

namespace recurra {

struct Team;

// The matrix product of one instruction set: all members pack b into panels, meet, and multiply.
struct Dense {
    int64_t (*panel_elements)(const recurra_product_sizes&);
    void (*pack)(const recurra_product_sizes&, const float* b, float* panels, const Team&);
    void (*multiply)(const recurra_product_sizes&, const float* a, const float* panels, const float* start, float* c,
                     const Team&);
};

namespace portable { extern const Dense dense; }
namespace avx2 { extern const Dense dense; }
namespace avx512 { extern const Dense dense; }

}  // namespace recurra
