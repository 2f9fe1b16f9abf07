#include "base/own_stack.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/text/format.h"

#if defined(__SANITIZE_ADDRESS__)
#define MNQ_ADDRESS_SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#define MNQ_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MNQ_ADDRESS_SANITIZER 1
#elif __has_feature(thread_sanitizer)
#define MNQ_THREAD_SANITIZER 1
#endif
#endif
#ifdef MNQ_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef MNQ_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#endif

namespace mnq {
namespace {

constexpr std::size_t kMostIdle = 4;                        // stacks that are kept for the next calls
constexpr std::size_t kIdleBytes = std::size_t{256} << 10;  // of memory that each keeps: what calls use as a rule

// Mapping a stack and touching its pages takes longer than a small layer. Slots without a lock: a process may fork.
class IdleStacks {
 public:
  ~IdleStacks() {
    while (void* memory = take()) ::munmap(memory, kOwnStackBytes);
  }

  /// Null: there is none.
  void* take() {
    for (std::atomic<void*>& slot : slots_) {
      if (void* memory = slot.exchange(nullptr)) return memory;
    }
    return nullptr;
  }

  bool keep(void* memory) {
    return std::ranges::any_of(slots_, [&](std::atomic<void*>& slot) {
      void* none = nullptr;
      return slot.compare_exchange_strong(none, memory);
    });
  }

 private:
  std::atomic<void*> slots_[kMostIdle] = {};
};

constinit IdleStacks idle_stacks;

// Below the stack lies a page that nobody may touch.
void* map_stack(std::size_t page_bytes) {
  void* memory = ::mmap(nullptr, kOwnStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory != MAP_FAILED && ::mprotect(memory, page_bytes, PROT_NONE) == 0) return memory;
  if (memory != MAP_FAILED) ::munmap(memory, kOwnStackBytes);
  throw Error(Status::kOutOfMemory,
              formatted("{} MiB of address space for a stack cannot be had", kOwnStackBytes >> 20),
              "raise the limit of the process's address space");
}

class Stack {
 public:
  Stack() : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))), memory_(idle_stacks.take()) {
    if (memory_ == nullptr) memory_ = map_stack(page_);
  }
  ~Stack() {
#ifdef MNQ_ADDRESS_SANITIZER
    // The frames at its start never return, so that the sanitizer would go on to watch what lies between their
    // variables, whoever gets this memory next.
    constexpr std::size_t kFirstFrames = std::size_t{1} << 16;
    __asan_unpoison_memory_region(bottom() + size() - kFirstFrames, kFirstFrames);
#endif
    ::madvise(bottom(), size() - kIdleBytes, MADV_DONTNEED);
    if (!idle_stacks.keep(memory_)) ::munmap(memory_, kOwnStackBytes);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  char* bottom() const { return static_cast<char*>(memory_) + page_; }
  std::size_t size() const { return kOwnStackBytes - page_; }

 private:
  std::size_t page_;
  void* memory_;
};

#ifdef MNQ_THREAD_SANITIZER
// The calls that the sanitizer keeps count of, for each of two stacks.
class Fibers {
 public:
  ~Fibers() { __tsan_destroy_fiber(own_); }
  void switch_to(bool own) { __tsan_switch_to_fiber(own ? own_ : host_, 0); }

 private:
  void* host_ = __tsan_get_current_fiber();
  void* own_ = __tsan_create_fiber(0);
};
#endif

// Two contexts of one thread: each of the two runs while the other one waits for it.
class Visit {
 public:
  explicit Visit(const std::function<void()>& work) : work_(&work) {}

  void run();
  void call_back(const std::function<void()>& work);

 private:
  static void enter(unsigned high, unsigned low);

  void switch_to(ucontext_t& from, ucontext_t& to, const void* bottom, std::size_t size, bool ends = false);
  void arrive();

  Stack stack_;
  ucontext_t host_{}, own_{};
  const std::function<void()>* work_;
  const std::function<void()>* asked_ = nullptr;  // what the host's stack is to run meanwhile
  std::exception_ptr failure_;
  bool is_done_ = false;
  const void* host_bottom_ = nullptr;
  std::size_t host_size_ = 0;
#ifdef MNQ_THREAD_SANITIZER
  Fibers fibers_;
#endif
};

thread_local Visit* current = nullptr;  // of a thread that is on a stack of ours

std::exception_ptr failure_of(const std::function<void()>& work) {
  try {
    work();
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

void Visit::switch_to(ucontext_t& from, ucontext_t& to, [[maybe_unused]] const void* bottom,
                      [[maybe_unused]] std::size_t size, [[maybe_unused]] bool ends) {
#ifdef MNQ_ADDRESS_SANITIZER
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(ends ? nullptr : &fake_stack, bottom, size);
  ::swapcontext(&from, &to);
  __sanitizer_finish_switch_fiber(fake_stack, &from == &own_ ? &host_bottom_ : nullptr,
                                  &from == &own_ ? &host_size_ : nullptr);
#else
#ifdef MNQ_THREAD_SANITIZER
  fibers_.switch_to(&to == &own_);
#endif
  ::swapcontext(&from, &to);
#endif
}

void Visit::arrive() {
#ifdef MNQ_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(nullptr, &host_bottom_, &host_size_);
#endif
}

// makecontext passes numbers only.
void Visit::enter(unsigned high, unsigned low) {
  auto* visit = reinterpret_cast<Visit*>(std::uintptr_t{high} << 32 | low);
  visit->arrive();
  visit->failure_ = failure_of(*visit->work_);
  visit->is_done_ = true;
  visit->switch_to(visit->own_, visit->host_, visit->host_bottom_, visit->host_size_, /*ends=*/true);
}

void Visit::run() {
  ::getcontext(&own_);
  own_.uc_stack.ss_sp = stack_.bottom();
  own_.uc_stack.ss_size = stack_.size();
  own_.uc_link = nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(this);
  ::makecontext(&own_, reinterpret_cast<void (*)()>(&Visit::enter), 2, static_cast<unsigned>(address >> 32),
                static_cast<unsigned>(address));
  for (;;) {
    current = this;
    switch_to(host_, own_, stack_.bottom(), stack_.size());
    current = nullptr;
    if (is_done_) break;
    failure_ = failure_of(*asked_);
  }
  if (failure_) std::rethrow_exception(failure_);
}

void Visit::call_back(const std::function<void()>& work) {
  asked_ = &work;
  switch_to(own_, host_, host_bottom_, host_size_);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace

void on_own_stack(const std::function<void()>& work) {
  if (current != nullptr) return work();
  Visit(work).run();
}

void on_host_stack(const std::function<void()>& work) {
  if (current == nullptr) return work();
  current->call_back(work);
}

}  // namespace mnq
