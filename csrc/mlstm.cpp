// The mLSTM's memory (Beck et al., 2024, equations 19 to 27) step by step: a head's matrix stays in the cache for the
// whole sequence, and every step writes and reads it in one pass. A thread takes (row, head) pairs.
#include "core/mlstm.h"

#include <algorithm>

#include "core/math.h"
#include "core/team.h"

namespace recurra {
namespace RECURRA_ISA {

#if defined(RECURRA_WIDE)
using Float = Vec<float, RECURRA_WIDE / 4>;
#else
using Float = Vec<float, 4>;
#endif

struct Head {
    const recurra_mlstm_call& call;
    int64_t b, head;

    RECURRA_INLINE float* at(const recurra_rows& where, int64_t t, int64_t width) const {
        return static_cast<float*>(where.base) + t * where.t_stride + b * where.b_stride + head * width;
    }

    void run() const {
        const int64_t D = call.D, which = b * call.N + head;
        float* n = call.n + which * D;
        float& m = call.m[which];
        const float scale = 1 / std::sqrt(float(D));
        for (int64_t step = 0; step < call.T; ++step) {
            const int64_t t = call.reverse ? call.T - 1 - step : step;
            const float i = *at(call.i, t, 1), kept = *at(call.log_f, t, 1) + m;
            m = std::max(kept, i);
            const float keep = std::exp(kept - m), enter = std::exp(i - m) * scale;
            const float *q = at(call.q, t, D), *k = at(call.k, t, D);
            float seen = 0;
            for (int64_t r = 0; r < D; ++r) {
                n[r] = keep * n[r] + enter * k[r];
                seen += q[r] * n[r];
            }
            const float weight = std::max(std::fabs(seen), std::exp(std::min(-m, 80.0f)));
            int64_t column = 0;
            for (; column + 2 * Float::width <= D; column += 2 * Float::width) columns<2>(t, column, 2 * Float::width, keep, enter, weight);
            for (; column < D; column += Float::width) columns<1>(t, column, int(std::min<int64_t>(Float::width, D - column)), keep, enter, weight);
        }
    }

    // C' = keep * C + enter * k v^T and q C' of some columns, two rows at a time (two chains of sums).
    template <int Vectors>
    RECURRA_INLINE void columns(int64_t t, int64_t column, int lanes, float keep, float enter, float weight) const {
        const int64_t D = call.D;
        const int last = lanes - (Vectors - 1) * Float::width;
        const auto lanes_of = [&](int j) { return j == Vectors - 1 ? last : Float::width; };
        const float *q = at(call.q, t, D), *k = at(call.k, t, D), *v = at(call.v, t, D) + column;
        float* c = call.c + (b * call.N + head) * D * D + column;
        Float value[Vectors], found[2][Vectors];
        for (int j = 0; j < Vectors; ++j) {
            value[j] = Float::load(v + j * Float::width, lanes_of(j));
            found[0][j] = found[1][j] = Float::zero();
        }
        const auto row = [&](int64_t r, Float* sum) {
            const float key = enter * k[r], asked = q[r];
            for (int j = 0; j < Vectors; ++j) {
                float* where = c + r * D + j * Float::width;
                const Float fresh = Float::load(where, lanes_of(j)) * keep + value[j] * key;
                fresh.store(where, lanes_of(j));
                sum[j] = fresh * asked + sum[j];
            }
        };
        int64_t r = 0;
        for (; r + 2 <= D; r += 2) {
            row(r, found[0]);
            row(r + 1, found[1]);
        }
        if (r < D) row(r, found[0]);
        const float *o = at(call.o, t, D) + column;
        float* out = at(call.out, t, D) + column;
        for (int j = 0; j < Vectors; ++j) {
            const Float open = sigmoid<Float::width>(Float::load(o + j * Float::width, lanes_of(j)));
            const Float h = open * (found[0][j] + found[1][j]) / Float::all(weight);
            h.store(out + j * Float::width, lanes_of(j));
        }
    }
};

void mlstm(const recurra_mlstm_call& call, const Team& team) {
    const Range mine = piece(call.B * call.N, 1, team.member(), team.members());
    for (int64_t pair = mine.begin; pair < mine.end; ++pair) Head{call, pair / call.N, pair % call.N}.run();
}

}  // namespace RECURRA_ISA
}  // namespace recurra
