// How a host watches a job and stops it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/error.h"

namespace mnq {

class RunControl {
 public:
  /// Bytes done and in all; false stops the job. Called on the thread that made the call.
  using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

  void set_progress(Progress progress) { progress_ = std::move(progress); }

  /// Any thread; safe in a signal handler. Stays.
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  void throw_if_cancelled() const {
    if (is_cancelled()) throw Error(Status::kCancelled, "cancelled: nothing was written");
  }

  /// Whether a job that this run served chose how weights are quantized: then its settings of that have had their use.
  bool has_quantized() const noexcept { return has_quantized_; }
  void set_has_quantized() noexcept { has_quantized_ = true; }

  void report(std::uint64_t done, std::uint64_t total) {
    if (progress_ && !progress_(before_ + done, total_ == 0 ? total : total_)) cancel();
  }

  /// While it lives, what is reported is a part of something larger, `before` bytes of which are done.
  class Span {
   public:
    Span(RunControl& control, std::uint64_t before, std::uint64_t total) : control_(control) {
      control.before_ = before;
      control.total_ = total;
    }
    ~Span() { control_.before_ = control_.total_ = 0; }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    RunControl& control_;
  };

 private:
  static_assert(std::atomic<bool>::is_always_lock_free, "cancel() is called from signal handlers");
  std::atomic<bool> cancelled_{false};
  Progress progress_;
  bool has_quantized_ = false;
  std::uint64_t before_ = 0;
  std::uint64_t total_ = 0;  // 0: what is reported is all
};

}  // namespace mnq
