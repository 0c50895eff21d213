#include "core/memory.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace recurra {
namespace {

struct Header {
    size_t bytes;
};
constexpr size_t header_bytes = 64;
constexpr size_t huge_page = size_t(2) << 20;

size_t limit() {
    static const size_t value = [] {
        const char* text = std::getenv("RECURRA_POOL_MB");
        return (text ? std::strtoull(text, nullptr, 10) : 256ull) << 20;
    }();
    return value;
}

struct Pool {
    std::mutex lock;
    std::vector<Header*> free;
    size_t kept = 0;
};

// Never destroyed: threads may still give blocks back while the process ends.
Pool& pool() {
    static Pool* instance = new Pool;
    return *instance;
}

Header* fresh(size_t bytes) {
    const bool large = bytes >= 2 * huge_page;
    const size_t alignment = large ? huge_page : 64;
    bytes = (bytes + alignment - 1) / alignment * alignment;
    void* block = std::aligned_alloc(alignment, bytes);
    if (!block) throw std::bad_alloc();
#if defined(__linux__)
    if (large) madvise(block, bytes, MADV_HUGEPAGE);
#endif
    return new (block) Header{bytes};
}

}  // namespace

void* pool_take(size_t bytes) {
    bytes += header_bytes;
    Pool& p = pool();
    Header* best = nullptr;
    {
        std::lock_guard<std::mutex> hold(p.lock);
        size_t at = 0;
        for (size_t i = 0; i < p.free.size(); ++i)
            if (p.free[i]->bytes >= bytes && (!best || p.free[i]->bytes < best->bytes)) best = p.free[at = i];
        // A block far too large stays for those who need it.
        if (best && best->bytes > 2 * bytes + (size_t(1) << 20)) best = nullptr;
        if (best) {
            p.free[at] = p.free.back();
            p.free.pop_back();
            p.kept -= best->bytes;
        }
    }
    if (!best) best = fresh(bytes);
    return reinterpret_cast<char*>(best) + header_bytes;
}

void pool_give(void* block) {
    if (!block) return;
    Header* header = reinterpret_cast<Header*>(static_cast<char*>(block) - header_bytes);
    Pool& p = pool();
    {
        std::lock_guard<std::mutex> hold(p.lock);
        if (p.kept + header->bytes <= limit()) {
            p.free.push_back(header);
            p.kept += header->bytes;
            return;
        }
    }
    std::free(header);
}

size_t pool_kept_bytes() {
    std::lock_guard<std::mutex> hold(pool().lock);
    return pool().kept;
}

void pool_clear() {
    Pool& p = pool();
    std::lock_guard<std::mutex> hold(p.lock);
    for (Header* header : p.free) std::free(header);
    p.free.clear();
    p.kept = 0;
}

}  // namespace recurra
