// The one gate between C++ and C: every exception becomes a status and an error object, every argument that must be
// there is checked. No logic lives in this folder besides.
#pragma once

#include <cstddef>
#include <string>

#include "base/error.h"
#include "base/float_environment.h"
#include "mono_quant.h"

namespace mnq::capi {

/// Turns the exception that is being handled into *error and its status. Never throws; out of memory has an error of
/// its own that was made before.
mnq_status report_exception(mnq_error** error) noexcept;

/// Runs work(), whatever floating point environment the host has; what it throws becomes the status.
template <class Work>
mnq_status guarded(mnq_error** error, Work&& work) noexcept {
  if (error != nullptr) *error = nullptr;
  const DefaultFloatEnvironment environment;
  try {
    work();
    return MNQ_OK;
  } catch (...) {
    return report_exception(error);
  }
}

/// Sets output handles to NULL, as they are on entry and stay on failure. They may be NULL themselves.
template <class... Handle>
void clear(Handle**... out) {
  ((out != nullptr ? static_cast<void>(*out = nullptr) : static_cast<void>(0)), ...);
}

[[noreturn]] void fail_null(const char* name);
[[noreturn]] void fail_dead(const char* name);

/// A pointer that may be NULL. Throws kInvalidArg for a handle that was freed or is of another kind.
template <class Value>
Value* optional(Value* pointer, const char* name) {
  if constexpr (requires { pointer->is_live(); }) {
    if (pointer != nullptr && !pointer->is_live()) fail_dead(name);
  }
  return pointer;
}

/// As optional, for one that must not be NULL.
template <class Value>
Value* require(Value* pointer, const char* name) {
  if (pointer == nullptr) fail_null(name);
  return optional(pointer, name);
}

/// The handle for functions that cannot fail: NULL where it was freed or is of another kind.
template <class Handle>
Handle* live(Handle* handle) noexcept {
  return handle != nullptr && handle->is_live() ? handle : nullptr;
}

/// As require, for an array that may be NULL where it has no elements.
template <class Value>
Value* require_array(Value* pointer, std::size_t count, const char* name) {
  return count == 0 ? pointer : require(pointer, name);
}

/// The text of an optional argument; "" for NULL.
inline std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : std::string(text); }

}  // namespace mnq::capi
