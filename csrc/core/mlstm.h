// The C ABI of the mLSTM's memory in inference, step by step: one argument, as in call.h. float only.
//
//   T time steps   B rows   N heads   D features of a head (H = N * D)
#pragma once
#include "call.h"

extern "C" {

typedef struct {
    int64_t threads, reverse;
    int64_t T, B, N, D;
    recurra_rows q, k, v;       // [H] a row
    recurra_rows o;             // [H]: the output gate, closed (its sigmoid is taken here)
    recurra_rows i, log_f;      // [N]
    recurra_rows out;           // [H]
    float *c, *n, *m;           // [B, N, D, D], [B, N, D], [B, N]: the state, before and after
} recurra_mlstm_call;

}  // extern "C"

namespace recurra {

struct Team;

using Mlstm = void(const recurra_mlstm_call&, const Team&);

namespace portable { Mlstm mlstm; }
namespace avx2 { Mlstm mlstm; }
namespace avx512 { Mlstm mlstm; }

}  // namespace recurra
