// The GRU, with the reset gate before the candidate's product (Cho et al., TensorFlow) and after it (cuDNN, torch).
// Gates r (reset) and u (update) in bank 0, the candidate n in bank 1.
#include "core/activation.h"
#include "core/run.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_>
struct GruBase : CellBase<V_> {
    static constexpr int banks = 2, input_banks = 2, work = 2;
    static constexpr int gates_of(int bank) { return bank == 0 ? 2 : 1; }

    Columns<V_> units;
    const Activation act;
    explicit GruBase(const recurra_call& call) : units{1, call.H}, act(call) {}
};

// r, u = sigmoid(...);  n = act(x W + (r h) U);  h' = u h + (1 - u) n
template <class V_>
struct Gru : GruBase<V_> {
    using V = V_;
    using GruBase<V>::GruBase;
    static constexpr int slots = 2, saved = 3;
    static bool saves_row(const recurra_call&) { return true; }  // r * h, the candidate's operand
    static constexpr bool multiplies_saved(int bank) { return bank == 1; }

    void forward(const Step<Gru>& s) const {
        const auto reset = s.work[0], update = s.work[1];
        s.template multiply_with_inputs<2>(0, s.h, [&](int64_t row, const Block<V>& b) {
            V r = b.gate(0), u = b.gate(1);
            sigmoid_sigmoid(r, u);
            const V rh = r * s.at(s.h, row, b);
            s.put(reset, row, b, rh);
            s.put(update, row, b, u);
            s.save(row, b, {r, u});
            s.save_row(row, b, rh);
        });
        s.sync();
        s.template multiply_with_inputs<1>(1, reset, [&](int64_t row, const Block<V>& b) {
            const V n = this->act.of(b.gate(0)), u = s.at(update, row, b);
            s.put_output(row, b, u * s.at(s.h, row, b) + (1 - u) * n);
            s.save_one(row, b, 2, n);
        });
    }

    void backward(const Step<Gru>& s) const {
        const auto du = s.work[0];
        s.each(1, [&](int64_t row, const Block<V>& b) {
            const V u = s.recall(s.saved[row], b, 1), n = s.recall(s.saved[row], b, 2);
            const V dh = s.d_output(row, b);
            s.put(du, row, b, dh * (s.of(s.h_before[row], b) - n) * u * (1 - u));
            s.put(s.h, row, b, s.past_h(row, b) + dh * u);
            s.put_gates(1, 1, row, b, {dh * (1 - u) * this->act.slope(n)});
        });
        s.sync();
        s.multiply_back({1}, this->units, [&](int64_t row, const Block<V>& b) {
            const V r = s.recall(s.saved[row], b, 0), d = b.gate(0);  // gradient of r * h
            s.put(s.h, row, b, s.at(s.h, row, b) + d * r);
            s.put_gates(0, 0, row, b, {d * s.of(s.h_before[row], b) * r * (1 - r), s.at(du, row, b)});
        });
        s.sync();
        s.multiply_back({0}, this->units, [&](int64_t row, const Block<V>& b) {
            s.put(s.h, row, b, s.at(s.h, row, b) + b.gate(0));
        });
    }
};

// r, u = sigmoid(...);  n = act(x W + r (h U + b));  h' = u h + (1 - u) n
template <class V_>
struct GruAfter : GruBase<V_> {
    using V = V_;
    using R = typename V::Real;
    static constexpr int slots = 3, saved = 4;
    static constexpr int bank_of(int slot) { return slot == 0 ? 0 : 1; }
    static constexpr int state_slot(int bank) { return bank == 0 ? 0 : 2; }
    static constexpr bool joins_h_bias(int bank) { return bank == 0; }
    static constexpr bool joins_inputs = false;  // the candidate's come in behind the reset gate

    const R* hidden_bias;  // of the candidate, inside the reset gate
    explicit GruAfter(const recurra_call& call)
        : GruBase<V>(call), hidden_bias(static_cast<const R*>(call.gate[2].h_bias)) {}

    void forward(const Step<GruAfter>& s) const {
        const auto reset = s.work[0], update = s.work[1];
        s.template multiply_with_inputs<2>(0, s.h, [&](int64_t row, const Block<V>& b) {
            V r = b.gate(0), u = b.gate(1);
            sigmoid_sigmoid(r, u);
            s.put(reset, row, b, r);
            s.put(update, row, b, u);
            s.save(row, b, {r, u});
        });
        s.template multiply<1>(1, s.h, [&](int64_t row, const Block<V>& b) {
            const V hidden = b.gate(0) + s.of(hidden_bias, b);
            const V n = this->act.of(V::load(s.inputs(1).at(row, b.column).p) + s.at(reset, row, b) * hidden);
            const V u = s.at(update, row, b);
            s.put_output(row, b, u * s.at(s.h, row, b) + (1 - u) * n);
            s.save_one(row, b, 2, n);
            s.save_one(row, b, 3, hidden);
        });
    }

    void backward(const Step<GruAfter>& s) const {
        s.each(1, [&](int64_t row, const Block<V>& b) {
            const auto* now = s.saved[row];
            const V r = s.recall(now, b, 0), u = s.recall(now, b, 1), n = s.recall(now, b, 2);
            const V dh = s.d_output(row, b);
            const V dn = dh * (1 - u) * this->act.slope(n);
            const V du = dh * (s.of(s.h_before[row], b) - n) * u * (1 - u);
            s.put(s.h, row, b, s.past_h(row, b) + dh * u);
            s.put_gates(0, 0, row, b, {dn * s.recall(now, b, 3) * r * (1 - r), du});
            s.put_gates(1, 1, row, b, {dn});
            s.put_gates(2, 1, row, b, {dn * r});
        });
        s.sync();
        s.multiply_back({0, 2}, this->units, [&](int64_t row, const Block<V>& b) {
            s.put(s.h, row, b, s.at(s.h, row, b) + b.gate(0));
        });
    }
};

RECURRA_DEFINE(gru, Gru)
RECURRA_DEFINE(gru_after, GruAfter)

}  // namespace RECURRA_ISA
}  // namespace recurra
