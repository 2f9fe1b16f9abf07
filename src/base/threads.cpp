#include "base/threads.h"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

std::atomic<std::uint32_t> configured_count{0};

// TBB tells of threads that cannot be started by an exception without a type of its own.
template <class Work>
void execute(tbb::task_arena& arena, const Work& work) {
  try {
    arena.execute(work);
  } catch (const std::system_error&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw Error(Status::kIo, formatted("the threads of the job cannot be started: {}", error.what()),
                "let this process have more threads, or set threads=1");
  }
}

void execute(std::uint32_t thread_count, const std::function<void()>& work) {
  tbb::task_arena arena(static_cast<int>(thread_count));
  execute(arena, work);
}

// An arena that stays. None is ever destroyed: a program may end while one of its threads uses it.
tbb::task_arena& lasting_arena(std::uint32_t thread_count) {
  static std::mutex mutex;
  static auto& arenas = *new std::map<std::uint32_t, tbb::task_arena>;
  const std::lock_guard lock(mutex);
  return arenas.try_emplace(thread_count, static_cast<int>(thread_count)).first->second;
}

// A new thread, or none where the system has no more.
std::thread start_thread(const std::function<void()>& work) {
  try {
    return std::thread(work);
  } catch (const std::system_error&) {
    return {};
  }
}

}  // namespace

std::uint32_t default_thread_count() {
  const std::uint32_t count = configured_count.load(std::memory_order_relaxed);
  return count != 0 ? count : static_cast<std::uint32_t>(std::max(1, tbb::info::default_concurrency()));
}

void set_default_thread_count(std::uint32_t count) { configured_count.store(count, std::memory_order_relaxed); }

std::uint32_t usable_thread_count(std::uint32_t wanted) {
  using tbb::global_control;
  const auto allowed = global_control::active_value(global_control::max_allowed_parallelism);
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(wanted, 1, std::max<std::size_t>(allowed, 1)));
}

void run_in_arena(std::uint32_t thread_count, const std::function<void()>& work, const std::function<void()>& poll) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::exception_ptr failure;
  std::thread worker = start_thread([&] {
    try {
      execute(thread_count, work);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_one();
  });
  if (!worker.joinable()) return execute(thread_count, work);
  std::exception_ptr poll_failure;
  {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, std::chrono::milliseconds(100), [&] { return done; })) {
      lock.unlock();
      try {
        if (!poll_failure) poll();
      } catch (...) {
        poll_failure = std::current_exception();
      }
      lock.lock();
    }
  }
  worker.join();
  if (failure) std::rethrow_exception(failure);
  if (poll_failure) std::rethrow_exception(poll_failure);
}

void run_tasks(std::uint32_t thread_count, std::size_t task_count,
               void (*work)(const void* user, std::size_t task, std::size_t worker), const void* user) {
  if (thread_count <= 1 || task_count <= 1) {
    for (std::size_t task = 0; task < task_count; ++task) work(user, task, 0);
    return;
  }
  execute(lasting_arena(thread_count), [&] {
    tbb::parallel_for(
        std::size_t{0}, task_count,
        [&](std::size_t task) {
          work(user, task, static_cast<std::size_t>(tbb::this_task_arena::current_thread_index()));
        },
        tbb::simple_partitioner());
  });
}

}  // namespace mnq
