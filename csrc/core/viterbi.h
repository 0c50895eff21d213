// The best path through a linear chain (Viterbi): forward with the best tag before each tag, then back along them.
// Sums and comparisons are those of the plain loop, in its order: ties go to the lower tag, NaN wins, the bits are equal.
#pragma once
#include "lattice.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_>
struct Viterbi : Lattice<V_> {
    using Base = Lattice<V_>;
    using typename Base::R;
    using typename Base::V;
    using Base::call;
    using Base::K;
    using Base::ld;
    using Base::plan;
    static constexpr int W = V::width;
    using Tag = typename LaneOf<sizeof(R)>::Type;
    typedef Tag TagVector __attribute__((vector_size(W * sizeof(Tag))));
    typedef Tag LooseTags __attribute__((vector_size(W * sizeof(Tag)), aligned(alignof(Tag)), may_alias));

    struct Group {
        Matrix<R> best, reached;
    };
    Tag* pointers;  // [pair][ld] the tag before
    Group* group;

    Viterbi(const recurra_chain& call, const Plan& plan) : Base(call, plan) {}

    void layout(Arena& arena) {
        Base::layout(arena);
        pointers = arena.take<Tag>(plan.total * ld);
        group = arena.take<Group>(this->groups);
        for (int g = 0; g < this->groups; ++g) {
            Group laid = {this->matrix(arena, this->group_rows), this->matrix(arena, this->group_rows)};
            if (group) group[g] = laid;
        }
    }

    void run_group(int g) {
        Group& at = group[g];
        for (int64_t i = 0; call.T && i < this->all_rows(g); ++i)
            std::memset(call.tags + this->row(i, g) * call.T, 0, call.T * sizeof(int64_t));
        for (int64_t i = this->local_rows(0, g); i < this->all_rows(g); ++i)
            static_cast<R*>(call.total)[this->row(i, g)] = 0;
        for (int64_t s = 0; s < plan.steps; ++s)
            for (int64_t i = 0; i < this->local_rows(s, g); ++i) {
                R* best = at.best.row(i);
                if (s == 0)
                    std::memcpy(best, this->scores(s, i, g), K * sizeof(R));
                else
                    step(best, at.reached.row(i), this->scores(s, i, g), pointers + this->pair(s, i, g) * ld);
                if (i >= this->local_rows(s + 1, g)) trace(best, s, i, g);
            }
    }

    void step(R* best, R* reached, const R* scores, Tag* pointer) const {
        for (int64_t j = 0; j < ld; j += W) {
            V most = V::load(this->table.p + j) + V::all(best[0]);
            TagVector from = {};
            for (int64_t i = 1; i < K; ++i) {
                const V next = V::load(this->table.row(i) + j) + V::all(best[i]);
                const auto better = (next.v > most.v) | ((next.v != next.v) & (most.v == most.v));
                most = {better ? next.v : most.v};
                from = better ? TagVector{} + Tag(i) : from;
            }
            (most + V::load(scores + j, K - j < W ? int(K - j) : W)).store(reached + j);
            *reinterpret_cast<LooseTags*>(pointer + j) = from;
        }
        std::memcpy(best, reached, K * sizeof(R));
    }

    // A row is through: its best last tag, and the way there.
    void trace(const R* best, int64_t last, int64_t i, int g) const {
        int64_t tag = 0;
        for (int64_t j = 1; j < K; ++j)
            if (best[j] > best[tag] || (best[j] != best[j] && best[tag] == best[tag])) tag = j;
        const int64_t b = this->row(i, g);
        static_cast<R*>(call.total)[b] = best[tag];
        int64_t* path = call.tags + b * call.T;
        for (int64_t s = last; s > 0; --s) {
            path[s] = tag;
            tag = pointers[this->pair(s, i, g) * ld + tag];
        }
        path[0] = tag;
    }

    static void run(const recurra_chain& call, const Plan& plan) {
        Viterbi pass(call, plan);
        Laid<Viterbi> memory(pass);
        pass.copy_transitions();
        run_team(pass.groups, 1, [](void* self, const Team& team) {
            auto& pass = *static_cast<Viterbi*>(self);
            for (int g = team.group; g < pass.groups; g += team.groups) pass.run_group(g);
        }, &pass);
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
