// Scratch memory: laid out by a counting pass, then taken once per call from a pool with a bound.
#pragma once
#include <cstddef>
#include <cstdint>

#include "plan.h"

namespace recurra {

// Blocks of the process-wide pool, aligned to 64 bytes. Freed blocks are kept up to a bound (RECURRA_POOL_MB, default
// 256): fresh memory costs a page fault every 4 KiB, which a training step would pay again and again.
void* pool_take(size_t bytes);
void pool_give(void* block);
size_t pool_kept_bytes();
void pool_clear();

// Hands out aligned pieces of one block; with no block it only counts.
class Arena {
public:
    RECURRA_SHARED explicit Arena(void* base = nullptr) : base_(static_cast<char*>(base)) {}
    template <class T>
    RECURRA_SHARED T* take(int64_t count) {
        char* at = base_ + used_;
        used_ += (size_t(count) * sizeof(T) + 127) / 64 * 64;  // at least one cache line between pieces
        return base_ ? reinterpret_cast<T*>(at) : nullptr;
    }
    RECURRA_SHARED size_t used() const { return used_; }

private:
    char* base_;
    size_t used_ = 0;
};

// Lays out `layer` (anything with layout(Arena&)) over pool memory for as long as this object lives.
template <class Layer>
class Laid {
public:
    explicit Laid(Layer& layer) {
        Arena count;
        layer.layout(count);
        block_ = pool_take(count.used());
        Arena arena(block_);
        layer.layout(arena);
    }
    ~Laid() { pool_give(block_); }
    Laid(const Laid&) = delete;
    Laid& operator=(const Laid&) = delete;

private:
    void* block_;
};

}  // namespace recurra
