// The C ABI of the two cells of xLSTM (Beck et al., 2024), sLSTM and mLSTM: one argument, as in call.h. What their inputs
// give to the gates is computed before and handed over as x.
//
//   T time steps   B rows   N heads   D features of a head   H = N * D
#pragma once
#include "call.h"

extern "C" {

typedef struct {
    int64_t is_double, threads, reverse;
    int64_t exponential;      // the forget gate is exp(f), not sigmoid(f)
    int64_t T, B, N, D;
    const int64_t* lengths;   // [B], 0..T; null: all T
    const void* recurrent;    // sLSTM: [N, D, 4 D], columns z, i, f, o
    recurra_rows x;           // sLSTM: z, i, f, o [H each]; mLSTM: q, k, v, o [H each], i, f [N each]
    recurra_rows out;         // [H]
    const void* initial[4];   // sLSTM: c, n, m, h [B, H]; mLSTM: c [B, N, D, D], n [B, N, D], m [B, N]; in one piece each
    void* final[4];           // the same; a backward call reads them
    void* reserve;            // recurra_xlstm_reserve elements, for backward; null in inference
    recurra_rows d_out;       // base may be null (zeros), as each d_final
    const void* d_final[4];
    recurra_rows d_x;
    void* d_initial[4];
} recurra_xlstm_call;

}  // extern "C"

namespace recurra {

struct Team;
struct Plan;

// One of the two cells, for one instruction set and number type.
struct Xlstm {
    int64_t (*reserve)(const recurra_xlstm_call&);
    int64_t (*scratch_bytes)(const recurra_xlstm_call&, int threads);  // of all threads
    // `scratch`: null or as many bytes as asked for, aligned to 64.
    void (*run)(const recurra_xlstm_call&, const Plan&, const Team&, void* scratch, bool backward);
};

#define RECURRA_XLSTM(suffix) extern const Xlstm slstm##suffix, mlstm##suffix;

namespace portable { RECURRA_XLSTM() RECURRA_XLSTM(_double) }
namespace avx2 { RECURRA_XLSTM() }
namespace avx512 { RECURRA_XLSTM() }

}  // namespace recurra
