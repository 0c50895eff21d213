// Linear-chain conditional random fields: the log of the sum over all paths, and its gradient (the marginals).
//
// Forward: a[t][j] = score[t][j] + log sum_i exp(a[t-1][i] + transition[i][j]), as a matrix product of exponentials:
// the largest of a[t-1] and of each column of transitions are taken out first. Where a sum comes out so small that
// what underflowed could have mattered (a tag that only a hopeless one leads to), that row's step is done with the
// largest term of each sum taken out instead.
#include <cmath>

#include "core/run.h"
#include "core/viterbi.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_>
struct LogNorm : Lattice<V_> {
    using Base = Lattice<V_>;
    using typename Base::R;
    using typename Base::V;
    using Base::call;
    using Base::K;
    using Base::ld;
    using Base::plan;
    static constexpr int W = V::width;

    struct Group {
        Matrix<R> a, w, sums;  // log weights of the paths into each tag, less `scale`; exp of them; sums of the next
        double* scale;
    };
    R* panels;  // of `weight`
    Group* group;

    LogNorm(const recurra_chain& call, const Plan& plan) : Base(call, plan) {}

    void layout(Arena& arena) {
        Base::layout(arena);
        panels = arena.take<R>(K * ld);
        group = arena.take<Group>(this->groups);
        for (int g = 0; g < this->groups; ++g) {
            Group laid = {this->matrix(arena, this->group_rows), this->matrix(arena, this->group_rows),
                          this->matrix(arena, this->group_rows), arena.take<double>(this->group_rows)};
            if (group) group[g] = laid;
        }
    }

    void prepare() {
        this->copy_transitions();
        this->weigh_transitions();
        const Strided<R> source = {this->weight.p, ld, 1};
        pack<V>(&source, K, this->tags, 0, this->tags.blocks(), panels);
    }

    void run_group(int g) {
        Group& at = group[g];
        for (int64_t i = this->local_rows(0, g); i < this->all_rows(g); ++i) total(this->row(i, g)) = 0;
        for (int64_t s = 0; s < plan.steps; ++s) {
            const int64_t rows = this->local_rows(s, g);
            if (s) {
                const Term<R> terms[] = {{at.w.p, ld, K, panels}};
                plain_product<V>(terms, rows, this->tags, {0, this->tags.panels()},
                                 [&](int64_t r, int64_t column, V sum) { sum.store(at.sums.row(r) + column); });
            }
            for (int64_t i = 0; i < rows; ++i) {
                R* kept = call.reserve ? this->saved(s, i, g) : nullptr;
                const R* scores = this->scores(s, i, g);
                const R most = s ? step(at, i, scores, kept) : start(at, i, scores);
                if (kept) std::memcpy(kept, at.a.row(i), ld * sizeof(R));
                if (i < this->local_rows(s + 1, g)) continue;
                const double last = std::isfinite(most) ? at.scale[i] + std::log(double(this->sum(at.w.row(i)))) : most;
                total(this->row(i, g)) = R(last);
            }
        }
    }

    R& total(int64_t b) const { return static_cast<R*>(call.total)[b]; }

    R start(Group& at, int64_t i, const R* scores) {
        std::memcpy(at.a.row(i), scores, K * sizeof(R));
        at.scale[i] = 0;
        return level(at, i);
    }

    R step(Group& at, int64_t i, const R* scores, R* kept) {
        R *a = at.a.row(i), *sums = at.sums.row(i);
        this->fill(sums, 1);
        bool small = false;
        for (int64_t j = 0; j < ld; j += W) {
            const auto low = !(V::load(sums + j).v >= Base::trusted);  // NaN is low
            for (int lane = 0; lane < W; ++lane) small |= low[lane] != 0;
        }
        if (small) careful(a, sums);  // sums now hold logarithms
        if (kept) {
            std::memcpy(kept + ld, sums, ld * sizeof(R));
            kept[2 * ld] = small;
        }
        for (int64_t j = 0; j < ld; j += W) {
            const int valid = K - j < W ? int(K - j) : W;
            const V into = small ? V::load(sums + j) : natural_log(V::load(sums + j)) + V::load(this->top + j);
            (into + V::load(scores + j, valid)).store(a + j);
        }
        return level(at, i);
    }

    // out[j] = log sum_i exp(a[i] + transition[i][j]), the largest term taken out.
    void careful(const R* a, R* out) const {
        for (int64_t j = 0; j < ld; j += W) {
            V most = V::all(-Base::infinity), broken = V::zero(), sum = V::zero();
            for (int64_t i = 0; i < K; ++i) {
                const V term = V::load(this->table.row(i) + j) + V::all(a[i]);
                most = Base::larger(most, term);
                broken = {term.v == term.v ? broken.v : term.v};
            }
            const V base = {most.v > -Base::infinity && most.v < Base::infinity ? most.v : V::zero().v};
            for (int64_t i = 0; i < K; ++i)
                sum += falling_exp(V::load(this->table.row(i) + j) + V::all(a[i]) - base);
            V log = base + natural_log(sum);
            log = {most.v == base.v ? log.v : most.v};  // infinite: as it is
            V{broken.v == broken.v ? log.v : broken.v}.store(out + j);
        }
    }

    // Takes the largest of a row out into its scale, and the exponentials of the rest.
    R level(Group& at, int64_t i) {
        R* a = at.a.row(i);
        this->fill(a, -Base::infinity);
        const R most = this->largest(a);
        const R base = std::isfinite(most) ? most : R(0);
        at.scale[i] += base;
        for (int64_t j = 0; j < ld; j += W) {
            const V rest = V::load(a + j) + (-base);
            rest.store(a + j);
            falling_exp(rest).store(at.w.row(i) + j);
        }
        for (int64_t j = 0; j < K; ++j)
            if (a[j] != a[j]) return a[j];
        return most;
    }

    static void run(const recurra_chain& call, const Plan& plan) {
        LogNorm pass(call, plan);
        Laid<LogNorm> memory(pass);
        pass.prepare();
        run_team(pass.groups, 1, [](void* self, const Team& team) {
            auto& pass = *static_cast<LogNorm*>(self);
            for (int g = team.group; g < pass.groups; g += team.groups) pass.run_group(g);
        }, &pass);
    }
};

// From the last step to the first: the probability of each tag, times the gradient of the row's total. A tag's share
// goes to the tags before it in the proportions of the sum that it came out of.
template <class V_>
struct ChainGradient : Lattice<V_> {
    using Base = Lattice<V_>;
    using typename Base::R;
    using typename Base::V;
    using Base::call;
    using Base::K;
    using Base::ld;
    using Base::plan;
    static constexpr int W = V::width, P = 2 * W, M = Tile<V>::rows;

    struct Group {
        Matrix<R> d, w, q;  // gradients of a step's log weights; weights before it; d / sums
        R* q_panels;
        Matrix<R> pairs, exact;  // of transitions: weights to be multiplied yet; the careful steps' own
    };
    R* turned;  // panels of `weight`, transposed
    Group* group;

    ChainGradient(const recurra_chain& call, const Plan& plan) : Base(call, plan) {}

    void layout(Arena& arena) {
        Base::layout(arena);
        turned = arena.take<R>(K * ld);
        group = arena.take<Group>(this->groups);
        const int64_t squares = call.d_transitions ? K : 0;
        for (int g = 0; g < this->groups; ++g) {
            Group laid = {this->matrix(arena, this->group_rows), this->matrix(arena, this->group_rows),
                          this->matrix(arena, this->group_rows), arena.take<R>(this->group_rows * ld),
                          this->matrix(arena, squares), this->matrix(arena, squares)};
            if (group) group[g] = laid;
        }
    }

    void prepare() {
        this->copy_transitions();
        this->weigh_transitions();
        const Strided<R> source = {this->weight.p, 1, ld};
        pack<V>(&source, K, this->tags, 0, this->tags.blocks(), turned);
    }

    void run_group(int g) {
        Group& at = group[g];
        if (call.d_transitions) {
            std::memset(at.pairs.p, 0, K * ld * sizeof(R));
            std::memset(at.exact.p, 0, K * ld * sizeof(R));
        }
        clear_padding(g);
        for (int64_t s = plan.steps - 1; s >= 0; --s) {
            const int64_t rows = this->local_rows(s, g);
            for (int64_t i = this->local_rows(s + 1, g); i < rows; ++i) start(at, i, this->saved(s, i, g), this->row(i, g));
            if (call.d_scores.base)
                for (int64_t i = 0; i < rows; ++i)
                    std::memcpy(row_of<R>(call.d_scores, s, this->row(i, g)), at.d.row(i), K * sizeof(R));
            if (s) step_back(at, s, rows, g);
        }
    }

    void clear_padding(int g) {
        if (!call.d_scores.base) return;
        for (int64_t i = 0; i < this->all_rows(g); ++i) {
            const int64_t b = this->row(i, g);
            for (int64_t t = call.lengths ? call.lengths[b] : call.T; t < call.T; ++t)
                std::memset(row_of<R>(call.d_scores, t, b), 0, K * sizeof(R));
        }
    }

    // softmax of the last step's log weights, times the total's gradient.
    void start(Group& at, int64_t i, const R* a, int64_t b) {
        R* d = at.d.row(i);
        for (int64_t j = 0; j < ld; j += W) falling_exp(V::load(a + j)).store(d + j);
        const R sum = this->sum(d), given = call.d_total ? static_cast<const R*>(call.d_total)[b] : R(1);
        const V factor = V::all(sum == 0 ? R(0) : given / sum);  // 0: no path at all
        for (int64_t j = 0; j < ld; j += W) (V::load(d + j) * factor).store(d + j);
    }

    void step_back(Group& at, int64_t s, int64_t rows, int g) {
        for (int64_t i = 0; i < rows; ++i) {
            const R *now = this->saved(s, i, g), *before = this->saved(s - 1, i, g);
            const bool exact = now[2 * ld] != 0;
            R *w = at.w.row(i), *q = at.q.row(i);
            for (int64_t j = 0; j < ld; j += W) {
                const V share = exact ? V::zero() : V::load(at.d.row(i) + j) / V::load(now + ld + j);
                const V weight = exact ? V::zero() : falling_exp(V::load(before + j));
                share.store(q + j);
                weight.store(w + j);
                share.store(at.q_panels + j / P * P * rows + i * this->tags.panel_width(j / P) + j % P);
            }
            // its share is spread at once, and stands where the product will add zeros
            if (exact) careful(at, i, before, now + ld);
        }
        const Term<R> terms[] = {{at.q.p, ld, K, turned}};
        plain_product<V>(terms, rows, this->tags, {0, this->tags.panels()}, [&](int64_t r, int64_t column, V sum) {
            if (this->saved(s, r, g)[2 * ld] == 0) (sum * V::load(at.w.row(r) + column)).store(at.d.row(r) + column);
        });
        if (call.d_transitions) add_pairs(at, rows);
    }

    // pairs += w^T q.
    void add_pairs(Group& at, int64_t rows) {
        for (int64_t panel = 0; panel < this->tags.panels(); ++panel) {
            const int width = this->tags.panel_width(panel);
            for (int64_t i = 0; i < K; i += M) {
                const int count = K - i < M ? int(K - i) : M;
                alignas(64) R sums[Tile<V>::size];
                const Factor<R> factor = {at.w.p + i, ld, rows, packed_lines<V>(at.q_panels + panel * P * rows, width)};
                micro_for<V, true>(count, width)(&factor, 1, {}, sums, Tile<V>::ld);
                for (int r = 0; r < count; ++r)
                    for (int v = 0; v < width; v += W) {
                        R* pairs = at.pairs.row(i + r) + panel * P + v;
                        (V::load(pairs) + V::load(sums + r * Tile<V>::ld + v)).store(pairs);
                    }
            }
        }
    }

    // d[i] = sum_j exp(a[i] + transition[i][j] - into[j]) * d[j], `into` the logarithms of the sums.
    void careful(Group& at, int64_t r, const R* a, const R* into) {
        R *d = at.d.row(r), *spread = at.q.row(r);
        for (int64_t i = 0; i < K; ++i) {
            V sum = V::zero();
            for (int64_t j = 0; j < ld; j += W) {
                const V to = V::load(into + j);
                V share = falling_exp(V::load(this->table.row(i) + j) + V::all(a[i]) - to) * V::load(d + j);
                share = {to.v == -Base::infinity ? V::zero().v : share.v};
                sum += share;
                if (call.d_transitions) (V::load(at.exact.row(i) + j) + share).store(at.exact.row(i) + j);
            }
            spread[i] = sum.sum();
        }
        std::memcpy(d, spread, K * sizeof(R));
        for (int64_t j = 0; j < ld; j += W) V::zero().store(spread + j);
    }

    void gather(const Team& team) {
        if (!call.d_transitions) return;
        R* out = static_cast<R*>(call.d_transitions);
        const Range mine = piece(K, 1, team.member(), team.members());
        for (int64_t i = mine.begin; i < mine.end; ++i)
            for (int64_t j = 0; j < ld; j += W) {
                V sum = V::zero();
                for (int g = 0; g < this->groups; ++g) {
                    const Group& at = group[g];
                    sum += V::load(at.pairs.row(i) + j) * V::load(this->weight.row(i) + j) + V::load(at.exact.row(i) + j);
                }
                sum.store(out + i * K + j, K - j < W ? int(K - j) : W);
            }
    }

    static void run(const recurra_chain& call, const Plan& plan) {
        ChainGradient pass(call, plan);
        Laid<ChainGradient> memory(pass);
        pass.prepare();
        run_team(pass.groups, 1, [](void* self, const Team& team) {
            auto& pass = *static_cast<ChainGradient*>(self);
            for (int g = team.group; g < pass.groups; g += team.groups) pass.run_group(g);
            team.sync_all();
            pass.gather(team);
        }, &pass);
    }
};

template <class V>
constexpr ChainKernel chain_kernel = {LogNorm<V>::run, ChainGradient<V>::run, Viterbi<V>::run, Lattice<V>::saved_row};

const ChainKernel chain = chain_kernel<Float>;
#if !defined(RECURRA_WIDE)
const ChainKernel chain_double = chain_kernel<Double>;
#endif

}  // namespace RECURRA_ISA
}  // namespace recurra
