// Threads: the process's OpenMP team (torch's own), cut into groups of parts. A group owns batch rows for the whole
// sequence and meets nobody; the parts of a group share its rows and split the hidden units, meeting after each product.
#pragma once
#include <atomic>
#include <cstdint>

#include "plan.h"

namespace recurra {

class Barrier {
public:
    void wait(int threads);

private:
    std::atomic<int> waiting_{0};
    std::atomic<int> round_{0};
};

struct Team {
    int group, groups;  // rows at positions group, group + groups, ...
    int part, parts;    // this part of the hidden units
    Barrier* barrier;

    RECURRA_SHARED int member() const { return group * parts + part; }
    RECURRA_SHARED int members() const { return groups * parts; }
    RECURRA_SHARED void sync_all() const {
        if (members() > 1) barrier->wait(members());
    }
    // Only one of groups and parts is ever above 1.
    RECURRA_SHARED void sync_group() const {
        if (parts > 1) barrier->wait(parts);
    }
};

// Runs body(argument, team) on `groups * parts` threads; on one where the process has none to give.
void run_team(int groups, int parts, void (*body)(void*, const Team&), void* argument);

struct Range {
    int64_t begin, end;
};

// The part-th of `parts` even pieces of 0..count, cut at multiples of `grain`.
RECURRA_SHARED Range piece(int64_t count, int64_t grain, int64_t part, int64_t parts) {
    int64_t grains = (count + grain - 1) / grain;
    int64_t begin = grains * part / parts * grain, end = grains * (part + 1) / parts * grain;
    return {begin < count ? begin : count, end < count ? end : count};
}

}  // namespace recurra
