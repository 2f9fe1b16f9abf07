// The one place that decides how many threads work, and runs work on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace mnq {

/// What mnq_set_threads set, else the number of CPUs this process may use. At least 1.
std::uint32_t default_thread_count();

/// 0: the number of CPUs again.
void set_default_thread_count(std::uint32_t count);

/// As many of these threads as can be had: at most one for each CPU, and what the host leaves to TBB. More would do
/// nothing but make TBB print a warning.
std::uint32_t usable_thread_count(std::uint32_t wanted);

/// Runs work() in an arena of `thread_count` threads that stands apart from any the host has; TBB algorithms inside use
/// that arena. The calling thread waits and runs poll() meanwhile, about ten times a second; where the system has no
/// more threads it does the work itself, without a poll. What work() throws is rethrown here. Errors: kIo where more
/// than one thread is asked for and cannot be started.
void run_in_arena(std::uint32_t thread_count, const std::function<void()>& work, const std::function<void()>& poll);

/// Runs work(user, task, worker) for each task below `task_count`, on at most `thread_count` threads, of which the
/// calling one is one and `worker` the number. For many short pieces of work: the arena stays for the next call, which
/// two callers at once share. With one thread nothing is allocated. Errors: what work throws; kIo as above.
void run_tasks(std::uint32_t thread_count, std::size_t task_count,
               void (*work)(const void* user, std::size_t task, std::size_t worker), const void* user);

template <class Work>
void run_tasks(std::uint32_t thread_count, std::size_t task_count, const Work& work) {
  const auto call = [](const void* user, std::size_t task, std::size_t worker) {
    (*static_cast<const Work*>(user))(task, worker);
  };
  run_tasks(thread_count, task_count, call, &work);
}

}  // namespace mnq
