// What the passes over a linear chain share: sizes, rows dealt to threads, the transitions in the forms they are used in.
#pragma once
#include <limits>

#include "chain.h"
#include "exponential.h"
#include "layer.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_>
struct Lattice {
    using V = V_;
    using R = typename V::Real;
    static constexpr int W = V::width;
    static constexpr R infinity = std::numeric_limits<R>::infinity();
    // Sums of weights from here on are right to the last bits, whatever underflowed in them.
    static constexpr R trusted = sizeof(R) == 4 ? R(1e-18) : R(1e-150);

    const recurra_chain& call;
    const Plan& plan;
    const int64_t K;
    const Columns<V> tags;
    const int64_t ld;  // of a row of tags
    const int groups;
    const int64_t group_rows;
    Matrix<R> table;  // [K][K] transitions; -inf behind the last tag
    R* top;           // [ld] the largest transition into a tag; 0 where there is none
    Matrix<R> weight; // [K][K] exp(transition - top)

    Lattice(const recurra_chain& call, const Plan& plan)
        : call(call),
          plan(plan),
          K(call.K),
          tags{1, call.K},
          ld(tags.count()),
          groups(cut(call)),
          group_rows((call.B + groups - 1) / groups) {}

    // Below some microseconds of work a second thread has not come yet when the first is through.
    static int cut(const recurra_chain& call) {
        const double work = double(call.T) * double(call.B) * double(call.K) * double(call.K);
        const int64_t most = work < 100e3 ? 1 : call.threads < call.B ? call.threads : call.B;
        return most < 1 ? 1 : int(most);
    }

    static int64_t saved_row(int64_t tags) { return 2 * Columns<V>{1, tags}.count() + W; }

    void layout(Arena& arena) {
        table = {arena.take<R>(K * ld), ld};
        top = arena.take<R>(ld);
        weight = {arena.take<R>(K * ld), ld};
    }
    Matrix<R> matrix(Arena& arena, int64_t rows) const { return {arena.take<R>(rows * ld + W), ld}; }

    void copy_transitions() {
        const R* in = static_cast<const R*>(call.transitions);
        for (int64_t i = 0; i < K; ++i)
            for (int64_t j = 0; j < ld; ++j) table.row(i)[j] = j < K ? in[i * K + j] : -infinity;
    }

    void weigh_transitions() {
        for (int64_t j = 0; j < ld; j += W) {
            V most = V::all(-infinity);
            for (int64_t i = 0; i < K; ++i) most = larger(most, V::load(table.row(i) + j));
            most = {most.v > -infinity ? most.v : V::zero().v};
            most.store(top + j);
            for (int64_t i = 0; i < K; ++i) falling_exp(V::load(table.row(i) + j) - most).store(weight.row(i) + j);
        }
    }

    // NaN in b is passed over.
    static RECURRA_INLINE V larger(V a, V b) { return {b.v > a.v ? b.v : a.v}; }

    // The largest of a row, -inf behind the tags.
    R largest(const R* row) const {
        V most = V::all(-infinity);
        for (int64_t j = 0; j < ld; j += W) most = larger(most, V::load(row + j));
        R found = most.v[0];
        for (int i = 1; i < W; ++i) found = most.v[i] > found ? most.v[i] : found;
        return found;
    }
    R sum(const R* row) const {
        V all = V::zero();
        for (int64_t j = 0; j < ld; j += W) all += V::load(row + j);
        return all.sum();
    }
    void fill(R* row, R value) const {
        for (int64_t j = K; j < ld; ++j) row[j] = value;
    }

    int64_t local_rows(int64_t step, int group) const {
        return step >= plan.steps ? 0 : (plan.active[step] - group + groups - 1) / groups;
    }
    int64_t all_rows(int group) const { return (call.B - group + groups - 1) / groups; }
    int64_t row(int64_t i, int group) const { return plan.order[group + i * groups]; }
    int64_t pair(int64_t step, int64_t i, int group) const { return plan.first[step] + group + i * groups; }
    const R* scores(int64_t step, int64_t i, int group) const { return row_of<const R>(call.scores, step, row(i, group)); }
    R* saved(int64_t step, int64_t i, int group) const {
        return static_cast<R*>(call.reserve) + pair(step, i, group) * saved_row(K);
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
