// How a host watches a job and stops it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace mnq {

/// A tensor of a job is done.
struct TensorDone {
  std::size_t index;  ///< in the plan
  std::string layer;
  std::string_view action;
  double sqnr_db;  ///< NaN where none is measured
};

class RunControl {
 public:
  /// Bytes done and in all; false stops the job. Called on the thread that made the call.
  using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

  void set_progress(Progress progress) { progress_ = std::move(progress); }

  /// A tensor of `count`; false stops the job. Called on the thread that made the call.
  using Observer = std::function<bool(const TensorDone& done, std::size_t count)>;
  void set_observer(Observer observer) { observer_ = std::move(observer); }
  bool has_observer() const noexcept { return observer_ != nullptr; }

  /// Receives the messages of this run's jobs; none: they go to the process's callback.
  using Log = std::function<void(LogLevel level, const std::string& message)>;
  void set_log(Log log) { log_ = std::move(log); }
  void log(LogLevel level, const std::string& message) const {
    log_ ? log_(level, message) : log_message(level, message);
  }

  /// Any thread; safe in a signal handler. Stays.
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  void reset() noexcept { cancelled_.store(false, std::memory_order_relaxed); }
  void throw_if_cancelled() const {
    if (is_cancelled()) throw Error(Status::kCancelled, "cancelled: nothing was written");
  }

  /// Whether a job that this run served chose how weights are quantized: then its settings of that have had their use.
  bool has_quantized() const noexcept { return has_quantized_; }
  void set_has_quantized() noexcept { has_quantized_ = true; }

  /// A job begins that has so many tensors.
  void start_job(std::size_t tensor_count) {
    tensor_count_ = tensor_count;
    told_ = 0;
  }

  /// From any thread, in the order of the plan. What a job that starts over says again is not heard.
  void tell_done(TensorDone done) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(done));
  }

  /// Hands over what there is to tell. On the thread that made the call.
  void report(std::uint64_t done, std::uint64_t total) {
    observe();
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
  void observe() {
    if (!observer_) return;
    std::vector<TensorDone> done;
    {
      const std::lock_guard lock(mutex_);
      done.swap(waiting_);
    }
    for (const TensorDone& tensor : done) {
      if (tensor.index < told_) continue;
      told_ = tensor.index + 1;
      if (!observer_(tensor, tensor_count_)) return cancel();
    }
  }

  static_assert(std::atomic<bool>::is_always_lock_free, "cancel() is called from signal handlers");
  std::atomic<bool> cancelled_{false};
  Progress progress_;
  Observer observer_;
  Log log_;
  std::mutex mutex_;
  std::vector<TensorDone> waiting_;  // under the mutex
  std::size_t tensor_count_ = 0;
  std::size_t told_ = 0;  // tensors before this one
  bool has_quantized_ = false;
  std::uint64_t before_ = 0;
  std::uint64_t total_ = 0;  // 0: what is reported is all
};

}  // namespace mnq
