// The LSTM with layer normalisation of its gates and of its memory (Ba, Kiros and Hinton, 2016), as TensorFlow's
// contrib.rnn has it: each gate is normalised before peepholes and forget bias, the new memory before its clip.
//
//   z = norm(x W + h U)      c' = clip(norm(f * c + i * j * mask))      h' = clip(o * act(c') @ projection)
//
// A row's gates must all be there before any of them is used: threads own whole rows.
#include "lstm.h"

namespace recurra {
namespace RECURRA_ISA {

// Mean and 1 / sqrt(variance + epsilon) of a row whose padding is zero.
template <class V>
struct Moments {
    using R = typename V::Real;
    R mean, scale;

    Moments() = default;
    Moments(const R* row, int64_t count, R epsilon) {
        V sum = V::zero(), square = V::zero();
        for (int64_t u = 0; u < count; u += V::width) sum += V::load(row + u);
        mean = sum.sum() / R(count);
        for (int64_t u = 0; u < count; u += V::width) {
            const int64_t left = count - u;
            const V d = (V::load(row + u) + -mean).first(left < V::width ? int(left) : V::width);
            square += d * d;
        }
        scale = 1 / std::sqrt(square.sum() / R(count) + epsilon);
    }
    V of(V x) const { return (x + -mean) * scale; }
};

template <class V_, bool COUPLED>
struct Normed : LstmBase<V_, COUPLED> {
    using V = V_;
    using Base = LstmBase<V, COUPLED>;
    using R = typename V::Real;
    using typename Base::Past;
    using Base::G, Base::I, Base::J, Base::F, Base::O, Base::C, Base::W;
    static constexpr bool whole_rows = true;
    static constexpr int N = G + 1;                  // norms: of the gates, then of the memory (index C)
    static constexpr int saved = G + 1 + N, X = G + 1;  // from X: what was normalised, before gain and shift
    static int64_t row(const recurra_call& call) { return Columns<V>{1, call.H}.blocks() * W; }
    static int64_t work_width(const recurra_call& call, int i) { return i == 0 ? Base::work_width(call, 0) : G * row(call); }
    // Saved: the scales of the norms. Kept: the gradients of what the norms gave.
    static constexpr int scales = (N + W - 1) / W * W;
    static int64_t extra(const recurra_call& call) { return Base::extra(call) + scales; }
    static int64_t kept(const recurra_call& call) { return N * row(call); }

    const R *gain[N], *shift[N];
    const R epsilon, forget_bias;
    const int64_t H, width, scales_at;  // width: of a row of units, padded

    explicit Normed(const recurra_call& call)
        : Base(call), epsilon(R(call.norm_epsilon)), forget_bias(R(call.forget_bias)), H(call.H), width(row(call)),
          scales_at(Base::extra(call)) {
        for (int n = 0; n < N; ++n) {
            gain[n] = static_cast<const R*>(call.norm[n].gain);
            shift[n] = static_cast<const R*>(call.norm[n].shift);
        }
    }

    using S = Step<Normed>;
    V scaled(int n, V x, const Block<V>& b) const { return x * S::of(gain[n], b) + S::of(shift[n], b); }
    R* scales_of(const S& s, int64_t r) const { return s.saved[r] + s.extra_at + scales_at; }
    int64_t blocks(const S& s) const { return s.bank[0].blocks(); }

    void forward(const S& s) const {
        s.template multiply_with_inputs<G>(0, s.h, [&](int64_t r, const Block<V>& b) {
            R* z = s.work[1].row(r) + b.unit;
            for (int g = 0; g < G; ++g) b.gate(g).first(b.valid).store(z + g * width);
        });
        for (int64_t r = 0; r < s.rows; ++r) remember(s, r, s.work[1].row(r));
        this->project(s);
    }

    // One row; the new memory takes the place of its first gate's sums.
    void remember(const S& s, int64_t r, R* z) const {
        Moments<V> norm[G];
        for (int g = 0; g < G; ++g) norm[g] = Moments<V>(z + g * width, H, epsilon);
        for (int64_t index = 0; index < blocks(s); ++index) {
            const Block<V> b = s.block(0, index);
            R* at = z + b.unit;
            V y[G];
            for (int g = 0; g < G; ++g) {
                const V x = norm[g].of(V::load(at + g * width));
                s.save_one(r, b, X + g, x);
                y[g] = scaled(g, x, b);
            }
            y[F] += V::all(forget_bias);
            const V before = s.at(s.c, r, b);
            const auto gates = this->open(y, before, b);
            this->save_gates(s, r, b, gates);
            (gates.f * before + gates.i * this->dropped(s, r, b, gates.j)).first(b.valid).store(at);
            y[O].store(at + O * width);
        }
        const Moments<V> memory(z, H, epsilon);
        for (int64_t index = 0; index < blocks(s); ++index) {
            const Block<V> b = s.block(0, index);
            const V x = memory.of(V::load(z + b.unit)), c = this->clipped(scaled(C, x, b), this->clip);
            s.save_one(r, b, X + C, x);
            this->keep(s, r, b, c, s.at(s.c, r, b));
            this->give(s, r, b, V::load(z + O * width + b.unit), c);
        }
        if (!s.saved) return;
        for (int g = 0; g < G; ++g) scales_of(s, r)[g] = norm[g].scale;
        scales_of(s, r)[C] = memory.scale;
    }

    // The sums over a row that the gradient of a norm needs: with g the gradient of its normalised input x,
    // d = scale * (g - mean(g) - x * mean(g x)).
    struct Sums {
        V g = V::zero(), gx = V::zero();
        R mean_g = 0, mean_gx = 0;
        void add(V d, V x) {
            g += d;
            gx += d * x;
        }
        void finish(int64_t count) {
            mean_g = g.sum() / R(count);
            mean_gx = gx.sum() / R(count);
        }
        V of(V d, V x, R scale) const { return (d + -mean_g + x * -mean_gx) * scale; }
    };

    void backward(const S& s) const {
        this->each_output(s, [&](int64_t r, const Block<V>& b, V dh) { output(s, r, b, dh); });
        for (int64_t r = 0; r < s.rows; ++r) gates(s, r);
        this->multiply_back(s);
    }

    // Row r's gradients of what norm n gave.
    R* given_to(const S& s, int64_t r, int n) const { return s.kept + s.pair[r] * s.kept_row + n * width; }

    // From the output to what the output gate's and the memory's norms gave.
    void output(const S& s, int64_t r, const Block<V>& b, V dh) const {
        const R* now = s.saved[r];
        const V raw = scaled(C, s.recall(now, b, X + C), b), c = this->clipped(raw, this->clip);
        const V m = this->act.of(c), o = s.recall(now, b, O);
        V zo = dh * m * o * (1 - o), dc = dh * o * this->act.slope(m), before = V::zero();
        s.unmix(1, r, b, s.at(s.c, r, b), dc, before);
        if (this->to_o) dc += zo * s.of(this->to_o, b);
        if (this->clip > 0) dc = dc * raw.inside(this->clip);
        s.put(s.c, r, b, before);
        zo.first(b.valid).store(given_to(s, r, O) + b.unit);
        dc.first(b.valid).store(given_to(s, r, C) + b.unit);
    }

    // From the memory's norm to the sums of the gates.
    void gates(const S& s, int64_t r) const {
        const R *now = s.saved[r], *scale = scales_of(s, r);
        const auto given = [&](int n, const Block<V>& b) { return V::load(given_to(s, r, n) + b.unit); };
        const auto inner = [&](int n, const Block<V>& b) { return given(n, b) * s.of(gain[n], b); };
        const auto input = [&](int n, const Block<V>& b) { return s.recall(now, b, X + n); };
        Sums memory, norm[G];
        for (int64_t index = 0; index < blocks(s); ++index) {
            const Block<V> b = s.block(0, index);
            memory.add(inner(C, b), input(C, b).first(b.valid));
        }
        memory.finish(H);
        for (int64_t index = 0; index < blocks(s); ++index) {
            const Block<V> b = s.block(0, index);
            const Past past = this->past(s, r, b);
            V d[G], before = s.at(s.c, r, b);
            this->close(past, memory.of(inner(C, b), input(C, b), scale[C]), this->mask(s, r, b), b, d, before);
            s.put(s.c, r, b, before);
            for (int g = 0; g < G; ++g) {
                if (g != O) d[g].first(b.valid).store(given_to(s, r, g) + b.unit);
                norm[g].add(inner(g, b), input(g, b).first(b.valid));
            }
        }
        for (Sums& sums : norm) sums.finish(H);
        for (int64_t index = 0; index < blocks(s); ++index) {
            const Block<V> b = s.block(0, index);
            V d[G];
            for (int g = 0; g < G; ++g) d[g] = norm[g].of(inner(g, b), input(g, b), scale[g]);
            s.put_gates(0, 0, r, b, d);
        }
    }

    // The gradients of gains, shifts and peepholes.
    static constexpr int shifts = N, peepholes = 2 * N, unit_sums = 2 * N + 3;
    static void* unit_gradient(const recurra_call& call, int i) {
        if (i >= peepholes) return call.d_peephole[i - peepholes];
        return i < shifts ? call.d_norm[i].gain : call.d_norm[i - shifts].shift;
    }
    template <class Gradient, class Slice>
    void sum_units(const Gradient& gradient, const Slice& slice, const Block<V>& b, V* sums) const {
        const bool peeps = this->to_i || this->to_f || this->to_o;
        gradient.each_pair(slice, [&](int64_t s, int64_t p, int64_t pair) {
            const R *now = gradient.saved(s, p), *given = gradient.kept + pair * (N * width) + b.unit;
            const auto d = [&](int n) { return V::load(given + n * width); };
            for (int n = 0; n < N; ++n) {
                sums[n] += d(n) * S::recall(now, b, X + n);
                sums[shifts + n] += d(n);
            }
            if (!peeps) return;
            const V before = gradient.memory_before(s, p, b, C);
            if (!COUPLED) sums[peepholes] += d(I) * before;
            sums[peepholes + 1] += d(F) * before;
            sums[peepholes + 2] += d(O) * this->clipped(scaled(C, S::recall(now, b, X + C), b), this->clip);
        });
    }
};

template <class V> using NormedLstm = Normed<V, false>;
template <class V> using NormedCoupledLstm = Normed<V, true>;

RECURRA_DEFINE(lstm_normed, NormedLstm)
RECURRA_DEFINE(lstm_normed_coupled, NormedCoupledLstm)

}  // namespace RECURRA_ISA
}  // namespace recurra
