#include "quantize/loop/block_loop.h"

#include <tbb/concurrent_queue.h>
#include <tbb/parallel_pipeline.h>

#include <algorithm>

#include "base/float_environment.h"
#include "base/threads.h"

namespace mnq {

BlockLoop::BlockLoop(std::uint32_t thread_count, std::uint64_t memory_budget, std::uint64_t token_bytes,
                     std::uint64_t total_bytes, RunControl& control)
    : thread_count_(thread_count), control_(control), total_bytes_(total_bytes) {
  // Two for each thread: one is worked on while one waits for its turn in the serial stage. More would not be faster.
  const std::uint64_t affordable = memory_budget / std::max<std::uint64_t>(token_bytes, 1);
  tokens_.resize(std::clamp<std::uint64_t>(affordable, 1, 2 * std::uint64_t{thread_count}));
}

void BlockLoop::run(const std::function<void()>& body) {
  control_.throw_if_cancelled();
  control_.report(0, total_bytes_);
  control_.throw_if_cancelled();
  run_reporting(thread_count_, body);
  control_.report(total_bytes_, total_bytes_);
  control_.throw_if_cancelled();
}

void BlockLoop::commit(const std::function<void()>& body, std::uint64_t done_bytes) {
  done_bytes_ = done_bytes;
  run_reporting(1, body);
}

void BlockLoop::run_reporting(std::uint32_t thread_count, const std::function<void()>& body) {
  run_in_arena(thread_count, body, [&] { control_.report(done_bytes_.load(std::memory_order_relaxed), total_bytes_); });
}

void BlockLoop::for_each(std::span<const Block> blocks, const Stage& work, const Stage& finish) {
  struct Item {
    const Block* block = nullptr;
    Scratch* scratch = nullptr;
  };
  tbb::concurrent_queue<Scratch*> free;
  for (Scratch& scratch : tokens_) free.push(&scratch);
  std::size_t next = 0;
  tbb::parallel_pipeline(tokens_.size(),
                         tbb::make_filter<void, Item>(tbb::filter_mode::serial_in_order, [&](tbb::flow_control& flow) {
                           control_.throw_if_cancelled();
                           Item item;
                           if (next == blocks.size() || !free.try_pop(item.scratch)) {
                             flow.stop();
                             return item;
                           }
                           item.block = &blocks[next++];
                           return item;
                         }) & tbb::make_filter<Item, Item>(tbb::filter_mode::parallel, [&](Item item) {
                           control_.throw_if_cancelled();
                           const DefaultFloatEnvironment environment;  // of a thread that TBB may have had before
                           item.scratch->bad_element.reset();
                           work(*item.block, *item.scratch);
                           return item;
                         }) & tbb::make_filter<Item, void>(tbb::filter_mode::serial_in_order, [&](Item item) {
                           const DefaultFloatEnvironment environment;
                           finish(*item.block, *item.scratch);
                           done_bytes_.fetch_add(item.block->source_bytes, std::memory_order_relaxed);
                           free.push(item.scratch);
                         }));
  if (next != blocks.size()) throw Error(Status::kInternal, "the loop ran out of tokens");
}

}  // namespace mnq
