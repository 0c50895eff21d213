// The C ABI of the linear scan, h_t = a_t * h_{t-1} + b_t elementwise: one argument, as in call.h.
//
//   T time steps   B rows   N numbers a row (complex ones are pairs, real part first; strides count numbers)
#pragma once
#include "call.h"

extern "C" {

typedef struct {
    int64_t is_double, is_complex, threads, reverse;
    int64_t T, B, N;
    recurra_rows a, b;    // a may repeat over time or rows: stride 0
    recurra_rows initial, out;
    // backward only
    recurra_rows d_out, d_b, d_initial;
    recurra_rows d_a;  // with t_stride 0 the sum over time, which the caller has set to zeros; base may be null
} recurra_scan_call;

}  // extern "C"

namespace recurra {

struct Team;

// A scan of one instruction set: forward, or (out given) its gradients.
using Scan = void(const recurra_scan_call&, const Team&, bool backward);

namespace portable { Scan scan; }
namespace avx2 { Scan scan; }
namespace avx512 { Scan scan; }

}  // namespace recurra
