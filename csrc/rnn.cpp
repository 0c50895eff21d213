// The simple recurrent cell: h' = activation(x W + h U + b).
#include "core/activation.h"
#include "core/run.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V_>
struct Rnn : CellBase<V_> {
    using V = V_;
    static constexpr int saved = 1;
    static constexpr int gates_of(int) { return 1; }

    Columns<V> units;
    const Activation act;
    explicit Rnn(const recurra_call& call) : units{1, call.H}, act(call) {}

    void forward(const Step<Rnn>& s) const {
        s.template multiply_with_inputs<1>(0, s.h, [&](int64_t r, const Block<V>& b) {
            const V h = act.of(b.gate(0));
            s.put_output(r, b, h);
            s.save(r, b, {h});
        });
    }

    void backward(const Step<Rnn>& s) const {
        s.each(0, [&](int64_t r, const Block<V>& b) {
            const V dh = s.d_output(r, b);
            s.put_gates(0, 0, r, b, {dh * act.slope(s.recall(s.saved[r], b, 0))});
        });
        s.sync();
        s.multiply_back({0}, units, [&](int64_t r, const Block<V>& b) { s.put(s.h, r, b, s.past_h(r, b) + b.gate(0)); });
    }
};

RECURRA_DEFINE(rnn, Rnn)

}  // namespace RECURRA_ISA
}  // namespace recurra
