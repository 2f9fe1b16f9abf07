// run.hpp - part of mono_quant.hpp: one job, and the settings that hold for it.
#ifndef MONO_QUANT_RUN_HPP
#define MONO_QUANT_RUN_HPP

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "config.hpp"
#include "handle.hpp"
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
    std::exception_ptr failure;
  };

  static std::int32_t on_progress(void* user, std::uint64_t done_bytes, std::uint64_t total_bytes) {
    State& state = *static_cast<State*>(user);
    try {
      return state.progress(done_bytes, total_bytes) ? 0 : 1;
    } catch (...) {
      state.failure = std::current_exception();
      return 1;
    }
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
