// library.hpp - part of mono_quant.hpp: the library that is loaded.
#ifndef MONO_QUANT_LIBRARY_HPP
#define MONO_QUANT_LIBRARY_HPP

#include <cstdint>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "handle.hpp"
#include "mono_quant.h"

namespace mono_quant {

/// The library that is loaded: its ABI (major << 16 | minor), its version, how it was built and what it uses here as
/// JSON.
inline std::uint32_t abi_version() { return mnq_abi_version(); }
inline std::string version() { return mnq_version(); }
inline std::string build_info() { return detail::text(mnq_build_info); }

/// Schemes, methods, kinds of layers, layouts and formats as JSON.
inline std::string list_capabilities() { return detail::text(mnq_list_capabilities); }

/// "CONFIG", "F32"...; "UNKNOWN" for a number that is none.
inline std::string status_name(mnq_status status) { return mnq_status_name(status); }
inline std::string dtype_name(mnq_dtype dtype) { return mnq_dtype_name(dtype); }

/// Receives messages, from any thread, possibly from several at once. Must not call back into the library. What it
/// throws is lost.
using Log = std::function<void(mnq_log_level level, std::string_view message)>;

/// Sets the process's log function; an empty one for none. Since another thread may still be in the one before, all
/// that were ever set stay alive until the process ends.
inline void set_log_callback(Log log) {
  static std::mutex mutex;
  static auto* const kept = new std::forward_list<Log>;
  if (!log) return detail::call(mnq_set_log_callback, nullptr, nullptr);
  const std::lock_guard lock(mutex);
  kept->push_front(std::move(log));
  const mnq_log_fn on_message = [](void* user, mnq_log_level level, const char* message) {
    try {
      (*static_cast<const Log*>(user))(level, message);
    } catch (...) {  // there is no call that it could come out of
    }
  };
  detail::call(mnq_set_log_callback, on_message, static_cast<void*>(&kept->front()));
}

/// Threads that jobs use where the key `threads` is not set; 0: one for each CPU again.
inline std::uint32_t threads() { return mnq_threads(); }
inline void set_threads(std::uint32_t count) { detail::call(mnq_set_threads, count); }

/// The format of a file, from its content.
inline std::string detect_format(const std::filesystem::path& path) {
  const char* format = nullptr;
  detail::call(mnq_detect_format, detail::c_text(path), &format);
  return format;
}

}  // namespace mono_quant

#endif  // MONO_QUANT_LIBRARY_HPP
