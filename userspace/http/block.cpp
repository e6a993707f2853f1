#include "http/block.h"

#include <new>
#include <vector>

namespace holdfast::http {
namespace {

// A share of a block of at least this size may pin it: at worst a stalled stream then holds eight
// times its bytes, and only when other streams' data lies between all of its own.
constexpr std::size_t kWorthSharing = 8 * 1024;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kPooled = 0;  // a pool would hide a use after free
#else
constexpr std::size_t kPooled = 32;
#endif

// A block may be released while its thread ends, after the pool is gone.
thread_local bool pool_gone = false;

struct Pool {
  std::vector<void*> free;
  ~Pool() {
    pool_gone = true;
    for (void* p : free) ::operator delete(p);
  }
};
thread_local Pool pool;

// Every allocation through it has one size: the block and its reference count.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  explicit PoolAllocator(const PoolAllocator<U>&) {}

  T* allocate(std::size_t count) {
    if (!pool_gone && !pool.free.empty()) {
      void* p = pool.free.back();
      pool.free.pop_back();
      return static_cast<T*>(p);
    }
    return static_cast<T*>(::operator new(count * sizeof(T)));
  }
  void deallocate(T* p, std::size_t) noexcept {
    if (!pool_gone && pool.free.size() < kPooled) {
      if (pool.free.capacity() == 0) pool.free.reserve(kPooled);
      pool.free.push_back(p);
    } else {
      ::operator delete(p);
    }
  }
  bool operator==(const PoolAllocator&) const { return true; }
};

}  // namespace

Block Block::take() {
  return Block{std::allocate_shared<Storage>(PoolAllocator<Storage>{})};
}

Slice keep(const Slice& whole, std::string_view part) {
  if (part.size() >= kWorthSharing && whole.size() >= Block::kPayload / 2) {
    return whole.sub(static_cast<std::size_t>(part.data() - whole.data()), part.size());
  }
  return Slice::copy(part);
}

}  // namespace holdfast::http
