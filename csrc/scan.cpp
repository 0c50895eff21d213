// The linear scan: what is left of a linear recurrence when all its coefficients are known. A thread takes rows, or a
// part of each row where there are few, for the whole sequence. The loops are the compiler's to turn into vectors.
#include "core/scan.h"

#include "core/simd.h"
#include "core/team.h"

namespace recurra {
namespace RECURRA_ISA {

// A number: R itself, or a pair of them.
template <class R>
struct Real {
    R re;
    RECURRA_INLINE Real conj() const { return *this; }
    friend RECURRA_INLINE Real operator+(Real x, Real y) { return {x.re + y.re}; }
    friend RECURRA_INLINE Real operator*(Real x, Real y) { return {x.re * y.re}; }
};

template <class R>
struct Complex {
    R re, im;
    RECURRA_INLINE Complex conj() const { return {re, -im}; }
    friend RECURRA_INLINE Complex operator+(Complex x, Complex y) { return {x.re + y.re, x.im + y.im}; }
    friend RECURRA_INLINE Complex operator*(Complex x, Complex y) {
        return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
    }
};

template <class Number>
struct Scanned {
    const recurra_scan_call& call;
    Range rows, numbers;

    RECURRA_INLINE Number* at(const recurra_rows& where, int64_t t, int64_t b) const {
        return static_cast<Number*>(where.base) + t * where.t_stride + b * where.b_stride + numbers.begin;
    }
    // What the state was before step t, in the order in which time runs.
    RECURRA_INLINE const Number* before(int64_t t, int64_t b) const {
        const int64_t past = call.reverse ? t + 1 : t - 1;
        return past < 0 || past == call.T ? at(call.initial, 0, b) : at(call.out, past, b);
    }
    RECURRA_INLINE int64_t step(int64_t i, bool reverse) const { return reverse ? call.T - 1 - i : i; }

    void forward() const {
        const int64_t n = numbers.end - numbers.begin;
        for (int64_t i = 0; i < call.T; ++i)
            for (int64_t b = rows.begin; b < rows.end; ++b) {
                const int64_t t = step(i, call.reverse);
                const Number *a = at(call.a, t, b), *x = at(call.b, t, b), *past = before(t, b);
                Number* h = at(call.out, t, b);
#pragma GCC ivdep
                for (int64_t k = 0; k < n; ++k) h[k] = a[k] * past[k] + x[k];
            }
    }

    // g_t = d_out_t + conj(a_{t+1}) g_{t+1} is d_b_t; d_a_t = g_t * conj(h_{t-1}); d_initial = conj(a_0) g_0.
    void backward() const {
        const int64_t n = numbers.end - numbers.begin;
        for (int64_t i = 0; i < call.T; ++i)
            for (int64_t b = rows.begin; b < rows.end; ++b) {
                const int64_t t = step(i, !call.reverse), next = step(i - 1, !call.reverse);
                const Number* from = at(call.d_out, t, b);
                Number* g = at(call.d_b, t, b);
                if (i == 0) {
#pragma GCC ivdep
                    for (int64_t k = 0; k < n; ++k) g[k] = from[k];
                } else {
                    const Number *a = at(call.a, next, b), *later = at(call.d_b, next, b);
#pragma GCC ivdep
                    for (int64_t k = 0; k < n; ++k) g[k] = from[k] + a[k].conj() * later[k];
                }
                if (call.d_a.base) factor(t, b, g, n);
                if (i == call.T - 1) {
                    const Number* a = at(call.a, t, b);
                    Number* first = at(call.d_initial, 0, b);
#pragma GCC ivdep
                    for (int64_t k = 0; k < n; ++k) first[k] = a[k].conj() * g[k];
                }
            }
    }

    RECURRA_INLINE void factor(int64_t t, int64_t b, const Number* g, int64_t n) const {
        const Number* past = before(t, b);
        Number* d_a = at(call.d_a, t, b);
        if (call.d_a.t_stride) {
#pragma GCC ivdep
            for (int64_t k = 0; k < n; ++k) d_a[k] = g[k] * past[k].conj();
        } else {
#pragma GCC ivdep
            for (int64_t k = 0; k < n; ++k) d_a[k] = d_a[k] + g[k] * past[k].conj();
        }
    }
};

template <class Number>
void run(const recurra_scan_call& call, const Team& team, bool backward) {
    const int64_t me = team.member(), all = team.members();
    const bool by_rows = call.B >= all;
    const Range rows = by_rows ? piece(call.B, 1, me, all) : Range{0, call.B};
    const Range numbers = by_rows ? Range{0, call.N} : piece(call.N, 16, me, all);
    const Scanned<Number> scanned{call, rows, numbers};
    backward ? scanned.backward() : scanned.forward();
}

void scan(const recurra_scan_call& call, const Team& team, bool backward) {
    if (call.is_complex)
        call.is_double ? run<Complex<double>>(call, team, backward) : run<Complex<float>>(call, team, backward);
    else
        call.is_double ? run<Real<double>>(call, team, backward) : run<Real<float>>(call, team, backward);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
