// The C ABI's one argument: everything a sequence call needs, as plain numbers and pointers. The Python side builds it
// field by field in this order (src/recurra/kernels/native.py); every field is eight bytes wide.
//
//   T time steps   B rows   I input features   H hidden units   R recurrent width (= H, or the projection's)
//
// A "row" is one sequence of the batch. Rows of a sequence tensor lie at base + t * t_stride + b * b_stride (strides in
// elements), features next to each other, so batch-major and time-major tensors are both read where they are.
#pragma once
#include <cstdint>

extern "C" {

enum recurra_family { RECURRA_RNN = 0, RECURRA_LSTM = 1, RECURRA_GRU = 2, RECURRA_GRU_AFTER = 3 };
enum recurra_activation { RECURRA_TANH = 0, RECURRA_RELU = 1, RECURRA_SIGMOID = 2 };

typedef struct {
    void* base;
    int64_t t_stride, b_stride;
} recurra_rows;

typedef struct {
    recurra_rows fresh, old;
} recurra_mix;

// One gate's weights: element (row k, unit u) of x at x + k * x_row + u * x_unit. TensorFlow's layout has x_unit = 1,
// torch's has x_row = 1; gates may come from one tensor or from several. Null biases are zeros.
typedef struct {
    void* x;
    int64_t x_row, x_unit;
    void* h;
    int64_t h_row, h_unit;
    void* x_bias;
    void* h_bias;
} recurra_gate;

typedef struct {
    // is_double: 1; 2: float with products of bfloat16 pairs, where recurra_halves() says so, forward only
    int64_t family, is_double, threads, reverse, activation;
    int64_t T, B, I, H, R;
    const int64_t* lengths;  // [B], 0..T; null: all T
    double forget_bias, cell_clip;  // cell_clip: 0 for none
    recurra_rows x, out;
    recurra_rows initial[2];  // state h, state c; t_stride unused; base may be null (zeros)
    recurra_rows final[2];
    recurra_gate gate[4];  // LSTM i j f o; GRU r u c; RNN one
    const void* peephole[3];  // LSTM: [H] to the gates i, f, o; null: none
    // What the state keeps and the cell gives out: fresh * new + old * before, of h, of c, and of the output (zoneout,
    // state dropout). Null fresh: the new value itself. All null where the call does not mix.
    recurra_mix mix[3];
    void* reserve;         // what backward needs; null in inference
    // backward only
    recurra_rows d_out, d_final[2];  // base may be null (zeros)
    recurra_rows d_x, d_initial[2];  // base may be null (not wanted)
    recurra_gate d_gate[4];          // x, h and biases may each be null (not wanted)
    void* d_peephole[3];
    const void* packed;  // forward: weights packed before, by recurra_freeze; null: pack them in this call
} recurra_call;

}  // extern "C"
