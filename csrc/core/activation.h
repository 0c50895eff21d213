// The activations, each with its derivative from its output (which is what forward saves).
#pragma once
#include "call.h"
#include "math.h"

namespace recurra {
namespace RECURRA_ISA {

constexpr double selu_scale = 1.0507009873554805, selu_alpha = 1.6732632423543772, leak = 0.01;

// All but the usual ones are out of line: one copy serves all cells of a file.
template <class V>
__attribute__((noinline, cold)) static V activate(int64_t kind, V x) {
    using R = typename V::Real;
    switch (kind) {
        case RECURRA_SIGMOID: return sigmoid(x);
        case RECURRA_HARD_SIGMOID: return (x * R(0.2) + R(0.5)).at_least(0).at_most(1);
        case RECURRA_ELU: return x.above(0, x, x.each([](R v) { return std::expm1(v); }));
        case RECURRA_SELU:
            return x.above(0, x, x.each([](R v) { return std::expm1(v); }) * R(selu_alpha)) * R(selu_scale);
        case RECURRA_RELU6: return x.at_least(0).at_most(6);
        case RECURRA_LEAKY_RELU: return x.above(0, x, x * R(leak));
        case RECURRA_SOFTPLUS: return x.each([](R v) { return v > 20 ? v : std::log1p(std::exp(v)); });
        case RECURRA_SOFTSIGN: return x / (x.magnitude() + R(1));
        case RECURRA_EXPONENTIAL: return x.each([](R v) { return std::exp(v); });
        default: return x;  // RECURRA_LINEAR
    }
}

template <class V>
__attribute__((noinline, cold)) static V activation_slope(int64_t kind, V y) {
    using R = typename V::Real;
    const V one = V::all(1), none = V::zero();
    switch (kind) {
        case RECURRA_SIGMOID: return y * (1 - y);
        case RECURRA_HARD_SIGMOID: return y.above(0, (1 - y).above(0, V::all(R(0.2)), none), none);
        case RECURRA_ELU: return y.above(0, one, y + R(1));
        case RECURRA_SELU: return y.above(0, V::all(R(selu_scale)), y + R(selu_scale * selu_alpha));
        case RECURRA_RELU6: return y.above(0, (6 - y).positive(), none);
        case RECURRA_LEAKY_RELU: return y.above(0, one, V::all(R(leak)));
        case RECURRA_SOFTPLUS: return y.each([](R v) { return -std::expm1(-v); });
        case RECURRA_SOFTSIGN: {
            const V rest = 1 - y.magnitude();
            return rest * rest;
        }
        case RECURRA_EXPONENTIAL: return y;
        default: return one;  // RECURRA_LINEAR
    }
}

// The one that the call names.
struct Activation {
    const int64_t kind;
    explicit Activation(const recurra_call& call) : kind(call.activation) {}
    template <class V> RECURRA_INLINE V of(V x) const {
        if (__builtin_expect(kind == RECURRA_TANH, 1)) return tanh(x);
        return kind == RECURRA_RELU ? x.at_least(0) : activate(kind, x);
    }
    // g = sigmoid(g), x = of(x); tanh shares the gates' division.
    template <class V> RECURRA_INLINE void with_gate(V& g, V& x) const {
        if (__builtin_expect(kind == RECURRA_TANH, 1)) {
            sigmoid_tanh(g, x);
        } else {
            g = sigmoid(g);
            x = of(x);
        }
    }
    template <class V> RECURRA_INLINE void with_gates(V& g, V& h, V& x) const {
        if (__builtin_expect(kind == RECURRA_TANH, 1)) {
            sigmoid_sigmoid_tanh(g, h, x);
        } else {
            sigmoid_sigmoid(g, h);
            x = of(x);
        }
    }
    template <class V> RECURRA_INLINE V slope(V y) const {
        if (__builtin_expect(kind == RECURRA_TANH, 1)) return 1 - y * y;
        return kind == RECURRA_RELU ? y.positive() : activation_slope(kind, y);
    }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
