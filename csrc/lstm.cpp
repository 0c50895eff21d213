// The LSTM. Gates i (input), j (candidate), f (forget), o (output), as TensorFlow orders them.
#include "core/run.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_>
struct Lstm {
    using V = V_;
    static constexpr int states = 2, banks = 1, slots = 1, saved = 5, work = 0;
    static constexpr bool saves_row = false;
    static constexpr int gates_of(int) { return 4; }
    static constexpr int bank_of(int) { return 0; }
    static constexpr int state_slot(int) { return 0; }
    static constexpr bool multiplies_saved(int) { return false; }
    static constexpr bool joins_h_bias(int) { return true; }
    static double constant(const recurra_call& call, int, int gate) { return gate == 2 ? call.forget_bias : 0; }

    Columns<V> units;
    explicit Lstm(const recurra_call& call) : units{1, call.R} {}

    void forward(const Step<Lstm>& s) const {
        s.template multiply<4>(0, s.h, [&](int64_t r, const Block<V>& b) {
            const auto* x = s.inputs(0, r);
            const V i = sigmoid(b.gate(0, x)), j = tanh(b.gate(1, x));
            const V f = sigmoid(b.gate(2, x)), o = sigmoid(b.gate(3, x));
            const V c = f * s.at(s.c, r, b) + i * j;
            s.put(s.c, r, b, c);
            s.put_output(r, b, o * tanh(c));
            s.save(r, b, {i, j, f, o, c});
        });
    }

    void backward(const Step<Lstm>& s) const {
        s.each([&](int64_t r, const Block<V>& b) {
            const auto* now = s.saved[r];
            const V i = s.recall(now, b, 0), j = s.recall(now, b, 1), f = s.recall(now, b, 2);
            const V o = s.recall(now, b, 3), m = tanh(s.recall(now, b, 4));
            const auto* before = s.c_saved_before[r];
            const V c = before ? s.recall(before, b, 4) : s.of(s.c_before[r], b);
            const V dh = s.at(s.h, r, b) + s.of(s.out[r], b);
            const V dc = s.at(s.c, r, b) + dh * o * (1 - m * m);
            s.put(s.c, r, b, dc * f);
            s.put_gates(0, 0, r, b, {dc * j * i * (1 - i), dc * i * (1 - j * j), dc * c * f * (1 - f), dh * m * o * (1 - o)});
        });
        s.sync();
        s.multiply_back({0}, units, [&](int64_t r, const Block<V>& b) { s.put(s.h, r, b, b.gate(0)); });
    }
};

RECURRA_DEFINE(lstm, Lstm)

}  // namespace RECURRA_ISA
}  // namespace recurra
