// operator new of this program, and so of the library it loads: an allocation that is chosen fails, and so do those
// after it where memory is used up. Included by one file alone, since it defines what there can be one of.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

namespace mnq::test {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
inline std::atomic<std::int64_t> allocations_until_failure{kNever};
inline std::atomic<bool> memory_is_used_up{false};  // from the failure on; else only one allocation fails
inline std::atomic<bool> an_allocation_failed{false};

inline bool may_allocate() {
  if (allocations_until_failure.load(std::memory_order_relaxed) == kNever) return true;
  const std::int64_t left = allocations_until_failure.fetch_sub(1);
  if (left > 0 || (left < 0 && !memory_is_used_up)) return true;
  an_allocation_failed = true;
  return false;
}

/// While it lives, the allocation `number` (0: the first) fails.
class FailingAllocation {
 public:
  FailingAllocation(std::int64_t number, bool and_all_after_it) {
    an_allocation_failed = false;
    memory_is_used_up = and_all_after_it;
    allocations_until_failure = number;
  }
  ~FailingAllocation() { allocations_until_failure = kNever; }
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
};

inline void* allocate_or_null(std::size_t size, std::size_t alignment) noexcept {
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  if (!may_allocate() || whole < size) return nullptr;
  return std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
}

inline void* allocate(std::size_t size, std::size_t alignment) {
  void* memory = allocate_or_null(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Not inlined: GCC would warn of memory of operator new that goes to free.
[[gnu::noinline]] inline void deallocate(void* memory) noexcept { std::free(memory); }

}  // namespace mnq::test

void* operator new(std::size_t size) { return mnq::test::allocate(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return mnq::test::allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return mnq::test::allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return mnq::test::allocate(size, static_cast<std::size_t>(alignment));
}
// The sanitizers have these of their own, which delete would not match.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return mnq::test::allocate_or_null(size, alignof(std::max_align_t));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return mnq::test::allocate_or_null(size, alignof(std::max_align_t));
}
void operator delete(void* memory) noexcept { mnq::test::deallocate(memory); }
void operator delete[](void* memory) noexcept { mnq::test::deallocate(memory); }
void operator delete(void* memory, std::size_t) noexcept { mnq::test::deallocate(memory); }
void operator delete[](void* memory, std::size_t) noexcept { mnq::test::deallocate(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { mnq::test::deallocate(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { mnq::test::deallocate(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { mnq::test::deallocate(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { mnq::test::deallocate(memory); }
