// The LSTM. Gates i (input), j (candidate), f (forget), o (output), as TensorFlow orders them.
#include "core/run.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_>
struct Lstm {
    using V = V_;
    static constexpr int states = 2, banks = 1, slots = 1, saved = 5, work = 1;
    static constexpr bool saves_row = false;
    static constexpr int gates_of(int) { return 4; }
    static constexpr int bank_of(int) { return 0; }
    static constexpr int state_slot(int) { return 0; }
    static constexpr bool multiplies_saved(int) { return false; }
    static constexpr bool joins_h_bias(int) { return true; }
    static double constant(const recurra_call& call, int, int gate) { return gate == 2 ? call.forget_bias : 0; }

    using R = typename V::Real;
    Columns<V> units;
    const R *to_i, *to_f, *to_o;  // peepholes, or null
    const R clip;                 // 0: none
    const bool careful;           // the saved memory is not the one whose tanh went out

    explicit Lstm(const recurra_call& call)
        : units{1, call.R},
          to_i(static_cast<const R*>(call.peephole[0])),
          to_f(static_cast<const R*>(call.peephole[1])),
          to_o(static_cast<const R*>(call.peephole[2])),
          clip(R(call.cell_clip)),
          careful(clip > 0 || call.mix[1].fresh.base) {}

    V clipped(V c) const { return clip > 0 ? c.at_most(clip).at_least(-clip) : c; }

    void forward(const Step<Lstm>& s) const {
        const auto fresh = s.work[0];  // the memory before it is mixed with the old one
        const auto remember = [&](int64_t r, const Block<V>& b) {
            const R* x = s.inputs(0, r);
            const V before = s.at(s.c, r, b);
            V i = b.gate(0, x), j = b.gate(1, x), f = b.gate(2, x);
            if (to_i) {
                i += s.of(to_i, b) * before;
                f += s.of(to_f, b) * before;
            }
            sigmoid_sigmoid_tanh(i, f, j);
            const V c = clipped(f * before + i * j), kept = s.mixed(1, r, b, c, before);
            s.put(fresh, r, b, c);
            s.put(s.c, r, b, kept);
            s.save(r, b, {i, j, f});
            s.save_one(r, b, 4, kept);
        };
        const auto give = [&](int64_t r, const Block<V>& b) {
            const V c = s.at(fresh, r, b);
            V o = b.gate(3, s.inputs(0, r)), m = c;
            if (to_o) o += s.of(to_o, b) * c;
            sigmoid_tanh(o, m);
            s.put_output(r, b, o * m);
            s.save_one(r, b, 3, o);
        };
        s.template multiply<4>(0, s.h, InTurn{remember, give});
    }

    void backward(const Step<Lstm>& s) const {
        s.each([&](int64_t r, const Block<V>& b) {
            const R *now = s.saved[r], *earlier = s.c_saved_before[r];
            const V i = s.recall(now, b, 0), j = s.recall(now, b, 1), f = s.recall(now, b, 2), o = s.recall(now, b, 3);
            const V before = earlier ? s.recall(earlier, b, 4) : s.of(s.c_before[r], b);
            V c = s.recall(now, b, 4), open = V::all(1);
            if (careful) {
                c = f * before + i * j;
                if (clip > 0) open = c.inside(clip);
                c = clipped(c);
            }
            const V m = tanh(c), dh = s.d_output(r, b);
            const V zo = dh * m * o * (1 - o);
            V dc = dh * o * (1 - m * m), past = V::zero();
            s.unmix(1, r, b, s.at(s.c, r, b), dc, past);
            if (to_o) dc += zo * s.of(to_o, b);
            dc = dc * open;
            const V zi = dc * j * i * (1 - i), zf = dc * before * f * (1 - f);
            past += dc * f;
            if (to_i) past += zi * s.of(to_i, b) + zf * s.of(to_f, b);
            s.put(s.c, r, b, past);
            s.put_gates(0, 0, r, b, {zi, dc * i * (1 - j * j), zf, zo});
        });
        s.sync();
        s.multiply_back({0}, units, [&](int64_t r, const Block<V>& b) { s.put(s.h, r, b, s.past_h(r, b) + b.gate(0)); });
    }

    // The peepholes' gradients.
    template <class Gradient>
    void finish(const Gradient& gradient, const Team& team) const {
        using S = Step<Lstm>;
        const recurra_call& call = gradient.call;
        const auto before = [&](int64_t s, int64_t p, const Block<V>& b) {
            if (s) return S::recall(gradient.saved(s - 1, p), b, 4);
            const recurra_rows& initial = call.initial[1];
            return initial.base ? S::of(row_of<const R>(initial, 0, gradient.plan.order[p]), b) : V::zero();
        };
        gradient.diagonal(team, 0, 0, call.d_peephole[0], before);
        gradient.diagonal(team, 0, 2, call.d_peephole[1], before);
        gradient.diagonal(team, 0, 3, call.d_peephole[2], [&](int64_t s, int64_t p, const Block<V>& b) {
            const R* now = gradient.saved(s, p);
            if (!careful) return S::recall(now, b, 4);
            return clipped(S::recall(now, b, 2) * before(s, p, b) + S::recall(now, b, 0) * S::recall(now, b, 1));
        });
    }
};

RECURRA_DEFINE(lstm, Lstm)

}  // namespace RECURRA_ISA
}  // namespace recurra
