// The engine of every job: blocks go through a parallel stage and then, in order, through a serial one. As many blocks
// are under way as the memory budget has room for.
#pragma once

#include <functional>
#include <span>

#include "quantize/loop/blocks.h"
#include "quantize/loop/run_control.h"
#include "quantize/loop/scratch.h"

namespace mnq {

class BlockLoop {
 public:
  /// token_bytes: what one block needs at most; total_bytes: of all blocks of all runs, for progress.
  BlockLoop(std::uint32_t thread_count, std::uint64_t memory_budget, std::uint64_t token_bytes,
            std::uint64_t total_bytes, RunControl& control);

  /// Runs body() in the job's own threads, while this thread reports progress, and the whole at the end. Errors:
  /// kCancelled, also where that last report asks for it; what body throws.
  void run(const std::function<void()>& body);

  /// After run(): makes the output real, while this thread reports progress. What body throws is thrown here.
  void commit(const std::function<void()>& body, std::uint64_t done_bytes);

  /// Inside run(): work() on every block in parallel, then finish() one after the other in the order of the blocks.
  /// Errors: kCancelled, and what they throw.
  using Stage = std::function<void(const Block&, Scratch&)>;
  void for_each(std::span<const Block> blocks, const Stage& work, const Stage& finish);

 private:
  void run_reporting(std::uint32_t thread_count, const std::function<void()>& body);

  std::uint32_t thread_count_;
  RunControl& control_;
  std::vector<Scratch> tokens_;
  std::uint64_t total_bytes_;
  std::atomic<std::uint64_t> done_bytes_{0};
};

}  // namespace mnq
