#include "core/team.h"

#include <sched.h>
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace recurra {

void Barrier::wait(int threads) {
    const int round = round_.load(std::memory_order_acquire);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
        waiting_.store(0, std::memory_order_relaxed);
        round_.store(round + 1, std::memory_order_release);
        return;
    }
    // A core taken by another process must not stall us for its whole time slice: spin shortly, then give way.
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
        if (spins > 4000) sched_yield();
#if defined(__x86_64__)
        else __builtin_ia32_pause();
#endif
    }
}

void run_team(int groups, int parts, void (*body)(void*, const Team&), void* argument) {
    Barrier barrier;
#if defined(_OPENMP)
    if (groups * parts > 1 && !omp_in_parallel()) {
#pragma omp parallel num_threads(groups * parts)
        {
            // Fewer threads than asked for: the same work, cut otherwise; the results do not depend on the cut.
            const int got = omp_get_num_threads(), me = omp_get_thread_num();
            const Team team = parts > 1 ? Team{0, 1, me, got, &barrier} : Team{me, got, 0, 1, &barrier};
            body(argument, team);
        }
        return;
    }
#endif
    body(argument, Team{0, 1, 0, 1, &barrier});
}

}  // namespace recurra
