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

// Hands out aligned pieces of one block; with no block, or behind its end, it only counts.
class Arena {
public:
    RECURRA_SHARED explicit Arena(void* base = nullptr, size_t bytes = SIZE_MAX)
        : base_(static_cast<char*>(base)), bytes_(base ? bytes : 0) {}
    template <class T>
    RECURRA_SHARED T* take(int64_t count) {
        const size_t at = used_;
        used_ += (size_t(count) * sizeof(T) + 127) / 64 * 64;  // at least one cache line between pieces
        return used_ <= bytes_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
    }
    RECURRA_SHARED size_t used() const { return used_; }
    RECURRA_SHARED bool fits() const { return used_ <= bytes_; }

private:
    char* base_;
    size_t bytes_, used_ = 0;
};

// Lays out `layer` (anything with layout(Arena&)) over pool memory for as long as this object lives; what is small, a
// single step's, over this object's own.
template <class Layer>
class Laid {
public:
    explicit Laid(Layer& layer) {
        Arena own(own_, sizeof own_);
        layer.layout(own);
        if (own.fits()) return;
        block_ = pool_take(own.used());
        Arena arena(block_);
        layer.layout(arena);
    }
    ~Laid() { pool_give(block_); }
    Laid(const Laid&) = delete;
    Laid& operator=(const Laid&) = delete;

private:
    alignas(64) char own_[16384];
    void* block_ = nullptr;
};

}  // namespace recurra
