// handle.hpp - part of mono_quant.hpp: handles that are owned, and calls of C functions.
#ifndef MONO_QUANT_HANDLE_HPP
#define MONO_QUANT_HANDLE_HPP

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "error.hpp"
#include "mono_quant.h"

namespace mono_quant {

namespace detail {

template <auto kFree>
struct Free {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    kFree(handle);
  }
};

template <class Handle, auto kFree>
using Owner = std::unique_ptr<Handle, Free<kFree> >;

/// What every class has that owns a handle.
template <class Handle, auto kFree>
class Owning {
 public:
  explicit Owning(Handle* handle) noexcept : handle_(handle) {}  ///< takes ownership

  Handle* get() noexcept { return handle_.get(); }
  const Handle* get() const noexcept { return handle_.get(); }
  [[nodiscard]] Handle* release() noexcept { return handle_.release(); }  ///< the caller frees it from now on

 private:
  Owner<Handle, kFree> handle_;
};

/// Throws Error where status is one; takes ownership of error.
inline void check(mnq_status status, mnq_error* error) {
  const Owner<mnq_error, mnq_error_free> owner(error);
  if (status == MNQ_OK) return;
  throw Error(status, mnq_error_message(error), mnq_error_suggestion(error), mnq_error_subject(error));
}

/// Calls a C function, its error argument added. Throws Error.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
  mnq_error* error = nullptr;
  const mnq_status status = function(arguments..., &error);
  check(status, error);
}

/// As call, for a function whose argument before the error is the handle that it makes.
template <class Handle, class Function, class... Arguments>
Handle* make(Function function, Arguments... arguments) {
  Handle* handle = nullptr;
  call(function, arguments..., &handle);
  return handle;
}

/// The text of a function that makes a buffer.
template <class Function, class... Arguments>
std::string text(Function function, Arguments... arguments) {
  const Owner<mnq_buffer, mnq_buffer_free> buffer(make<mnq_buffer>(function, arguments...));
  return {mnq_buffer_data(buffer.get()), mnq_buffer_size(buffer.get())};
}

/// The number of a function that gives one; nothing where it says NOT_FOUND.
template <class Function, class... Arguments>
std::optional<double> number(Function function, Arguments... arguments) {
  double value = 0;
  mnq_error* error = nullptr;
  const mnq_status status = function(arguments..., &value, &error);
  if (status != MNQ_E_NOT_FOUND) return check(status, error), value;
  mnq_error_free(error);
  return std::nullopt;
}

inline std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : std::string(text); }

/// A text for C, which would take the first NUL for its end.
inline const char* c_text(const std::string& text) {
  if (text.find('\0') == std::string::npos) return text.c_str();
  throw Error(MNQ_E_INVALID_ARG, "a text has a NUL in its middle", "leave it out", text.c_str());
}
inline const char* c_text(const std::filesystem::path& path) { return c_text(path.native()); }

template <class Value>
concept Number = std::is_arithmetic_v<Value> && !std::is_same_v<Value, char>;

}  // namespace detail

}  // namespace mono_quant

#endif  // MONO_QUANT_HANDLE_HPP
