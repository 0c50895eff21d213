// The LSTM's equations, shared by its kinds. Gates i (input), j (candidate), f (forget), o (output), as TensorFlow
// orders them; a COUPLED cell has no i, its input gate is 1 - f.
//
//   c' = clip(f * c + i * j * mask)      h' = clip(o * act(c') @ projection)
#pragma once
#include "core/activation.h"
#include "core/run.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_, bool COUPLED>
struct LstmBase : CellBase<V_> {
    using V = V_;
    using R = typename V::Real;
    static constexpr int W = V::width;
    static constexpr int G = COUPLED ? 3 : 4, I = 0, J = G - 3, F = G - 2, O = G - 1, C = G;  // C: saved behind the gates
    static constexpr int states = 2, banks = 2, slots = 2, work = 2;  // the second bank is the projection
    static constexpr int gates_of(int bank) { return bank == 0 ? G : 1; }
    static constexpr bool multiplies_saved(int bank) { return bank == 1; }
    static int64_t units_of(const recurra_call& call, int bank) { return bank == 0 ? call.H : call.projected ? call.R : 0; }
    static int64_t depth_of(const recurra_call& call, int bank) { return bank == 0 ? call.R : call.H; }
    static int64_t work_width(const recurra_call& call, int) { return call.projected ? call.H : 0; }
    static bool saves_row(const recurra_call& call) { return call.projected; }
    // The projection before its clip.
    static int64_t extra(const recurra_call& call) {
        return call.projected && call.projection_clip > 0 ? Columns<V>{1, call.R}.blocks() * W : 0;
    }

    Columns<V> units, outputs;
    const R *to_i, *to_f, *to_o;  // peepholes, or null
    const R clip, output_clip;    // 0: none
    const bool projected;
    const Activation act;

    explicit LstmBase(const recurra_call& call)
        : units{1, call.H},
          outputs{1, call.R},
          to_i(static_cast<const R*>(call.peephole[0])),
          to_f(static_cast<const R*>(call.peephole[1])),
          to_o(static_cast<const R*>(call.peephole[2])),
          clip(R(call.cell_clip)),
          output_clip(R(call.projection_clip)),
          projected(call.projected),
          act(call) {}

    V clipped(V x, R limit) const { return limit > 0 ? x.at_most(limit).at_least(-limit) : x; }
    template <class S>
    V dropped(const S& s, int64_t r, const Block<V>& b, V j) const {
        return s.mask ? j * s.of(s.mask[r], b) : j;
    }

    // --- forward -----------------------------------------------------------------------------------------------
    struct Gates {
        V i, j, f;
    };
    // The gates of the memory from their sums z.
    Gates open(const V (&z)[G], V before, const Block<V>& b) const {
        V i = z[I], j = z[J], f = z[F];
        if (to_f) f += Step<LstmBase>::of(to_f, b) * before;
        if constexpr (COUPLED) {
            act.with_gate(f, j);
            return {1 - f, j, f};
        }
        if (to_i) i += Step<LstmBase>::of(to_i, b) * before;
        act.with_gates(i, f, j);
        return {i, j, f};
    }

    template <class S>
    void save_gates(const S& s, int64_t r, const Block<V>& b, const Gates& gates) const {
        if (!COUPLED) s.save_one(r, b, I, gates.i);
        s.save_one(r, b, J, gates.j);
        s.save_one(r, b, F, gates.f);
    }

    // The new memory c to the state.
    template <class S>
    void keep(const S& s, int64_t r, const Block<V>& b, V c, V before) const {
        const V kept = s.mixed(1, r, b, c, before);
        s.put(s.c, r, b, kept);
        s.save_one(r, b, C, kept);
    }

    // The new memory c, and the output gate's sum z, to the output.
    template <class S>
    void give(const S& s, int64_t r, const Block<V>& b, V z, V c) const {
        V o = to_o ? z + s.of(to_o, b) * c : z, m = c;
        act.with_gate(o, m);
        const V h = o * m;
        s.save_one(r, b, O, o);
        if (!projected) {
            s.put_output(r, b, h);
            return;
        }
        s.put(s.work[0], r, b, h);
        s.save_row(r, b, h);
    }

    template <class S>
    void project(const S& s) const {
        if (!projected) return;
        s.sync();
        s.template multiply<1>(1, s.work[0], [&](int64_t r, const Block<V>& b) {
            const V h = b.gate(0);
            if (output_clip > 0 && s.saved) h.store(s.saved[r] + s.extra_at + b.unit);
            s.put_output(r, b, clipped(h, output_clip));
        });
    }

    // --- backward ----------------------------------------------------------------------------------------------
    // body(row, block, gradient of o * act(c)) for all rows and blocks.
    template <class S, class Body>
    RECURRA_INLINE void each_output(const S& s, Body&& body) const {
        if (!projected) {
            s.each(0, [&](int64_t r, const Block<V>& b) { body(r, b, s.d_output(r, b)); });
            return;
        }
        s.each(1, [&](int64_t r, const Block<V>& b) {
            V d = s.d_output(r, b);
            if (output_clip > 0) d = d * V::load(s.saved[r] + s.extra_at + b.unit).inside(output_clip);
            s.put_gates(1, 1, r, b, {d});
        });
        s.sync();
        s.multiply_back({1}, units, [&](int64_t r, const Block<V>& b) { body(r, b, b.gate(0)); });
    }

    // What forward saved of a step.
    struct Past {
        V i, j, f, o, dropped, before;
    };
    template <class S>
    Past past(const S& s, int64_t r, const Block<V>& b) const {
        const R *now = s.saved[r], *left = s.c_saved_before[r];
        const V j = s.recall(now, b, J), f = s.recall(now, b, F);
        return {COUPLED ? 1 - f : s.recall(now, b, I), j, f, s.recall(now, b, O), dropped(s, r, b, j),
                left ? s.recall(left, b, C) : s.of(s.c_before[r], b)};
    }

    // Gradients of the sums z of i, j and f from that of the memory; adds what goes back into the memory before.
    void close(const Past& p, V dc, V mask, const Block<V>& b, V (&d)[G], V& before) const {
        const V forget = p.f * (1 - p.f);
        before += dc * p.f;
        d[J] = dc * p.i * mask * act.slope(p.j);
        if constexpr (COUPLED) {
            d[F] = dc * (p.before - p.dropped) * forget;
        } else {
            d[F] = dc * p.before * forget;
            d[I] = dc * p.dropped * p.i * (1 - p.i);
            if (to_i) before += d[I] * Step<LstmBase>::of(to_i, b);
        }
        if (to_f) before += d[F] * Step<LstmBase>::of(to_f, b);
    }

    template <class S>
    V mask(const S& s, int64_t r, const Block<V>& b) const {
        return s.mask ? s.of(s.mask[r], b) : V::all(1);
    }

    template <class S>
    void multiply_back(const S& s) const {
        s.sync();
        s.multiply_back({0}, outputs, [&](int64_t r, const Block<V>& b) { s.put(s.h, r, b, s.past_h(r, b) + b.gate(0)); });
    }
};

// The plain and the coupled LSTM.
template <class V_, bool COUPLED>
struct Lstm : LstmBase<V_, COUPLED> {
    using V = V_;
    using Base = LstmBase<V, COUPLED>;
    using R = typename V::Real;
    using typename Base::Past;
    using Base::G, Base::I, Base::J, Base::F, Base::O, Base::C;
    static constexpr int saved = G + 1;
    static double constant(const recurra_call& call, int bank, int gate) { return bank == 0 && gate == F ? call.forget_bias : 0; }

    const bool careful;  // the saved memory is not the one whose activation went out
    explicit Lstm(const recurra_call& call)
        : Base(call), careful(call.cell_clip > 0 || call.mix[1].fresh.base || call.mix[1].old.base) {}

    static int64_t work_width(const recurra_call& call, int i) { return i == 0 ? call.H : 0; }

    // The rows of a tile where nothing but the equation (and, if MIXED, what is mixed into its states) is asked for:
    // constants stay in registers from row to row. What is serial (the memory's activation waits for the memory) is cut in
    // two loops: the processor then works on several rows at a time.
    template <bool SAVED, bool MIXED>
    static __attribute__((noinline)) void plain_tile(const Step<Lstm>& s, int64_t row, int rows, const Block<V>& b) {
        constexpr int W = V::width, ld = Tile<V>::ld;
        const int64_t saved_at = b.index * (saved * W);
        const Matrix<R> given = MIXED ? s.work[0] : s.c;  // the memory before it is mixed with the old one
        for (int64_t r = row; r < row + rows; ++r) {
            const auto sum = [&](int g) { return V::load(b.sums + (r - row) * ld + g * b.pitch); };
            V i = sum(I), f = sum(F), j = sum(J);
            sigmoid_sigmoid_tanh(i, f, j);
            const V before = s.at(s.c, r, b), c = f * before + i * j;
            const V kept = MIXED ? s.mixed(1, r, b, c, before) : c;
            if (MIXED) s.put(given, r, b, c);
            s.put(s.c, r, b, kept);
            if (SAVED) {
                R* to = s.saved[r] + saved_at;
                i.store(to + I * W);
                j.store(to + J * W);
                f.store(to + F * W);
                kept.store(to + C * W);
            }
        }
        for (int64_t r = row; r < row + rows; ++r) {
            V o = V::load(b.sums + (r - row) * ld + O * b.pitch), m = s.at(given, r, b);
            sigmoid_tanh(o, m);
            const V h = o * m;
            if (SAVED) o.store(s.saved[r] + saved_at + O * W);
            if (MIXED) {
                s.put_output(r, b, h);
                continue;
            }
            s.put(s.h_next, r, b, h);
            h.store(s.out[r] + b.unit, b.valid);
        }
    }
    bool plain(const Step<Lstm>& s) const {
        return !COUPLED && !this->projected && !(this->clip > 0) && !this->to_i && !this->to_f && !this->to_o && !s.mask &&
               this->act.kind == RECURRA_TANH;
    }

    void forward(const Step<Lstm>& s) const {
        if (plain(s)) {
            const bool mixed = s.h_row_at || s.mixes_h() || s.fresh[1] || s.old[1];
            const auto tile = s.saved ? mixed ? plain_tile<true, true> : plain_tile<true, false>
                                      : mixed ? plain_tile<false, true> : plain_tile<false, false>;
            s.template multiply_with_inputs<G>(0, s.h, ByTile{[&](int64_t row, int rows, const Block<V>& b) {
                                                   tile(s, row, rows, b);
                                               }});
            return;
        }
        const auto fresh = s.work[0];  // the memory before it is mixed with the old one; then what is projected
        const auto remember = [&](int64_t r, const Block<V>& b) {
            V z[G];
            for (int g = 0; g < O; ++g) z[g] = b.gate(g);
            const V before = s.at(s.c, r, b);
            const auto gates = this->open(z, before, b);
            const V c = this->clipped(gates.f * before + gates.i * this->dropped(s, r, b, gates.j), this->clip);
            this->save_gates(s, r, b, gates);
            s.put(fresh, r, b, c);
            this->keep(s, r, b, c, before);
        };
        const auto give = [&](int64_t r, const Block<V>& b) {
            this->give(s, r, b, b.gate(O), s.at(fresh, r, b));
        };
        s.template multiply_with_inputs<G>(0, s.h, InTurn{remember, give});
        this->project(s);
    }

    // The memory whose activation went out, before its clip.
    V memory(const Past& p, V kept) const { return careful ? p.f * p.before + p.i * p.dropped : kept; }

    void backward(const Step<Lstm>& s) const {
        this->each_output(s, [&](int64_t r, const Block<V>& b, V dh) {
            const Past p = this->past(s, r, b);
            const V raw = memory(p, s.recall(s.saved[r], b, C)), c = this->clipped(raw, this->clip), m = this->act.of(c);
            V d[G], dc = dh * p.o * this->act.slope(m), before = V::zero();
            d[O] = dh * m * p.o * (1 - p.o);
            s.unmix(1, r, b, s.at(s.c, r, b), dc, before);
            if (this->to_o) dc += d[O] * s.of(this->to_o, b);
            if (this->clip > 0) dc = dc * raw.inside(this->clip);
            this->close(p, dc, this->mask(s, r, b), b, d, before);
            s.put(s.c, r, b, before);
            s.put_gates(0, 0, r, b, d);
        });
        this->multiply_back(s);
    }

    // The peepholes' gradients.
    static constexpr int unit_sums = 3;
    static void* unit_gradient(const recurra_call& call, int i) { return call.d_peephole[i]; }
    template <class Gradient, class Slice>
    void sum_units(const Gradient& gradient, const Slice& slice, const Block<V>& b, V* sums) const {
        const auto i = gradient.gate_rows(0, I, b), f = gradient.gate_rows(0, F, b), o = gradient.gate_rows(0, O, b);
        gradient.each_pair(slice, [&](int64_t s, int64_t p, int64_t pair) {
            const V before = gradient.memory_before(s, p, b, C);
            if (!COUPLED) sums[0] += i.of(pair, b) * before;
            sums[1] += f.of(pair, b) * before;
            sums[2] += o.of(pair, b) * given(gradient, s, p, b);
        });
    }

    // The memory that the output gate saw.
    template <class Gradient>
    V given(const Gradient& gradient, int64_t s, int64_t p, const Block<V>& b) const {
        using S = Step<Lstm>;
        const R* now = gradient.saved(s, p);
        if (!careful) return S::recall(now, b, C);
        const V f = S::recall(now, b, F), i = COUPLED ? 1 - f : S::recall(now, b, I);
        const V j = S::recall(now, b, J) * gradient.mask(s, p, b);
        return this->clipped(f * gradient.memory_before(s, p, b, C) + i * j, this->clip);
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
