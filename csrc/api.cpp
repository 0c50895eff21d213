// The C ABI, and the choice of instruction set: RECURRA_ISA=avx512|avx2|portable, else the best the machine has.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#include "core/abi.h"
#include "core/kernels.h"
#include "core/memory.h"
#include "core/scan.h"
#include "core/team.h"
#include "core/xlstm.h"

namespace recurra {
namespace {

const char* const isa_names[] = {"portable", "avx2", "avx512"};

bool supported(int isa) {
    if (isa == portable_isa) return true;
#if defined(RECURRA_X86)
    __builtin_cpu_init();
    if (isa == avx2_isa) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == avx512_isa)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return false;
}

int named(const char* name) {
    for (int isa = 0; isa < 3; ++isa)
        if (name && std::strcmp(name, isa_names[isa]) == 0 && supported(isa)) return isa;
    return -1;
}

int best() {
    const int wanted = named(std::getenv("RECURRA_ISA"));
    if (wanted >= 0) return wanted;
    return supported(avx512_isa) ? avx512_isa : supported(avx2_isa) ? avx2_isa : portable_isa;
}

int current = best();

// Packed weights: which instruction set they are for, then the panels.
constexpr int64_t packed_header = 64;

bool halves_supported() {
#if defined(RECURRA_HALVES)
    return current == avx512_isa && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

const Kernel* choose(const recurra_call& call) {
    const bool halves = call.is_double == 2;
    if (halves && !halves_supported()) return nullptr;
    const int isa = call.packed ? *reinterpret_cast<const int*>(static_cast<const char*>(call.packed) - packed_header) : current;
#if defined(RECURRA_X86)
#if defined(RECURRA_HALVES)
#define RECURRA_HALF_OF(name) &bfloat16::name
#else
#define RECURRA_HALF_OF(name) nullptr
#endif
#define RECURRA_PICK(name) \
    (halves ? RECURRA_HALF_OF(name) : call.is_double ? &portable::name##_double : isa == avx512_isa ? &avx512::name : isa == avx2_isa ? &avx2::name : &portable::name)
#else
#define RECURRA_PICK(name) (call.is_double ? &portable::name##_double : &portable::name)
#endif
    switch (call.family) {
        case RECURRA_RNN: return RECURRA_PICK(rnn);
        case RECURRA_LSTM: return RECURRA_PICK(lstm);
        case RECURRA_COUPLED_LSTM: return RECURRA_PICK(lstm_coupled);
        case RECURRA_NORMED_LSTM: return RECURRA_PICK(lstm_normed);
        case RECURRA_NORMED_COUPLED_LSTM: return RECURRA_PICK(lstm_normed_coupled);
        case RECURRA_GRU: return RECURRA_PICK(gru);
        case RECURRA_GRU_AFTER: return RECURRA_PICK(gru_after);
        default: return nullptr;
    }
}

const Xlstm& choose_xlstm(const recurra_xlstm_call& call, bool matrix) {
    if (call.is_double) return matrix ? portable::mlstm_double : portable::slstm_double;
    return matrix ? RECURRA_PICK_IN_USE(mlstm) : RECURRA_PICK_IN_USE(slstm);
}

// How many threads some operations are worth.
int worth_waking(int64_t threads, int64_t operations) { return int(std::min(threads, operations / 100000 + 1)); }

bool lengths_fit(const recurra_call& call) {
    for (int64_t b = 0; call.lengths && b < call.B; ++b)
        if (call.lengths[b] < 0 || call.lengths[b] > call.T) return false;
    return true;
}

bool batch_sizes_fit(const recurra_call& call) {
    if (!call.batch_sizes) return true;
    for (int64_t t = 0; t < call.T; ++t)
        if (call.batch_sizes[t] < 1 || call.batch_sizes[t] > (t ? call.batch_sizes[t - 1] : call.B)) return false;
    return call.T > 0 && call.batch_sizes[0] == call.B && !call.lengths;
}

class PoolBlock {
public:
    explicit PoolBlock(size_t bytes) : at(pool_take(bytes)) {}
    ~PoolBlock() { pool_give(at); }
    PoolBlock(const PoolBlock&) = delete;
    PoolBlock& operator=(const PoolBlock&) = delete;

    void* const at;
};

// A plan and its memory, which for a few steps of a few rows is this object's own.
class Planned {
public:
    explicit Planned(const recurra_call& call)
        : block_(size_t(plan_bytes(call)) > sizeof own_ ? pool_take(size_t(plan_bytes(call))) : nullptr),
          plan(make_plan(call, block_ ? block_ : own_)) {}
    ~Planned() { pool_give(block_); }
    Planned(const Planned&) = delete;
    Planned& operator=(const Planned&) = delete;

private:
    alignas(64) char own_[512];
    void* const block_;

public:
    const Plan plan;
};

// Two calls at once, as the directions of a layer: a thread for each where there are two, else one after the other.
template <class Call, class Run>
int run_both(Call* (&calls)[2], int64_t threads, Run run) {
    struct Work {
        Call* (&calls)[2];
        Run& run;
        int status[2];

        static void body(void* self, const Team& team) {
            Work& work = *static_cast<Work*>(self);
            for (int i = team.member(); i < 2; i += team.members()) work.status[i] = work.run(work.calls[i]);
        }
    };
    Work work{calls, run, {}};
    run_team(threads == 2 || threads == 3 ? 2 : 1, 1, Work::body, &work);
    return work.status[0] ? work.status[0] : work.status[1];
}

}  // namespace

int isa_in_use() { return current; }

}  // namespace recurra

using namespace recurra;

#define RECURRA_API __attribute__((visibility("default")))

extern "C" {

RECURRA_API int recurra_abi() { return RECURRA_ABI; }
RECURRA_API int64_t recurra_call_bytes() { return sizeof(recurra_call); }

RECURRA_API const char* recurra_isa() { return isa_names[current]; }

// 0, or -1 where the machine (or this build) has no such code. For tests; not while other threads compute.
RECURRA_API int recurra_use_isa(const char* name) {
    const int isa = named(name);
    if (isa < 0) return -1;
    current = isa;
    return 0;
}

// Whether calls with is_double 2 run here: the build and the machine know products of bfloat16 pairs.
RECURRA_API int recurra_halves() { return halves_supported(); }

RECURRA_API int64_t recurra_pool_kept() { return int64_t(pool_kept_bytes()); }
RECURRA_API void recurra_pool_clear() { pool_clear(); }
// A block of the pool, or null; back with recurra_release.
RECURRA_API void* recurra_take(int64_t bytes) {
    try {
        return pool_take(size_t(bytes));
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
RECURRA_API void recurra_release(void* block) { pool_give(block); }

// The call's weights, packed for `call->packed` of later forward calls of the same sizes and options; null: no such kernel,
// or no memory. For recurra_thaw. The weights themselves are not looked at again.
RECURRA_API void* recurra_freeze(const recurra_call* call) {
    const Kernel* kernel = choose(*call);
    if (!kernel) return nullptr;
    try {
        char* block = static_cast<char*>(pool_take(size_t(packed_header + kernel->packed_bytes(*call))));
        *reinterpret_cast<int*>(block) = current;
        kernel->pack(*call, block + packed_header);
        return block + packed_header;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
RECURRA_API void recurra_thaw(void* packed) {
    if (packed) pool_give(static_cast<char*>(packed) - packed_header);
}

// Elements of a reserve that one (step, row) pair takes, for callers that bring their own.
RECURRA_API int64_t recurra_reserve_row(const recurra_call* call) {
    const Kernel* kernel = choose(*call);
    return kernel ? kernel->reserve_row(*call) : -1;
}

// Runs a sequence; with `training` 1, leaves in call->reserve what recurra_backward needs (give it to recurra_release);
// with `training` 2, call->reserve is the caller's, T * B rows.
// 0, or -1: no such kernel, -2: no memory, -3: a length outside 0..T, -4: batch sizes that grow.
RECURRA_API int recurra_forward(recurra_call* call, int training) {
    const Kernel* kernel = choose(*call);
    if (!kernel) return -1;
    if (training != 2) call->reserve = nullptr;
    if (!lengths_fit(*call)) return -3;
    if (!batch_sizes_fit(*call)) return -4;
    try {
        const Planned planned(*call);
        if (training == 1) call->reserve = pool_take(size_t(planned.plan.total * kernel->reserve_row(*call)) * (call->is_double ? 8 : 4));
        kernel->forward(*call, planned.plan);
        return 0;
    } catch (const std::bad_alloc&) {
        if (training == 1) {
            pool_give(call->reserve);
            call->reserve = nullptr;
        }
        return -2;
    }
}

// The same without gradients: one argument less is a tenth of what a small step takes to be called.
RECURRA_API int recurra_step(recurra_call* call) { return recurra_forward(call, 0); }

// Runs layers forward without gradients, each on what the one before gave out. T, lengths, reverse and threads are the
// first's; what all but the last give out is not kept. Statuses as recurra_forward.
RECURRA_API int recurra_layers(recurra_call* layers, int count) {
    int64_t width = 0;
    for (int k = 0; k + 1 < count; ++k) width = std::max(width, layers[k].R);
    const recurra_call& first = layers[0];
    const int64_t rows = first.T * first.B * width * (first.is_double == 1 ? 8 : 4);
    try {
        const PoolBlock between(size_t(count > 1 ? 2 * rows : 0));
        for (int k = 0; k < count; ++k) {
            recurra_call& call = layers[k];
            if (k > 0) {
                call.T = first.T;
                call.lengths = first.lengths;
                call.reverse = first.reverse;
                call.threads = first.threads;
                call.x = layers[k - 1].out;
            }
            if (k + 1 < count) call.out = {static_cast<char*>(between.at) + k % 2 * rows, call.B * call.R, call.R};
            const int status = recurra_forward(&call, 0);
            if (status) return status;
        }
        return 0;
    } catch (const std::bad_alloc&) {
        return -2;
    }
}

RECURRA_API int recurra_backward(const recurra_call* call) {
    const Kernel* kernel = choose(*call);
    if (!kernel || !kernel->backward) return -1;
    try {
        const Planned planned(*call);
        kernel->backward(*call, planned.plan);
        return 0;
    } catch (const std::bad_alloc&) {
        return -2;
    }
}

// Two sequences at once: as recurra_forward and recurra_backward of each.
RECURRA_API int recurra_both_forward(recurra_call* first, recurra_call* second, int training) {
    recurra_call* calls[] = {first, second};
    const int64_t threads = first->threads;
    for (recurra_call* call : calls) {
        if (threads <= 3) call->threads = 1;
        if (training != 2) call->reserve = nullptr;
    }
    const int status = run_both(calls, threads, [&](recurra_call* call) { return recurra_forward(call, training); });
    for (recurra_call* call : calls)
        if (status && training == 1 && call->reserve) {
            pool_give(call->reserve);
            call->reserve = nullptr;
        }
    return status;
}

RECURRA_API int recurra_both_backward(recurra_call* first, recurra_call* second) {
    recurra_call* calls[] = {first, second};
    const int64_t threads = first->threads;
    if (threads <= 3) first->threads = second->threads = 1;
    return run_both(calls, threads, [](recurra_call* call) { return recurra_backward(call); });
}

RECURRA_API int64_t recurra_scan_call_bytes() { return sizeof(recurra_scan_call); }

// Runs a linear scan, or with `backward` its gradients.
RECURRA_API void recurra_scan(const recurra_scan_call* call, int backward) {
    struct Work {
        const recurra_scan_call* call;
        bool backward;

        static void body(void* work, const Team& team) {
            const Work& given = *static_cast<Work*>(work);
            RECURRA_PICK_IN_USE(scan)(*given.call, team, given.backward);
        }
    };
    Work work{call, backward != 0};
    run_team(worth_waking(call->threads, call->T * call->B * call->N), 1, Work::body, &work);
}

RECURRA_API int64_t recurra_xlstm_call_bytes() { return sizeof(recurra_xlstm_call); }

// Elements of a call's reserve. `matrix`: of an mLSTM, else of an sLSTM.
RECURRA_API int64_t recurra_xlstm_reserve(const recurra_xlstm_call* call, int matrix) {
    return choose_xlstm(*call, matrix).reserve(*call);
}

// Runs a sequence of an xLSTM's cell, or with `backward` its gradients. Statuses as recurra_forward.
RECURRA_API int recurra_xlstm(const recurra_xlstm_call* call, int matrix, int backward) {
    struct Work {
        const recurra_xlstm_call& call;
        const Xlstm& cell;
        const Plan& plan;
        void* scratch;
        bool backward;

        static void body(void* work, const Team& team) {
            const Work& given = *static_cast<Work*>(work);
            given.cell.run(given.call, given.plan, team, given.scratch, given.backward);
        }
    };
    recurra_call sizes{};
    sizes.T = call->T;
    sizes.B = call->B;
    sizes.lengths = call->lengths;
    sizes.reverse = call->reverse;
    if (!lengths_fit(sizes)) return -3;
    const int threads = worth_waking(call->threads, call->T * call->B * call->N * call->D * call->D);
    const Xlstm& cell = choose_xlstm(*call, matrix);
    try {
        const Planned planned(sizes);
        const PoolBlock scratch(size_t(cell.scratch_bytes(*call, threads)));
        Work work{*call, cell, planned.plan, scratch.at, backward != 0};
        run_team(threads, 1, Work::body, &work);
        return 0;
    } catch (const std::bad_alloc&) {
        return -2;
    }
}

// Unit u of row r at out + r * stride + u is value where a random word is below `limit`, else 0: what a seed gives depends
// neither on threads nor on the instruction set. The rows of one step are `batch`; each thread draws those that a recurrence deals to it, for
// lines that another core has just written are slow to read.
RECURRA_API void recurra_draw(float* out, int64_t rows, int64_t width, int64_t stride, int64_t batch, uint32_t limit,
                              double value, uint64_t seed, int threads) {
    struct Work {
        float *out, value;
        int64_t rows, width, stride, batch;
        uint32_t limit;
        uint64_t seed;
        static void body(void* self, const Team& team) {
            const Work& work = *static_cast<const Work*>(self);
            const Range mine = piece(work.batch, 1, team.member(), team.members());
            for (int64_t first = 0; first < work.rows; first += work.batch)
                for (int64_t r = first + mine.begin; r < first + mine.end; ++r)
                    RECURRA_PICK_IN_USE(draw)(work.out + r * work.stride, work.width, work.limit, work.value, work.seed,
                                                uint64_t(r));
        }
    };
    Work work = {out, float(value), rows, width, stride, batch, limit, seed};
    run_team(worth_waking(threads, rows * width * 4), 1, Work::body, &work);
}

// Floating-point operations per second, in 10^9, of multiply-adds in registers on `threads` threads.
RECURRA_API double recurra_peak(int threads) {
    struct Work {
        static void body(void* total, const Team& team) {
            float sink;
            const double done = RECURRA_PICK_IN_USE(multiply_add)(4000000, &sink);
            // the sink keeps the compiler from dropping the work
            if (team.member() == 0) *static_cast<double*>(total) = done * team.members() + 0 * double(sink);
        }
    };
    double best = 0;
    for (int round = 0; round < 5; ++round) {
        double operations = 0;
        const auto start = std::chrono::steady_clock::now();
        run_team(threads, 1, Work::body, &operations);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        best = std::max(best, operations / seconds / 1e9);
    }
    return best;
}

}  // extern "C"
