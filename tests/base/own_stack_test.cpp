// Deep recursion on a thread with next to no stack; what is thrown, what calls the host back, and what is kept.
#include "base/own_stack.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace mnq::test {
namespace {

// 50 MB of stack. The thread sanitizer keeps 65,536 calls of a stack, and with more it overwrites memory of its own.
constexpr int kDeep = 50'000;

int depth_of(int left) {
  volatile char filled[1000] = {};
  filled[static_cast<std::size_t>(left) % sizeof filled] = 1;
  const int depth = left == 0 ? 0 : depth_of(left - 1) + 1;
  return depth + filled[static_cast<std::size_t>(left) % sizeof filled] - 1;
}

void on_small_thread(void* (*work)(void*), void* data) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 128 * 1024), 0);  // the least that there is on ARM
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, work, data), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(OwnStack, GoesDeeperThanTheHostsWould) {
  int depth = 0;
  on_small_thread(
      [](void* result) -> void* {
        on_own_stack([&] { *static_cast<int*>(result) = depth_of(kDeep); });
        return nullptr;
      },
      &depth);
  EXPECT_EQ(depth, kDeep);
}

TEST(OwnStack, WhatIsThrownComesThrough) {
  const auto thrown = [](auto&& work) {
    try {
      work();
      return std::string();
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(thrown([] { on_own_stack([] { throw std::runtime_error("own"); }); }), "own");
  EXPECT_EQ(thrown([] { on_own_stack([] { on_host_stack([] { throw std::runtime_error("host"); }); }); }), "host");
  std::string inside;
  on_own_stack([&] { inside = thrown([] { on_host_stack([] { throw std::runtime_error("caught"); }); }); });
  EXPECT_EQ(inside, "caught");
}

TEST(OwnStack, TheHostIsCalledBackOnItsOwn) {
  const auto distance = [](const char* a, const char* b) { return a < b ? b - a : a - b; };
  const char here = 0;
  long own = 0, host = 0, nested = 0;
  on_own_stack([&] {
    const char there = 0;
    own = distance(&here, &there);
    for (int i = 0; i < 3; ++i) {
      on_host_stack([&] {
        const char back = 0;
        host = distance(&here, &back);
        on_own_stack([&] {
          const char again = 0;
          nested = distance(&here, &again);
        });
      });
    }
  });
  EXPECT_GT(own, 1 << 20);
  EXPECT_LT(host, 1 << 16);
  EXPECT_GT(nested, 1 << 20);
}

std::uintptr_t place_of_frame() { return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)); }

TEST(OwnStack, IsKeptForTheNextCall) {
  std::uintptr_t first = 0, second = 0;
  on_own_stack([&] { first = place_of_frame(); });
  on_own_stack([&] { second = place_of_frame(); });
  EXPECT_EQ(first, second);
}

TEST(OwnStack, IsOfOneCallAtATime) {
  constexpr int kThreads = 7;  // more than are kept
  for (int round = 0; round < 3; ++round) {
    std::vector<std::uintptr_t> places(kThreads);
    std::barrier all_there(kThreads);
    std::vector<std::thread> threads;
    for (std::uintptr_t& place : places) {
      threads.emplace_back([&] {
        on_own_stack([&] {
          place = place_of_frame();
          all_there.arrive_and_wait();
        });
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::ranges::sort(places);
    for (int i = 1; i < kThreads; ++i) {
      EXPECT_GE(places[static_cast<std::size_t>(i)] - places[static_cast<std::size_t>(i) - 1], kOwnStackBytes);
    }
  }
}

bool is_resident(std::uintptr_t place) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char state = 0;
  return mincore(reinterpret_cast<void*>(place / page * page), page, &state) == 0 && (state & 1) != 0;
}

TEST(OwnStack, GivesTheMemoryOfADeepCallBack) {
  std::uintptr_t place = 0;
  bool was_resident = false;
  on_own_stack([&] {
    depth_of(1000);
    place = place_of_frame() - 900'000;
    was_resident = is_resident(place);
  });
  EXPECT_TRUE(was_resident);
  EXPECT_FALSE(is_resident(place));
}

}  // namespace
}  // namespace mnq::test
