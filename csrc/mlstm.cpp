// The mLSTM (Beck et al., 2024, equations 19 to 27) in chunks: the steps of a chunk meet in small products, between
// chunks there is the memory. A thread takes rows, or some heads of a row, for the whole sequence: all heads of a chunk in turn, for
// their numbers lie side by side.
//
// Step t of a chunk takes of step s <= t the weight W(t, s) = start(s) * keep(s + 1) ... keep(t), and of the memory before
// the chunk carried(t) = keep(0) ... keep(t), where keep = exp(log f + m - m') and start = exp(i - m') / sqrt D: products of
// numbers up to 1, which neither overflow nor cancel. Gradients hold m constant, for h does not depend on it; those of
// the logarithms follow from dq · q and dk · k, for q(t) is multiplied with row t of the weights only and k(s) with column s.
#include "core/xlstm.h"

#include <algorithm>
#include <initializer_list>

#include "core/exponential.h"
#include "core/memory.h"
#include "core/small.h"
#include "core/team.h"

namespace recurra {
namespace RECURRA_ISA {

template <class V>
struct MlstmRun {
    using R = typename V::Real;
    static constexpr int W = V::width, grain = W > small_rows<V> ? W : small_rows<V>;
    static constexpr int64_t longest = 32;  // steps of a chunk

    const recurra_xlstm_call& call;
    const int64_t D, P, H, chunks;  // P: D in whole vectors
    int64_t b = 0, head = 0, length = 0, ahead = 0;

    // Of a head: the memory and its gradient, both [P, P], the normaliser and its gradient, [P].
    struct Memory {
        R *c, *d_c, *n, *d_n;
        R m, tail, last_m;
        int64_t origin;
    };
    Memory *memories, *own = nullptr;

    // Of a chunk, [longest, P] each; of a memory turned, [P, P]; weights and scores, [longest, longest].
    R *q, *k, *v, *o, *out, *d_q, *d_k, *d_v, *turned, *asked;
    R *weight, *score, *d_score;
    R* c_turned;
    R *input, *forget, *log_f, *m, *keep, *carried, *seen, *inner, *d_seen, *d_input, *d_log;  // [longest]

    MlstmRun(const recurra_xlstm_call& call)
        : call(call), D(call.D), P((call.D + grain - 1) / grain * grain), H(call.N * call.D), chunks((call.T + longest - 1) / longest) {}

    void layout(Arena& arena) {
        for (R** each : {&q, &k, &v, &o, &out, &d_q, &d_k, &d_v, &turned, &asked}) *each = arena.take<R>(longest * P);
        for (R** each : {&weight, &score, &d_score}) *each = arena.take<R>(longest * longest);
        c_turned = arena.take<R>(P * P);
        memories = arena.take<Memory>(call.N);
        for (int64_t h = 0; h < call.N; ++h) {
            const Memory laid = {arena.take<R>(P * P), arena.take<R>(P * P), arena.take<R>(P), arena.take<R>(P), 0, 0, 0, 0};
            if (memories) memories[h] = laid;
        }
        for (R** each : {&input, &forget, &log_f, &m, &keep, &carried, &seen, &inner, &d_seen, &d_input, &d_log})
            *each = arena.take<R>(longest);
    }

    // Saved of a pair: the memory before each chunk, and which step the last m came from.
    static int64_t saved_chunk(int64_t P) { return P * (P + 1) + W; }
    static int64_t saved_pair(const recurra_xlstm_call& call) {
        const MlstmRun run(call);
        return run.chunks * saved_chunk(run.P) + W;
    }
    R* saved(int64_t chunk) const {
        return static_cast<R*>(call.reserve) + (b * call.N + head) * saved_pair(call) + chunk * saved_chunk(P);
    }

    int64_t time(int64_t step) const { return call.reverse ? length - 1 - step : step; }
    R* row(const recurra_rows& rows, int64_t step) const {
        return static_cast<R*>(rows.base) + time(step) * rows.t_stride + b * rows.b_stride;
    }
    static int64_t whole(int64_t count) { return (count + grain - 1) / grain * grain; }

    // Rows [begin, begin + count) of D features at `column`, in whole vectors, with zeros around. The chunk that comes
    // next, `ahead` steps further, is asked for: its rows lie too far apart for the processor to see it coming.
    void gather(const recurra_rows& rows, int64_t column, int64_t begin, int64_t count, R* to) const {
        for (int64_t j = 0; j < whole(count); ++j) {
            const int64_t next = begin + j + ahead;
            if (next >= 0 && next < length)
                for (int64_t d = 0; d < D; d += 64 / int(sizeof(R))) __builtin_prefetch(row(rows, next) + column + d);
            if (j < count) std::memcpy(to + j * P, row(rows, begin + j) + column, size_t(D) * sizeof(R));
            for (int64_t d = j < count ? D : 0; d < P; ++d) to[j * P + d] = 0;
        }
    }
    void scatter(const R* from, const recurra_rows& rows, int64_t column, int64_t begin, int64_t count) const {
        for (int64_t j = 0; j < count; ++j) std::memcpy(row(rows, begin + j) + column, from + j * P, size_t(D) * sizeof(R));
    }
    void load_memory(const void* const (&from)[4], R* matrix, R* vector) const {
        const int64_t pair = b * call.N + head;
        std::fill(matrix, matrix + P * P, R(0));
        std::fill(vector, vector + P, R(0));
        if (from[0])
            for (int64_t r = 0; r < D; ++r)
                std::memcpy(matrix + r * P, static_cast<const R*>(from[0]) + (pair * D + r) * D, size_t(D) * sizeof(R));
        if (from[1]) std::memcpy(vector, static_cast<const R*>(from[1]) + pair * D, size_t(D) * sizeof(R));
    }
    void store_memory(void* const (&to)[4], const R* matrix, const R* vector, R logarithm) const {
        const int64_t pair = b * call.N + head;
        for (int64_t r = 0; r < D; ++r)
            std::memcpy(static_cast<R*>(to[0]) + (pair * D + r) * D, matrix + r * P, size_t(D) * sizeof(R));
        std::memcpy(static_cast<R*>(to[1]) + pair * D, vector, size_t(D) * sizeof(R));
        static_cast<R*>(to[2])[pair] = logarithm;
    }
    void clear_padding(const recurra_rows& rows, bool gates) const {
        for (int64_t t = length; t < call.T; ++t) {
            R* at = static_cast<R*>(rows.base) + t * rows.t_stride + b * rows.b_stride;
            for (int part = 0; part < (gates ? 4 : 1); ++part) std::memset(at + part * H + head * D, 0, size_t(D) * sizeof(R));
            if (gates) at[4 * H + head] = at[4 * H + call.N + head] = 0;
        }
    }

    RECURRA_INLINE R dot(const R* x, const R* y, int64_t size) const {
        V sum = V::zero();
        for (int64_t i = 0; i < size; i += W) sum += V::load(x + i) * V::load(y + i);
        return sum.sum();
    }
    // to = x * factor
    RECURRA_INLINE void scaled(const R* x, R factor, R* to, int64_t size) const {
        for (int64_t i = 0; i < size; i += W) (V::load(x + i) * factor).store(to + i);
    }
    // to = to * factor + x * share
    RECURRA_INLINE void mixed(R* to, R factor, const R* x, R share, int64_t size) const {
        for (int64_t i = 0; i < size; i += W) (V::load(to + i) * factor + V::load(x + i) * share).store(to + i);
    }

    // Everything that the gates of a chunk give: m, keep, carried, and the weights; moves m on.
    void weigh(int64_t begin, int64_t count) {
        for (int64_t j = 0; j < longest; ++j) {
            const R* gates = j < count ? row(call.x, begin + j) + 4 * H + head : nullptr;
            input[j] = gates ? gates[0] : 0;
            forget[j] = gates ? gates[call.N] : 0;
        }
        for (int64_t j = 0; j < longest; j += W) {
            const V f = V::load(forget + j);
            (call.exponential ? f : f.at_most(0) - natural_log<W>(falling_exp<W>(-f.magnitude()) + 1)).store(log_f + j);
        }
        R before = own->m;
        for (int64_t j = 0; j < longest; ++j) {
            const R kept = log_f[j] + before;
            const bool enters = !(kept >= input[j]);
            if (enters && j < count) own->origin = begin + j;
            m[j] = enters ? input[j] : kept;
            keep[j] = kept - m[j];
            input[j] -= m[j];
            before = m[j];
        }
        own->m = m[count - 1];
        for (int64_t j = 0; j < longest; j += W) {
            falling_exp<W>(V::load(keep + j)).store(keep + j);
            falling_exp<W>(V::load(input + j)).store(input + j);
        }
        const R scale = 1 / std::sqrt(R(D));
        const int64_t rows = whole(count);
        R all = 1;
        for (int64_t j = 0; j < rows; ++j) {
            R* row = weight + j * longest;
            if (j == 0 || j >= count)
                std::fill(row, row + longest, R(0));
            else
                scaled(row - longest, keep[j], row, longest);
            if (j < count) {
                row[j] = input[j] * scale;
                all *= keep[j];
            }
            carried[j] = j < count ? all : 0;
        }
    }

    // The paper's lower bound 1 in units of exp(m).
    static R one_of(R m) { return std::exp(std::min(-m, R(80))); }

    // score = (q k^T) * weight, the normaliser's seen, and asked = carried * q.
    void scores(int64_t count) {
        const int64_t rows = whole(count);
        small_transpose<V>(k, P, rows, P, turned, longest);
        small_product<V>(q, P, turned, longest, score, longest, rows, rows, P, false);
        for (int64_t j = 0; j < rows; ++j) {
            V sum = V::zero();
            for (int64_t s = 0; s < rows; s += W) {
                const V weighed = V::load(score + j * longest + s) * V::load(weight + j * longest + s);
                weighed.store(score + j * longest + s);
                sum += weighed;
            }
            scaled(q + j * P, carried[j], asked + j * P, P);
            seen[j] = sum.sum() + dot(asked + j * P, own->n, P);
        }
    }

    void read(int64_t begin, int64_t count) {
        gather(call.x, head * D, begin, count, q);
        gather(call.x, H + head * D, begin, count, k);
        gather(call.x, 2 * H + head * D, begin, count, v);
        gather(call.x, 3 * H + head * D, begin, count, o);
    }

    // The memory after the chunk: C = keep C + (entering * k)^T v.
    void move_on(int64_t count) {
        const int64_t rows = whole(count);
        const R *entering = weight + (count - 1) * longest, kept = carried[count - 1];
        scaled(own->c, kept, own->c, P * P);
        scaled(own->n, kept, own->n, P);
        for (int64_t j = 0; j < rows; ++j) {
            scaled(k + j * P, entering[j], asked + j * P, P);
            mixed(own->n, 1, asked + j * P, 1, P);
        }
        small_product<V, true>(asked, P, v, P, own->c, P, P, P, rows, true);
    }

    void choose(int64_t of) {
        head = of;
        own = &memories[of];
    }

    // For the heads [first, last) of the row.
    void forward(int64_t first, int64_t last) {
        ahead = longest;
        for (int64_t h = first; h < last; ++h) {
            choose(h);
            load_memory(call.initial, own->c, own->n);
            own->m = static_cast<const R*>(call.initial[2])[b * call.N + h];
            own->origin = -1;
            clear_padding(call.out, false);
        }
        for (int64_t begin = 0; begin < length; begin += longest)
            for (int64_t h = first; h < last; ++h) {
                choose(h);
                chunk(begin, std::min(longest, length - begin));
            }
        for (int64_t h = first; h < last; ++h) {
            choose(h);
            store_memory(call.final, own->c, own->n, own->m);
            if (call.reserve) *saved(chunks) = R(own->origin);
        }
    }

    void chunk(int64_t begin, int64_t count) {
        const int64_t rows = whole(count);
        if (call.reserve) {
            R* to = saved(begin / longest);
            std::memcpy(to, own->c, size_t(P * P) * sizeof(R));
            std::memcpy(to + P * P, own->n, size_t(P) * sizeof(R));
            to[P * (P + 1)] = own->m;
        }
        read(begin, count);
        weigh(begin, count);
        scores(count);
        small_product<V>(asked, P, own->c, P, out, P, rows, P, P, false);
        small_product<V, false, Filled::lower>(score, longest, v, P, out, P, rows, P, rows, true);
        for (int64_t j = 0; j < count; ++j) {
            const R share = 1 / std::max(std::fabs(seen[j]), one_of(m[j]));
            for (int64_t d = 0; d < P; d += W) {
                const V h = V::load(out + j * P + d) * share;
                (h * sigmoid<W>(V::load(o + j * P + d))).store(out + j * P + d);
            }
        }
        scatter(out, call.out, head * D, begin, count);
        move_on(count);
    }

    void backward(int64_t first, int64_t last) {
        ahead = -longest;
        for (int64_t h = first; h < last; ++h) {
            choose(h);
            clear_padding(call.d_x, true);
            begin_back();
        }
        for (int64_t chunk = (length + longest - 1) / longest - 1; chunk >= 0; --chunk)
            for (int64_t h = first; h < last; ++h) {
                choose(h);
                const R* from = saved(chunk);
                std::memcpy(own->c, from, size_t(P * P) * sizeof(R));
                std::memcpy(own->n, from + P * P, size_t(P) * sizeof(R));
                own->m = from[P * (P + 1)];
                chunk_back(chunk * longest, std::min(longest, length - chunk * longest), int64_t(*saved(chunks)));
            }
        for (int64_t h = first; h < last; ++h) {
            choose(h);
            store_memory(call.d_initial, own->d_c, own->d_n, *saved(chunks) < 0 ? own->tail + own->last_m : own->tail);
        }
    }

    // The final state's gradient, and what the last m says of its own to it.
    void begin_back() {
        load_memory(call.d_final, own->d_c, own->d_n);
        own->last_m = call.d_final[2] ? static_cast<const R*>(call.d_final[2])[b * call.N + head] : R(0);
        own->tail = 0;
        if (call.d_final[0] || call.d_final[1]) {
            load_memory(reinterpret_cast<const void* const(&)[4]>(call.final), own->c, own->n);
            own->tail = dot(own->d_c, own->c, P * P) + dot(own->d_n, own->n, P);
            own->last_m -= own->tail;
        }
    }

    // Turns o into that of what was found before it was divided, and gives the output gate's gradient.
    void output_back(int64_t begin, int64_t count) {
        gather(call.d_out, head * D, begin, count, d_v);
        gather(call.out, head * D, begin, count, out);
        for (int64_t j = 0; j < whole(count); ++j) {
            const R least = j < count ? one_of(m[j]) : R(1), size = std::fabs(seen[j]), share = 1 / std::max(size, least);
            V both = V::zero();
            for (int64_t d = 0; d < P; d += W) {
                R* at = o + j * P + d;
                const V open = sigmoid<W>(V::load(at)), given = V::load(d_v + j * P + d);
                const V product = given * V::load(out + j * P + d);
                both += product;
                (given * open * share).store(at);
                (product * (R(1) - open)).store(d_v + j * P + d);
            }
            const R d_size = -both.sum() * share;
            d_seen[j] = size <= least ? R(0) : seen[j] < 0 ? -d_size : d_size;
        }
        scatter(d_v, call.d_x, 3 * H + head * D, begin, count);
    }

    void chunk_back(int64_t begin, int64_t count, int64_t source) {
        const int64_t rows = whole(count);
        read(begin, count);
        weigh(begin, count);
        scores(count);
        if (call.d_out.base) {
            output_back(begin, count);
        } else {
            std::fill(o, o + rows * P, R(0));
            std::fill(d_seen, d_seen + rows, R(0));
            scatter(o, call.d_x, 3 * H + head * D, begin, count);
        }
        const R* d_found = o;
        const R *entering = weight + (count - 1) * longest, kept = carried[count - 1];

        small_transpose<V>(v, P, rows, P, turned, longest);
        small_product<V>(d_found, P, turned, longest, d_score, longest, rows, rows, P, false);
        for (int64_t j = 0; j < rows; ++j)
            for (int64_t s = 0; s < rows; s += W) {
                R* at = d_score + j * longest + s;
                ((V::load(at) + d_seen[j]) * V::load(weight + j * longest + s)).store(at);
            }

        small_transpose<V>(own->c, P, P, P, c_turned, P);
        small_product<V>(d_found, P, c_turned, P, d_q, P, rows, P, P, false);
        small_transpose<V>(own->d_c, P, P, P, c_turned, P);
        small_product<V>(v, P, c_turned, P, d_k, P, rows, P, P, false);
        small_product<V>(k, P, own->d_c, P, d_v, P, rows, P, P, false);
        for (int64_t j = 0; j < rows; ++j) {
            mixed(d_q + j * P, carried[j], own->n, carried[j] * d_seen[j], P);
            mixed(d_k + j * P, entering[j], own->d_n, entering[j], P);
            scaled(d_v + j * P, entering[j], d_v + j * P, P);
        }
        small_product<V, false, Filled::lower>(d_score, longest, k, P, d_q, P, rows, P, rows, true);
        small_product<V, true, Filled::upper>(d_score, longest, q, P, d_k, P, rows, P, rows, true);
        small_product<V, true, Filled::upper>(score, longest, d_found, P, d_v, P, rows, P, rows, true);
        scatter(d_q, call.d_x, head * D, begin, count);
        scatter(d_k, call.d_x, H + head * D, begin, count);
        scatter(d_v, call.d_x, 2 * H + head * D, begin, count);
        gates_back(begin, count, source);

        scaled(own->d_c, kept, own->d_c, P * P);
        scaled(own->d_n, kept, own->d_n, P);
        for (int64_t j = 0; j < count; ++j) mixed(own->d_n, 1, asked + j * P, d_seen[j], P);
        small_product<V, true>(asked, P, d_found, P, own->d_c, P, P, P, rows, true);
        own->tail = dot(own->d_c, own->c, P * P) + dot(own->d_n, own->n, P);
    }

    void gates_back(int64_t begin, int64_t count, int64_t source) {
        R sum = own->tail;
        for (int64_t j = count - 1; j >= 0; --j) {
            const int64_t step = begin + j;
            const R of_key = dot(k + j * P, d_k + j * P, P), of_query = dot(q + j * P, d_q + j * P, P);
            sum += of_query - of_key;
            d_input[j] = of_key + (step == source ? own->last_m : R(0));
            d_log[j] = sum + (step > source ? own->last_m : R(0));
        }
        for (int64_t j = 0; j < count && !call.exponential; j += W)
            (V::load(d_log + j) * sigmoid<W>(-V::load(forget + j))).store(d_log + j);
        for (int64_t j = 0; j < count; ++j) {
            R* to = row(call.d_x, begin + j) + 4 * H + head;
            to[0] = d_input[j];
            to[call.N] = d_log[j];
        }
    }
};

template <class V>
struct MlstmEntry {
    static int64_t reserve(const recurra_xlstm_call& call) { return call.B * call.N * MlstmRun<V>::saved_pair(call); }
    static int64_t scratch_bytes(const recurra_xlstm_call& call, int threads) {
        Arena count;
        MlstmRun<V>(call).layout(count);
        return int64_t(count.used()) * threads;
    }
    static void run(const recurra_xlstm_call& call, const Plan&, const Team& team, void* scratch, bool backward) {
        MlstmRun<V> run(call);
        Arena arena(static_cast<char*>(scratch) + team.member() * (scratch_bytes(call, team.members()) / team.members()));
        run.layout(arena);
        const int64_t parts = call.B ? std::min(call.N, (team.members() + call.B - 1) / call.B) : 1;  // of a row's heads
        const Range mine = piece(call.B * parts, 1, team.member(), team.members());
        for (int64_t task = mine.begin; task < mine.end; ++task) {
            run.b = task / parts;
            run.length = call.lengths ? call.lengths[run.b] : call.T;
            const Range heads = piece(call.N, 1, task % parts, parts);
            backward ? run.backward(heads.begin, heads.end) : run.forward(heads.begin, heads.end);
        }
    }
    static constexpr Xlstm entry = {reserve, scratch_bytes, run};
};

#if defined(RECURRA_WIDE)
const Xlstm mlstm = MlstmEntry<Vec<float, RECURRA_WIDE / 4>>::entry;
#else
const Xlstm mlstm = MlstmEntry<Vec<float, 4>>::entry;
const Xlstm mlstm_double = MlstmEntry<Vec<double, 2>>::entry;
#endif

}  // namespace RECURRA_ISA
}  // namespace recurra
