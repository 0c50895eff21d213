// The sLSTM (Beck et al., 2024, equations 8 to 17): a loop over steps whose gates see the last output of their own head.
// A thread takes heads, or some rows of a head, for the whole sequence: heads never meet.
//
// m is the larger of two logarithms, so that of keep = exp(log f + m - m') and enter = exp(i - m') one is always 1. A step
// saves the other: as itself for keep, negative for enter.
#include "core/xlstm.h"

#include <initializer_list>

#include "core/exponential.h"
#include "core/layer.h"
#include "core/memory.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V>
RECURRA_INLINE V log_sigmoid(V x) {
    return x.at_most(0) - natural_log<V::width>(falling_exp<V::width>(-x.magnitude()) + 1);
}

template <class V_>
struct SlstmRun {
    using V = V_;
    using R = typename V::Real;
    static constexpr int W = V::width, saved_vectors = 6;
    enum Saved { candidate, kept, open, shut, memory, normaliser };  // tanh z, see above, sigmoid o, 1 - f's slope, c', n'

    const recurra_xlstm_call& call;
    const Plan& plan;
    const int64_t D, H, groups, most_rows;
    const Columns<V> gates, units;
    int64_t head = 0, group = 0;
    R *panels, *spread;
    int64_t spread_ld;
    Matrix<R> h[2], c, n, m;

    static int64_t groups_of(const recurra_xlstm_call& call, int threads) {
        const int64_t wanted = (threads + call.N - 1) / call.N;
        return wanted < call.B ? wanted : call.B > 0 ? call.B : 1;
    }

    SlstmRun(const recurra_xlstm_call& call, const Plan& plan, int threads)
        : call(call), plan(plan), D(call.D), H(call.N * call.D), groups(groups_of(call, threads)),
          most_rows((call.B + groups - 1) / groups), gates{4, call.D}, units{1, call.D} {}

    void layout(Arena& arena) {
        const auto matrix = [&] {
            const int64_t ld = padded<V>(D);
            return Matrix<R>{arena.take<R>(most_rows * ld), ld};
        };
        const int64_t forward = gates.count() * D, backward = (units.panels() * 2 * W) * gates.count();
        panels = arena.take<R>(forward > backward ? forward : backward);
        spread_ld = gates.count() + W;
        spread = arena.take<R>(most_rows * spread_ld);
        for (Matrix<R>* each : {&h[0], &h[1], &c, &n, &m}) *each = matrix();
    }

    int64_t rows_at(int64_t s) const { return (plan.active[s] - group + groups - 1) / groups; }
    int64_t all_rows() const { return (call.B - group + groups - 1) / groups; }
    int64_t position(int64_t i) const { return group + i * groups; }
    R* row(const recurra_rows& rows, int64_t s, int64_t i) const {
        const int64_t p = position(i);
        return static_cast<R*>(rows.base) + plan.time(p, s) * rows.t_stride + plan.order[p] * rows.b_stride + head * D;
    }
    static int64_t saved_row(const recurra_xlstm_call& call) { return saved_vectors * ((call.D + W - 1) / W * W); }
    R* saved(int64_t s, int64_t i) const {
        return static_cast<R*>(call.reserve) + ((plan.first[s] + position(i)) * call.N + head) * saved_row(call);
    }
    RECURRA_INLINE V recall(const R* row, int64_t unit, Saved which) const {
        return V::load(row + which * (saved_row(call) / saved_vectors) + unit);
    }
    RECURRA_INLINE void save(R* row, int64_t unit, Saved which, V value) const {
        value.store(row + which * (saved_row(call) / saved_vectors) + unit);
    }

    void load_states(const void* const (&from)[4], Matrix<R>& output) const {
        const Matrix<R> states[] = {c, n, m, output};
        for (int which = 0; which < 4; ++which)
            for (int64_t i = 0; i < all_rows(); ++i) {
                const R* source = static_cast<const R*>(from[which]);
                R* to = states[which].row(i);
                if (source) source += plan.order[position(i)] * H + head * D;
                for (int64_t u = 0; u < states[which].ld; ++u) to[u] = source && u < D ? source[u] : R(0);
            }
    }
    void store_states(void* const (&to)[4], const Matrix<R>& output, int64_t first, int64_t last) const {
        const Matrix<R> states[] = {c, n, m, output};
        for (int which = 0; which < 4; ++which)
            for (int64_t i = first; i < last; ++i)
                std::memcpy(static_cast<R*>(to[which]) + plan.order[position(i)] * H + head * D, states[which].row(i),
                            size_t(D) * sizeof(R));
    }
    // Zeros past the rows' ends, in `parts` pieces of H.
    void clear_padding(const recurra_rows& rows, int parts) const {
        for (int64_t i = 0; i < all_rows(); ++i) {
            const int64_t p = position(i);
            for (int64_t t = plan.length[p]; t < call.T; ++t)
                for (int part = 0; part < parts; ++part)
                    std::memset(static_cast<R*>(rows.base) + t * rows.t_stride + plan.order[p] * rows.b_stride + part * H + head * D,
                                0, size_t(D) * sizeof(R));
        }
    }
    void gate_weights(Strided<R> (&of)[4]) const {
        for (int g = 0; g < 4; ++g) of[g] = {static_cast<const R*>(call.recurrent) + (head * D * 4 + g) * D, 4 * D, 1};
    }

    void forward() {
        Strided<R> weights[4];
        gate_weights(weights);
        pack<V>(weights, D, gates, 0, gates.blocks(), panels);
        load_states(call.initial, h[0]);
        store_states(call.final, h[0], rows_at(0), all_rows());
        clear_padding(call.out, 1);
        for (int64_t s = 0; s < plan.steps; ++s) {
            const Matrix<R> &past = h[s % 2], &next = h[1 - s % 2];
            const int64_t rows = rows_at(s);
            const Term<R> terms[] = {{past.p, past.ld, D, panels}};
            product<V, 4>(terms, rows, gates, {0, gates.blocks()}, {}, [&](int64_t r, const Block<V>& b) { step(s, r, b, next); });
            store_states(call.final, next, rows_at(s + 1), rows);
        }
    }

    RECURRA_INLINE void step(int64_t s, int64_t r, const Block<V>& b, const Matrix<R>& next) const {
        const R* x = row(call.x, s, r) + b.unit;
        V gate[4];
        for (int g = 0; g < 4; ++g) gate[g] = b.gate(g) + V::load(x + g * H, b.valid);
        const V i = gate[1], f = gate[2], log_f = call.exponential ? f : log_sigmoid(f);
        V z = gate[0], o = gate[3];
        sigmoid_tanh<W>(o, z);
        R *c_at = c.row(r) + b.unit, *n_at = n.row(r) + b.unit, *m_at = m.row(r) + b.unit;
        const V n_before = V::load(n_at), logarithm = log_f + V::load(m_at), ahead = logarithm - i;
        const V smaller = falling_exp<W>(-ahead.magnitude()).at_least(R(1.2e-38));
        const V one = V::all(1);
        const V keep = ahead.above(0, one, smaller);
        // Where nothing has entered yet m says nothing, and is taken from the first input.
        const V longer = n_before.magnitude().above(0, ahead, -one);
        const V enter = longer.above(0, smaller, one), m_new = longer.above(0, logarithm, i);
        const V c_new = keep * V::load(c_at) + enter * z, n_new = keep * n_before + enter;
        const V out = o * c_new / n_new;
        c_new.store(c_at);
        n_new.store(n_at);
        m_new.store(m_at);
        out.store(next.row(r) + b.unit);
        out.store(row(call.out, s, r) + b.unit, b.valid);
        if (!call.reserve) return;
        R* to = saved(s, r);
        save(to, b.unit, candidate, z);
        save(to, b.unit, kept, longer.above(0, -enter, keep));
        save(to, b.unit, open, o);
        save(to, b.unit, shut, call.exponential ? one : sigmoid<W>(-f));
        save(to, b.unit, memory, c_new);
        save(to, b.unit, normaliser, n_new);
    }

    void backward() {
        Strided<R> weights[4];
        gate_weights(weights);
        pack_transposed<V>(weights, gates, units, 0, units.blocks(), panels);
        load_states(call.d_final, h[0]);  // from here on, c, n, m and h[0] are gradients
        clear_padding(call.d_x, 4);
        for (int64_t s = plan.steps - 1; s >= 0; --s) {
            const int64_t rows = rows_at(s);
            for (int64_t r = 0; r < rows; ++r)
                for (int64_t block = 0; block < gates.blocks(); ++block) step_back(s, r, block);
            const Term<R> terms[] = {{spread, spread_ld, gates.count(), panels}};
            plain_product<V>(terms, rows, units, {0, units.panels()},
                             [&](int64_t r, int64_t column, V sum) { sum.store(h[0].row(r) + column); });
        }
        store_states(call.d_initial, h[0], 0, all_rows());
    }

    RECURRA_INLINE void step_back(int64_t s, int64_t r, int64_t block) const {
        const int64_t unit = block * W;
        const int valid = gates.valid(block), pitch = gates.pitch(block);
        const R* from = saved(s, r);
        const V z = recall(from, unit, candidate), o = recall(from, unit, open), past = recall(from, unit, kept);
        const V c_new = recall(from, unit, memory), n_new = recall(from, unit, normaliser);
        const V one = V::all(1), keep = past.above(0, past, one), enter = past.above(0, one, -past);
        V c_before, n_before;
        if (s > 0) {
            const R* before = saved(s - 1, r);
            c_before = recall(before, unit, memory);
            n_before = recall(before, unit, normaliser);
        } else {
            const int64_t at = plan.order[position(r)] * H + head * D + unit;
            c_before = V::load(static_cast<const R*>(call.initial[0]) + at, valid);
            n_before = V::load(static_cast<const R*>(call.initial[1]) + at, valid);
        }
        R *dc_at = c.row(r) + unit, *dn_at = n.row(r) + unit, *dm_at = m.row(r) + unit;
        V dh = V::load(h[0].row(r) + unit);
        if (call.d_out.base) dh += V::load(row(call.d_out, s, r) + unit, valid);
        const V share = one / n_new, level = c_new * share;
        const V dc = V::load(dc_at) + dh * o * share, dn = V::load(dn_at) - dh * o * level * share;
        const V d_keep = keep * (dc * c_before + dn * n_before), d_enter = enter * (dc * z + dn);
        const V dm = V::load(dm_at) - d_keep - d_enter;
        const V of_i = past.above(0, dm, V::zero()), of_log = past.above(0, V::zero(), dm);
        (keep * dc).store(dc_at);
        (keep * dn).store(dn_at);
        const V d_log = d_keep + of_log;
        d_log.store(dm_at);
        const V d_gate[4] = {dc * enter * (R(1) - z * z), d_enter + of_i, d_log * recall(from, unit, shut),
                             dh * level * o * (R(1) - o)};
        R *wide = spread + r * spread_ld + gates.begin(block), *d_x = row(call.d_x, s, r) + unit;
        for (int g = 0; g < 4; ++g) {
            d_gate[g].store(wide + g * pitch);
            d_gate[g].store(d_x + g * H, valid);
        }
    }
};

template <class V>
struct SlstmEntry {
    static int64_t reserve(const recurra_xlstm_call& call) { return call.T * call.B * call.N * SlstmRun<V>::saved_row(call); }
    static int64_t scratch_bytes(const recurra_xlstm_call& call, int threads) {
        const Plan none{};
        Arena count;
        SlstmRun<V>(call, none, threads).layout(count);
        return int64_t(count.used()) * threads;
    }
    static void run(const recurra_xlstm_call& call, const Plan& plan, const Team& team, void* scratch, bool backward) {
        SlstmRun<V> own(call, plan, team.members());
        Arena arena(static_cast<char*>(scratch) + team.member() * (scratch_bytes(call, team.members()) / team.members()));
        own.layout(arena);
        const Range mine = piece(call.N * own.groups, 1, team.member(), team.members());
        for (int64_t task = mine.begin; task < mine.end; ++task) {
            own.head = task / own.groups;
            own.group = task % own.groups;
            backward ? own.backward() : own.forward();
        }
    }
    static constexpr Xlstm entry = {reserve, scratch_bytes, run};
};

#if defined(RECURRA_WIDE)
const Xlstm slstm = SlstmEntry<Vec<float, RECURRA_WIDE / 4>>::entry;
#else
const Xlstm slstm = SlstmEntry<Vec<float, 4>>::entry;
const Xlstm slstm_double = SlstmEntry<Vec<double, 2>>::entry;
#endif

}  // namespace RECURRA_ISA
}  // namespace recurra
