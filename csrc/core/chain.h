// Linear chains: scores of every step and tag, and of every pair of neighbours. The C ABI's argument, and the functions
// of one instruction set. Every field is eight bytes wide (src/recurra/kernels/chain.py has the same fields).
//
//   T time steps   B rows   K tags
#pragma once
#include "plan.h"

extern "C" {

typedef struct {
    int64_t is_double, threads;
    int64_t T, B, K;
    const int64_t* lengths;   // [B], 0..T; null: all T
    recurra_rows scores;      // [K] each
    const void* transitions;  // [K, K] from a tag (row) to the next, in one piece
    void* total;              // [B] out: log of the sum over paths, or the best path's score
    void* reserve;            // what the gradient needs; null where nobody asks
    // gradient of `total`
    const void* d_total;      // [B]; null: ones, so that d_scores are the marginals
    recurra_rows d_scores;    // base may be null (not wanted)
    void* d_transitions;      // [K, K]; null: not wanted
    // best path
    int64_t* tags;            // [B, T]; zeros past a row's length
} recurra_chain;

}  // extern "C"

namespace recurra {

struct ChainKernel {
    void (*log_norm)(const recurra_chain&, const Plan&);
    void (*gradient)(const recurra_chain&, const Plan&);
    void (*viterbi)(const recurra_chain&, const Plan&);
    int64_t (*reserve_row)(int64_t tags);  // elements per (step, row) pair
};

namespace portable {
extern const ChainKernel chain, chain_double;
}
namespace avx2 {
extern const ChainKernel chain;
}
namespace avx512 {
extern const ChainKernel chain;
}

}  // namespace recurra
