// Systems that have no more threads to give: a job says so or does without, and the next one works.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <iostream>

#include "fixture.h"

namespace {

constexpr int kAll = 1'000'000;
std::atomic<int> threads_left{kAll};

}  // namespace

// Takes the place of the one of the C library, for this program and all that it loads.
extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t* thread,
                                                                     const pthread_attr_t* attributes,
                                                                     void* (*start)(void*), void* argument) {
  static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return threads_left.fetch_sub(1) > 0 ? real(thread, attributes, start, argument) : EAGAIN;
}

namespace mnq::test {
namespace {

// Of a job that gets so many threads. It has enough blocks to keep more of them busy.
Error quantize_with(int thread_count, const char* wanted) {
  const Model model = one_weight({1024, 2048}, normal_values(1024 * 2048, 1));
  mono_quant::Run run;
  run.set("threads", wanted);
  threads_left = thread_count;
  const Error error = error_of([&] { mono_quant::quantize(model, {}, &run); });
  threads_left = kAll;
  return error;
}

// Started in a process of its own: TBB keeps the threads that it has once got.
[[noreturn]] void exit_with(bool is_right, const Error& error) {
  if (!is_right) std::cerr << mnq_status_name(error.code()) << ": " << error.what() << '\n';
  std::exit(is_right ? 0 : 1);
}

class NoThreads : public testing::TestWithParam<int> {
 protected:
  NoThreads() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_P(NoThreads, OneIsEnoughAndSoIsNone) {
  EXPECT_EXIT(
      {
        const Error error = quantize_with(GetParam(), "1");
        exit_with(error.code() == MNQ_OK, error);
      },
      testing::ExitedWithCode(0), "");
}

TEST_P(NoThreads, MoreMayBeRefused) {
  EXPECT_EXIT(
      {
        const Error error = quantize_with(GetParam(), "2");
        const bool said_so = error.code() == MNQ_E_IO && !error.suggestion().empty();
        const Error next = quantize_with(kAll, "2");
        exit_with((error.code() == MNQ_OK || said_so) && next.code() == MNQ_OK, error);
      },
      testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(Counts, NoThreads, testing::Range(0, 4));

}  // namespace
}  // namespace mnq::test
