// The C ABI's one argument: everything a sequence call needs, as plain numbers and pointers. The Python side builds it
// field by field in this order (src/recurra/kernels/native.py); every field is eight bytes wide.
//
//   T time steps   B rows   I input features   H hidden units   R recurrent width (= H, or the projection's)
//
// A "row" is one sequence of the batch. Rows of a sequence tensor lie at base + t * t_stride + b * b_stride (strides in
// elements), features next to each other, so batch-major and time-major tensors are both read where they are, and packed
// ones too (batch_sizes).
#pragma once
#include <cstdint>

extern "C" {

enum recurra_family {
    RECURRA_RNN = 0,
    RECURRA_LSTM = 1,
    RECURRA_GRU = 2,
    RECURRA_GRU_AFTER = 3,
    RECURRA_COUPLED_LSTM = 4,         // the input gate is one minus the forget gate
    RECURRA_NORMED_LSTM = 5,          // layer normalisation of the gates and of the memory
    RECURRA_NORMED_COUPLED_LSTM = 6
};
enum recurra_activation {
    RECURRA_TANH = 0,
    RECURRA_RELU = 1,
    RECURRA_SIGMOID = 2,
    RECURRA_LINEAR = 3,
    RECURRA_HARD_SIGMOID = 4,  // clip(0.2 x + 0.5, 0, 1)
    RECURRA_ELU = 5,
    RECURRA_SELU = 6,
    RECURRA_RELU6 = 7,
    RECURRA_LEAKY_RELU = 8,  // slope 0.01
    RECURRA_SOFTPLUS = 9,
    RECURRA_SOFTSIGN = 10,
    RECURRA_EXPONENTIAL = 11
};

typedef struct {
    void* base;
    int64_t t_stride, b_stride;
} recurra_rows;

// A mixture's coefficients [T, B, n] that are drawn where they are needed (core/draw.h): rows whose b_stride is below 0
// have one of these at their base, and their row t * B + b. float only.
typedef struct {
    uint64_t seed, limit;
    double value;
} recurra_drawn;

typedef struct {
    recurra_rows fresh, old;
} recurra_mix;

// Layer normalisation of one gate or of the memory: gain and shift, [H].
typedef struct {
    void *gain, *shift;
} recurra_norm;

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
    int64_t projected;  // LSTM: the output is a projection of H units to R
    int64_t output_is_state;  // mix[2] is mix[0]
    int64_t T, B, I, H, R;
    const int64_t* lengths;  // [B], 0..T; null: all T
    // [T], from B on never growing: sequences are packed (PackedSequence), without padding, longest row first. Row b of
    // time t then lies batch_sizes[0] + ... + batch_sizes[t - 1] + b times b_stride behind the base of x, out, states and
    // their gradients. Null: they are not.
    const int64_t* batch_sizes;
    double forget_bias, cell_clip, projection_clip;  // clips: 0 for none
    double norm_epsilon;                             // added to a variance
    recurra_rows x, out;
    recurra_rows initial[2];  // state h, state c; t_stride unused; base may be null (zeros)
    recurra_rows final[2];
    recurra_gate gate[5];  // LSTM i j f o, coupled j f o, then h of a projection [H, R]; GRU r u c; RNN one
    const void* peephole[3];  // LSTM: [H] to the gates i, f, o; null: none
    recurra_norm norm[5];     // of the gates, in their order, then of the memory
    recurra_rows mask;        // LSTM: [T, B, H] times the candidate (recurrent dropout); null: none
    // What the state keeps and the cell gives out: fresh * new + old * before, of h, of c, and of the output. Null
    // fresh: 1 - old (zoneout). Null old: 0 (dropout). Both null: the new value itself.
    recurra_mix mix[3];
    // Rows that start anew, from `restart`, before a step: bytes [T, B], 0 or not; null: none.
    recurra_rows resets, restart[2];
    recurra_rows states[2];  // the states after every real step, [T, B, .]; null: not wanted
    void* reserve;         // what backward needs; null in inference
    // backward only
    recurra_rows d_out, d_final[2], d_states[2];    // base may be null (zeros)
    recurra_rows d_x, d_initial[2], d_restart[2];  // base may be null (not wanted)
    recurra_gate d_gate[5];                        // x, h and biases may each be null (not wanted)
    void* d_peephole[3];
    recurra_norm d_norm[5];
    const void* packed;  // forward: weights packed before, by recurra_freeze; null: pack them in this call
} recurra_call;

}  // extern "C"
