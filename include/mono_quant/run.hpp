// run.hpp - part of mono_quant.hpp: one job, and the settings that hold for it.
#ifndef MONO_QUANT_RUN_HPP
#define MONO_QUANT_RUN_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "config.hpp"
#include "handle.hpp"
#include "library.hpp"
#include "mono_quant.h"

namespace mono_quant {

/// One job's own settings, progress and cancel.
class Run : public detail::Owning<mnq_run, mnq_run_free> {
 public:
  /// Bytes of input done and in all; false stops the job, and cancels the run. Called on the thread that made the call.
  /// What it throws stops the job and comes out of the call.
  using Progress = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

  using Owning::Owning;
  Run() : Owning(detail::make<mnq_run>(mnq_run_create)) {}

  /// As of Config, for this job; these win.
  Run& set(const std::string& key, const std::string& value) {
    detail::call(mnq_run_set, get(), detail::c_text(key), detail::c_text(value));
    return *this;
  }
  Run& set(const std::string& key, detail::Number auto value) { return set(key, detail::value_text(value)); }
  Run& set_for_layers(const std::string& glob, const std::string& key, const std::string& value) {
    detail::call(mnq_run_set_for_layers, get(), detail::c_text(glob), detail::c_text(key), detail::c_text(value));
    return *this;
  }
  Run& set_for_layers(const std::string& glob, const std::string& key, detail::Number auto value) {
    return set_for_layers(glob, key, detail::value_text(value));
  }

  /// An empty function for none.
  Run& set_progress(Progress progress) {
    state_->progress = std::move(progress);
    detail::call(mnq_run_set_progress, get(), state_->progress ? &on_progress : nullptr,
                 static_cast<void*>(state_.get()));
    return *this;
  }

  /// A tensor of a job is done; false cancels. Its layer and action are texts of the call alone. What it throws comes
  /// out of the call, as of progress. An empty function for none.
  struct TensorDone {
    std::size_t index = 0, count = 0;
    const char* layer = "";
    const char* action = "";
    double sqnr_db = 0;  ///< NaN where none is measured
  };
  using Observer = std::function<bool(const TensorDone& done)>;
  Run& set_observer(Observer observer) {
    state_->observer = std::move(observer);
    detail::call(mnq_run_set_observer, get(), state_->observer ? &on_done : nullptr, static_cast<void*>(state_.get()));
    return *this;
  }

  /// Receives the messages of this run's jobs in place of the process's function; an empty one for that again. What it
  /// throws comes out of the call.
  Run& set_log(Log log) {
    state_->log = std::move(log);
    detail::call(mnq_run_set_log_callback, get(), state_->log ? &on_log : nullptr, static_cast<void*>(state_.get()));
    return *this;
  }

  /// Not cancelled any more.
  void reset() noexcept { mnq_run_reset(get()); }

  /// From any thread, at any time.
  void cancel() noexcept { mnq_run_cancel(get()); }
  bool is_cancelled() const noexcept { return mnq_run_is_cancelled(get()) != 0; }

  mnq_run* release() = delete;  // the library has the address of the progress function in here

  /// Throws what the progress function threw during a C function that was called with get(), if it did. The functions
  /// here do so by themselves.
  void rethrow() {
    if (auto failure = std::exchange(state_->failure, nullptr)) std::rethrow_exception(failure);
  }

 private:
  struct State {
    Progress progress;
    Observer observer;
    Log log;
    std::exception_ptr failure;
  };

  template <class Ask>
  static std::int32_t ask(void* user, Ask&& goes_on) {
    State& state = *static_cast<State*>(user);
    try {
      return goes_on(state) ? 0 : 1;
    } catch (...) {
      state.failure = std::current_exception();
      return 1;
    }
  }
  static std::int32_t on_progress(void* user, std::uint64_t done_bytes, std::uint64_t total_bytes) {
    return ask(user, [&](State& state) { return state.progress(done_bytes, total_bytes); });
  }
  static std::int32_t on_done(void* user, std::size_t index, std::size_t count, const char* layer, const char* action,
                              double sqnr_db) {
    return ask(user, [&](State& state) { return state.observer({index, count, layer, action, sqnr_db}); });
  }
  static void on_log(void* user, mnq_log_level level, const char* message) {
    ask(user, [&](State& state) { return state.log(level, message), true; });
  }

  std::unique_ptr<State> state_ = std::make_unique<State>();  // does not move: the library has its address
};

namespace detail {

inline mnq_run* handle(Run* run) { return run == nullptr ? nullptr : run->get(); }
inline const mnq_run* handle(const Run* run) { return run == nullptr ? nullptr : run->get(); }
inline const mnq_config* handle(const Config* config) { return config == nullptr ? nullptr : config->get(); }

inline void rethrow(Run* run) {
  if (run != nullptr) run->rethrow();
}

/// A call with a run: what its progress function threw comes before the error that came of it.
template <class Function, class... Arguments>
void call_job(Run* run, Function function, Arguments... arguments) {
  try {
    call(function, arguments...);
  } catch (const Error&) {
    rethrow(run);
    throw;
  }
}

}  // namespace detail

/// The value that holds for a key, and who set it.
struct Resolved {
  std::string value;
  std::string source;  ///< "default", "config", "config layers", "call" or "call layers"
};

/// layer: dotted; empty for no layer in particular.
inline Resolved resolve(const Config& config, const std::string& key, const std::string& layer = {},
                        const Run* run = nullptr) {
  mnq_buffer* value = nullptr;
  const char* source = nullptr;
  detail::call(mnq_config_resolve, config.get(), detail::handle(run), layer.empty() ? nullptr : detail::c_text(layer),
               detail::c_text(key), &value, &source);
  const detail::Owner<mnq_buffer, mnq_buffer_free> owner(value);
  return {mnq_buffer_data(value), source};
}

}  // namespace mono_quant

#endif  // MONO_QUANT_RUN_HPP
