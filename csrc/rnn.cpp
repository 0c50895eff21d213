// The simple recurrent cell: h' = activation(x W + h U + b).
#include "core/run.h"

namespace recurra {
namespace RECURRA_ISA {

struct Tanh {
    template <class V> static RECURRA_INLINE V of(V x) { return tanh(x); }
    template <class V> static RECURRA_INLINE V slope(V y) { return 1 - y * y; }  // from the output
};
struct Relu {
    template <class V> static RECURRA_INLINE V of(V x) { return x.at_least(0); }
    template <class V> static RECURRA_INLINE V slope(V y) { return y.positive(); }
};
struct Sigmoid {
    template <class V> static RECURRA_INLINE V of(V x) { return sigmoid(x); }
    template <class V> static RECURRA_INLINE V slope(V y) { return y * (1 - y); }
};

template <class V_, class Activation>
struct Rnn {
    using V = V_;
    static constexpr int states = 1, banks = 1, slots = 1, saved = 1, work = 0;
    static constexpr bool saves_row = false;
    static constexpr int gates_of(int) { return 1; }
    static constexpr int bank_of(int) { return 0; }
    static constexpr int state_slot(int) { return 0; }
    static constexpr bool multiplies_saved(int) { return false; }
    static constexpr bool joins_h_bias(int) { return true; }
    static double constant(const recurra_call&, int, int) { return 0; }

    Columns<V> units;
    explicit Rnn(const recurra_call& call) : units{1, call.H} {}

    void forward(const Step<Rnn>& s) const {
        s.template multiply<1>(0, s.h, [&](int64_t r, const Block<V>& b) {
            const V h = Activation::of(b.gate(0, s.inputs(0, r)));
            s.put_output(r, b, h);
            s.save(r, b, {h});
        });
    }

    template <class Gradient>
    void finish(const Gradient&, const Team&) const {}

    void backward(const Step<Rnn>& s) const {
        s.each([&](int64_t r, const Block<V>& b) {
            const V dh = s.d_output(r, b);
            s.put_gates(0, 0, r, b, {dh * Activation::slope(s.recall(s.saved[r], b, 0))});
        });
        s.sync();
        s.multiply_back({0}, units, [&](int64_t r, const Block<V>& b) { s.put(s.h, r, b, s.past_h(r, b) + b.gate(0)); });
    }
};

template <class V> using RnnTanh = Rnn<V, Tanh>;
template <class V> using RnnRelu = Rnn<V, Relu>;
template <class V> using RnnSigmoid = Rnn<V, Sigmoid>;

RECURRA_DEFINE(rnn_tanh, RnnTanh)
RECURRA_DEFINE(rnn_relu, RnnRelu)
RECURRA_DEFINE(rnn_sigmoid, RnnSigmoid)

}  // namespace RECURRA_ISA
}  // namespace recurra
