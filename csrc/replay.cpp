// Replayed steps (core/replay.h): the loop over a sequence, and the product by itself.
#include "core/replay.h"

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "core/kernels.h"
#include "core/memory.h"
#include "core/team.h"

namespace recurra {
namespace {

// A product on a team, b's panels in scratch memory.
struct Product {
    const Dense& dense;
    const recurra_product_sizes& sizes;
    const float *a, *b, *start;
    float *c, *panels;

    void on(int64_t threads, bool packs, bool multiplies) {
        const int64_t operations = sizes.M * sizes.N * sizes.K;
        const int members = int(std::min(threads, operations / 100000 + 1));
        struct Work {
            Product& product;
            bool packs, multiplies;
        } work{*this, packs, multiplies};
        run_team(members, 1, [](void* given, const Team& team) {
            const Work& work = *static_cast<Work*>(given);
            const Product& p = work.product;
            if (work.packs) p.dense.pack(p.sizes, p.b, p.panels, team);
            if (work.packs && work.multiplies) team.sync_all();
            if (work.multiplies) p.dense.multiply(p.sizes, p.a, p.panels, p.start, p.c, team);
        }, &work);
    }
};

constexpr int most_arguments = 96;

template <size_t... I>
void call_with(void (*function)(), void* const* arguments, std::index_sequence<I...>) {
    reinterpret_cast<void (*)(decltype((void)I, static_cast<void*>(nullptr))...)>(function)(arguments[I]...);
}
template <size_t N>
void call_of(void (*function)(), void* const* arguments) {
    call_with(function, arguments, std::make_index_sequence<N>());
}
using Caller = void (*)(void (*)(), void* const*);
template <size_t... N>
constexpr Caller caller_of(size_t count, std::index_sequence<N...>) {
    constexpr Caller table[] = {call_of<N>...};
    return table[count];
}

// Memory of a call: scratch slots and panels of its products.
class Replay {
public:
    explicit Replay(const recurra_replay_call& call)
        : call_(call), dense_(RECURRA_PICK_IN_USE(dense)), at_(size_t(call.slots)), scratch_(size_t(call.slots)), panels_(size_t(call.operations)) {
        Arena count;
        lay(count);
        memory_ = pool_take(count.used());
        Arena arena(memory_);
        lay(arena);
    }
    ~Replay() { pool_give(memory_); }
    Replay(const Replay&) = delete;
    Replay& operator=(const Replay&) = delete;

    void run() {
        for (int64_t i = 0; i < call_.steps; ++i) {
            const int64_t t = call_.reverse ? call_.steps - 1 - i : i;
            for (int64_t s = 0; s < call_.slots; ++s) at_[size_t(s)] = address(s, t, i == 0);
            for (int64_t o = 0; o < call_.operations; ++o) {
                const recurra_operation& operation = call_.operation[o];
                switch (operation.kind) {
                    case RECURRA_COMPILED: compiled(operation); break;
                    case RECURRA_PRODUCT: product(operation, panels_[size_t(o)], i == 0); break;
                    default: add(operation);
                }
            }
        }
    }

private:
    void lay(Arena& arena) {
        for (int64_t s = 0; s < call_.slots; ++s)
            if (!call_.slot[s].base) scratch_[size_t(s)] = arena.take<char>(call_.slot[s].stride);
        for (int64_t o = 0; o < call_.operations; ++o) {
            const recurra_operation& operation = call_.operation[o];
            if (operation.kind != RECURRA_PRODUCT) continue;
            panels_[size_t(o)] = arena.take<float>(dense_.panel_elements(operation.sizes));
        }
    }

    char* address(int64_t s, int64_t t, bool first) const {
        const recurra_slot& slot = call_.slot[s];
        if (!slot.base) return scratch_[size_t(s)];
        return first && slot.first ? slot.first : slot.base + (t + slot.shift) % slot.period * slot.stride;
    }

    char* at(const recurra_place& place) const { return place.slot < 0 ? nullptr : at_[size_t(place.slot)] + place.offset; }

    bool lasts(const recurra_place& place) const {
        const recurra_slot& slot = call_.slot[place.slot];
        return slot.base && slot.stride == 0 && !slot.first;
    }

    void compiled(const recurra_operation& operation) const {
        void* arguments[most_arguments];
        for (int64_t n = 0; n < operation.count; ++n) arguments[n] = at(call_.place[operation.first + n]);
        caller_of(size_t(operation.count), std::make_index_sequence<most_arguments + 1>())(operation.function, arguments);
    }

    void product(const recurra_operation& operation, float* panels, bool first) const {
        const recurra_place* places = call_.place + operation.first;
        const auto floats = [&](int n) { return reinterpret_cast<float*>(at(places[n])); };
        Product product{dense_, operation.sizes, floats(0), floats(1), floats(3), floats(2), panels};
        product.on(call_.threads, first || !lasts(places[1]), true);
    }

    void add(const recurra_operation& operation) const {
        const float* term = reinterpret_cast<float*>(at(call_.place[operation.first]));
        float* total = reinterpret_cast<float*>(at(call_.place[operation.first + 1]));
        for (int64_t i = 0; i < operation.sizes.N; ++i) total[i] += term[i];
    }

    const recurra_replay_call& call_;
    const Dense& dense_;
    std::vector<char*> at_, scratch_;
    std::vector<float*> panels_;
    void* memory_ = nullptr;
};

}  // namespace
}  // namespace recurra

using namespace recurra;

#define RECURRA_API __attribute__((visibility("default")))

extern "C" {

// Of recurra_operation, and how many pointers a compiled function may take at most: the Python side must agree.
RECURRA_API int64_t recurra_operation_bytes() { return sizeof(recurra_operation); }
RECURRA_API int64_t recurra_most_arguments() { return most_arguments; }

// 0, -2: no memory, -4: a compiled function threw (an integer division by zero).
RECURRA_API int recurra_replay(const recurra_replay_call* call) {
    try {
        Replay(*call).run();
        return 0;
    } catch (const std::bad_alloc&) {
        return -2;
    } catch (...) {
        return -4;
    }
}

// c = start + a b, as a replayed product; `start` may be null. 0, or -2: no memory.
RECURRA_API int recurra_product(const recurra_product_sizes* sizes, const float* a, const float* b, const float* start,
                                float* c, int64_t threads) {
    const Dense& dense = RECURRA_PICK_IN_USE(dense);
    try {
        void* panels = pool_take(size_t(dense.panel_elements(*sizes)) * sizeof(float));
        Product{dense, *sizes, a, b, start, c, static_cast<float*>(panels)}.on(threads, true, true);
        pool_give(panels);
        return 0;
    } catch (const std::bad_alloc&) {
        return -2;
    }
}

}  // extern "C"
