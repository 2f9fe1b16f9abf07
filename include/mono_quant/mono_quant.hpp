// mono_quant.hpp - the C++20 face of mono_quant.h: header-only, so that no C++ ABI lies between you and the library.
//
//     mono_quant::Config config;
//     config.set("bits", "4");
//     mono_quant::Report report = mono_quant::quantize_file("model.safetensors", "model-int4.safetensors", config);
//     for (const auto& layer : report.layers())
//       std::cout << layer.text("name") << ' ' << layer.number("sqnr_db").value_or(NAN) << '\n';
//
// Every class owns one handle of mono_quant.h: it can be moved, is freed at the end of its scope, get() lends the handle
// to C functions and release() gives it away. A moved-from object may only be assigned to or destroyed. Failures throw
// mono_quant::Error. What mono_quant.h says of shapes, units and threads holds here: const members from any thread,
// others from one at a time. Every function of it is here but mnq_get_api, which is for hosts that dlopen.
#ifndef MONO_QUANT_HPP
#define MONO_QUANT_HPP

#if __cplusplus <= 201703L
#error "mono_quant.hpp needs C++20: compile with -std=c++20"
#else

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "mono_quant.h"

namespace mono_quant {

/// What went wrong. what() is the message.
class Error : public std::runtime_error {
 public:
  Error(mnq_status code, const std::string& message, std::string suggestion, std::string subject)
      : std::runtime_error(message), code_(code), suggestion_(std::move(suggestion)), subject_(std::move(subject)) {}

  mnq_status code() const noexcept { return code_; }
  const std::string& suggestion() const noexcept { return suggestion_; }  ///< what to do about it; may be empty
  const std::string& subject() const noexcept { return subject_; }        ///< the file, tensor, layer or key at fault

 private:
  mnq_status code_;
  std::string suggestion_;
  std::string subject_;
};

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

/// A number or truth value as settings take it, the same in every locale.
template <class Value>
std::string value_text(Value value) {
  if constexpr (std::is_same_v<Value, bool>) {
    return value ? "true" : "false";
  } else {
    char digits[32];  // more than the shortest form of any double or 64 bit integer
    return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
  }
}
template <class Value>
concept Number = std::is_arithmetic_v<Value> && !std::is_same_v<Value, char>;

template <class Value>
constexpr mnq_dtype dtype_of() {
  if constexpr (std::is_same_v<Value, float>) return MNQ_DTYPE_F32;
  if constexpr (std::is_same_v<Value, double>) return MNQ_DTYPE_F64;
  if constexpr (std::is_same_v<Value, bool>) return MNQ_DTYPE_BOOL;
  if constexpr (std::is_same_v<Value, std::int8_t>) return MNQ_DTYPE_I8;
  if constexpr (std::is_same_v<Value, std::uint8_t>) return MNQ_DTYPE_U8;
  if constexpr (std::is_same_v<Value, std::int16_t>) return MNQ_DTYPE_I16;
  if constexpr (std::is_same_v<Value, std::uint16_t>) return MNQ_DTYPE_U16;
  if constexpr (std::is_same_v<Value, std::int32_t>) return MNQ_DTYPE_I32;
  if constexpr (std::is_same_v<Value, std::uint32_t>) return MNQ_DTYPE_U32;
  if constexpr (std::is_same_v<Value, std::int64_t>) return MNQ_DTYPE_I64;
  if constexpr (std::is_same_v<Value, std::uint64_t>) return MNQ_DTYPE_U64;
  return 0;
}

}  // namespace detail

/// The library that is loaded: its ABI (major << 16 | minor), its version, how it was built and what it uses here as JSON.
inline std::uint32_t abi_version() { return mnq_abi_version(); }
inline std::string version() { return mnq_version(); }
inline std::string build_info() { return detail::text(mnq_build_info); }

/// "CONFIG", "F32"...; "UNKNOWN" for a number that is none.
inline std::string status_name(mnq_status status) { return mnq_status_name(status); }
inline std::string dtype_name(mnq_dtype dtype) { return mnq_dtype_name(dtype); }

/// Receives messages, from any thread, possibly from several at once. Must not call back into the library. What it throws
/// is lost.
using Log = std::function<void(mnq_log_level level, std::string_view message)>;

/// Sets the process's log function; an empty one for none. Since another thread may still be in the one before, all that
/// were ever set stay alive until the process ends.
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

/// Bytes or text that the library made.
class Buffer : public detail::Owning<mnq_buffer, mnq_buffer_free> {
 public:
  using Owning::Owning;

  std::string_view text() const noexcept { return {mnq_buffer_data(get()), mnq_buffer_size(get())}; }
  std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(text())); }
  operator std::string() const { return std::string(text()); }  ///< a copy

  friend bool operator==(const Buffer& a, std::string_view b) noexcept { return a.text() == b; }
  friend bool operator==(const Buffer& a, const Buffer& b) noexcept { return a.text() == b.text(); }
};

/// Settings as keys and values; keys_json() lists them, "Who wins" in mono_quant.h says which holds.
class Config : public detail::Owning<mnq_config, mnq_config_free> {
 public:
  using Owning::Owning;
  Config() : Config("{}") {}
  explicit Config(const std::string& json)
      : Owning(detail::make<mnq_config>(mnq_config_create, detail::c_text(json))) {}

  Config& set(const std::string& key, const std::string& value) {
    detail::call(mnq_config_set, get(), detail::c_text(key), detail::c_text(value));
    return *this;
  }
  Config& set(const std::string& key, detail::Number auto value) { return set(key, detail::value_text(value)); }

  Config& set_for_layers(const std::string& glob, const std::string& key, const std::string& value) {
    detail::call(mnq_config_set_for_layers, get(), detail::c_text(glob), detail::c_text(key), detail::c_text(value));
    return *this;
  }
  Config& set_for_layers(const std::string& glob, const std::string& key, detail::Number auto value) {
    return set_for_layers(glob, key, detail::value_text(value));
  }

  /// Throws Error (CONFIG) for a combination that cannot be.
  void validate() const { detail::call(mnq_config_validate, get()); }
  std::string json() const { return detail::text(mnq_config_to_json, get()); }
  static std::string keys_json() { return detail::text(mnq_config_list_keys); }
};

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

  /// Throws what the progress function threw during a C function that was called with get(), if it did. The functions here
  /// do so by themselves.
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

/// Row-major contiguous data that is never changed.
class Tensor : public detail::Owning<mnq_tensor, mnq_tensor_free> {
 public:
  using Owning::Owning;

  /// A copy of bytes.
  static Tensor copy(mnq_dtype dtype, std::span<const std::int64_t> shape, std::span<const std::byte> bytes) {
    return Tensor(detail::make<mnq_tensor>(mnq_tensor_create, dtype, shape.data(), shape.size(),
                                           static_cast<const void*>(bytes.data()), bytes.size()));
  }
  template <class Value>
  static Tensor copy(std::span<const std::int64_t> shape, std::span<const Value> values) {
    static_assert(detail::dtype_of<Value>() != 0, "no dtype has this type of value: pass bytes and a dtype");
    return copy(detail::dtype_of<Value>(), shape, std::as_bytes(values));
  }

  /// The caller's memory without a copy: unchanged and alive as long as `owner` lives in here and in what is made of it.
  static Tensor wrap(mnq_dtype dtype, std::span<const std::int64_t> shape, std::span<const std::byte> bytes,
                     std::shared_ptr<const void> owner) {
    auto kept = std::make_unique<std::shared_ptr<const void> >(std::move(owner));
    mnq_tensor* tensor = nullptr;
    detail::call(mnq_tensor_wrap, dtype, shape.data(), shape.size(), static_cast<const void*>(bytes.data()),
                 bytes.size(), &free_owner, static_cast<void*>(kept.get()), &tensor);
    static_cast<void>(kept.release());  // free_owner has it now
    return Tensor(tensor);
  }

  /// Takes ownership of `managed` only on success.
  static Tensor from_dlpack(DLManagedTensorVersioned* managed) {
    return Tensor(detail::make<mnq_tensor>(mnq_tensor_from_dlpack, managed));
  }
  /// The caller, or who consumes it, calls its deleter. It keeps the data alive on its own.
  [[nodiscard]] DLManagedTensorVersioned* to_dlpack() const {
    return detail::make<DLManagedTensorVersioned>(mnq_tensor_to_dlpack, get());
  }

  mnq_dtype dtype() const noexcept { return mnq_tensor_dtype(get()); }
  std::span<const std::int64_t> shape() const noexcept { return {mnq_tensor_shape(get()), mnq_tensor_rank(get())}; }
  std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(mnq_tensor_data(get())), mnq_tensor_size_bytes(get())};
  }

  /// The elements; float16 and the like have only bytes(). Throws Error: DTYPE where they are of another type, INVALID_ARG
  /// where wrapped memory is not aligned for them.
  template <class Value>
  std::span<const Value> values() const {
    static_assert(detail::dtype_of<Value>() != 0, "no dtype has this type of value: use bytes()");
    if (dtype() != detail::dtype_of<Value>()) {
      throw Error(MNQ_E_DTYPE, std::string("the tensor holds ") + mnq_dtype_name(dtype()),
                  "use its own type, or bytes()", "");
    }
    if (reinterpret_cast<std::uintptr_t>(mnq_tensor_data(get())) % alignof(Value) != 0) {
      throw Error(MNQ_E_INVALID_ARG, "the tensor's memory is not aligned", "use bytes()", "");
    }
    return {static_cast<const Value*>(mnq_tensor_data(get())), mnq_tensor_size_bytes(get()) / sizeof(Value)};
  }

 private:
  static void free_owner(void* owner) { delete static_cast<std::shared_ptr<const void>*>(owner); }
};

/// A tensor of a model, and what settings make of it.
struct Layer {
  std::string name;    ///< "encoder.0.query"
  std::string tensor;  ///< "encoder.0.query.weight"
  std::string kind;    ///< "Linear"; empty where it is no layer's weight
  std::string action;  ///< "quantize", "cast" or "copy"
  std::string scheme;  ///< "int8 per channel"; empty where it is copied
  std::string reason;  ///< why it is copied
  std::vector<std::int64_t> shape;
  mnq_dtype dtype = 0;
  std::vector<std::string> ties;  ///< other names of the same weight, in a module
};

/// What goes into a method of a module, or comes out of it: a flat list of named values.
class Values : public detail::Owning<mnq_values, mnq_values_free> {
 public:
  using Owning::Owning;
  Values() : Owning(detail::make<mnq_values>(mnq_values_create)) {}

  /// name: of the argument, or a part of it ("hidden.0"); empty for the next one that no name was given for.
  Values& add(const Tensor& tensor, const std::string& name = {}) {
    detail::call(mnq_values_add_tensor, get(), detail::c_text(name), tensor.get());
    return *this;
  }
  Values& add(detail::Number auto value, const std::string& name = {}) {
    if constexpr (std::is_same_v<decltype(value), bool>) {
      detail::call(mnq_values_add_bool, get(), detail::c_text(name), static_cast<std::int32_t>(value));
    } else if constexpr (std::is_integral_v<decltype(value)>) {
      detail::call(mnq_values_add_int, get(), detail::c_text(name), static_cast<std::int64_t>(value));
    } else {
      detail::call(mnq_values_add_float, get(), detail::c_text(name), static_cast<double>(value));
    }
    return *this;
  }
  Values& add_text(const std::string& text, const std::string& name = {}) {
    detail::call(mnq_values_add_text, get(), detail::c_text(name), detail::c_text(text));
    return *this;
  }
  Values& add_none(const std::string& name = {}) {
    detail::call(mnq_values_add_none, get(), detail::c_text(name));
    return *this;
  }

  std::size_t size() const noexcept { return mnq_values_count(get()); }
  std::string name(std::size_t index) const { return detail::text_or_empty(mnq_values_name(get(), index)); }
  mnq_value_kind kind(std::size_t index) const noexcept { return mnq_values_kind(get(), index); }

  /// Throw Error: NOT_FOUND beyond size(), DTYPE for a value of another kind.
  Tensor tensor(std::size_t index) const {
    return Tensor(detail::make<mnq_tensor>(mnq_values_get_tensor, get(), index));
  }
  std::int64_t integer(std::size_t index) const {
    std::int64_t value = 0;
    detail::call(mnq_values_get_int, get(), index, &value);
    return value;
  }
  double number(std::size_t index) const {
    double value = 0;
    detail::call(mnq_values_get_float, get(), index, &value);
    return value;
  }
  std::string text(std::size_t index) const { return detail::text_or_empty(mnq_values_get_text(get(), index)); }
};

/// One layer of a report. A view: valid while the report is.
class ReportLayer {
 public:
  ReportLayer(const mnq_report* report, std::size_t index) : report_(report), index_(index) {}

  /// "name", "tensor", "kind", "dtype", "scheme", "action", "reason"; empty where it has none.
  std::string text(const std::string& field) const {
    return detail::text_or_empty(mnq_report_layer_text(report_, index_, detail::c_text(field)));
  }
  /// "sqnr_db", "max_error", "bytes_before"...; nothing where it has none.
  std::optional<double> number(const std::string& field) const {
    return detail::number(mnq_report_layer_number, report_, index_, detail::c_text(field));
  }

 private:
  const mnq_report* report_;
  std::size_t index_;
};

/// What a job did, and what it cost. src/quantize/README.md documents the fields.
class Report : public detail::Owning<mnq_report, mnq_report_free> {
 public:
  using Owning::Owning;

  std::string json() const { return mnq_report_json(get()); }

  /// A number of the whole model: "sqnr_db", "bytes_after"...; nothing where it has none.
  std::optional<double> number(const std::string& field) const {
    return detail::number(mnq_report_number, get(), detail::c_text(field));
  }

  /// Every tensor of the input, in its order. Views: of a report that has a name.
  std::vector<ReportLayer> layers() && = delete;
  std::vector<ReportLayer> layers() const& {
    std::vector<ReportLayer> layers;
    for (std::size_t i = 0; i < mnq_report_layer_count(get()); ++i) layers.emplace_back(get(), i);
    return layers;
  }
  std::vector<std::string> warnings() const { return texts(mnq_report_warning_count, mnq_report_warning); }
  std::vector<std::string> problems() const { return texts(mnq_report_problem_count, mnq_report_problem); }

 private:
  template <class Count, class At>
  std::vector<std::string> texts(Count count, At at) const {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count(get()); ++i) all.emplace_back(at(get(), i));
    return all;
  }
};

/// A checkpoint held open, float or quantized. Immutable.
class Model : public detail::Owning<mnq_model, mnq_model_free> {
 public:
  using Owning::Owning;

  /// The file must stay: tensors are read when they are asked for.
  static Model open(const std::filesystem::path& path) {
    return Model(detail::make<mnq_model>(mnq_model_open, detail::c_text(path)));
  }
  static Model open(const std::filesystem::path& path, const Run& run) {
    return Model(detail::make<mnq_model>(mnq_model_open_with, detail::c_text(path), run.get()));
  }

  /// The bytes stay the caller's, unchanged and alive until the model and all that was made from it are gone.
  static Model open_memory(std::span<const std::byte> bytes) {
    return Model(detail::make<mnq_model>(mnq_model_open_memory, static_cast<const void*>(bytes.data()), bytes.size()));
  }

  /// The names must be different and not empty. The model shares the tensors' data.
  static Model from_tensors(std::span<const std::pair<std::string, Tensor> > tensors) {
    std::vector<const char*> names;
    std::vector<const mnq_tensor*> handles;
    for (const auto& [name, tensor] : tensors) {
      names.push_back(detail::c_text(name));
      handles.push_back(tensor.get());
    }
    return Model(detail::make<mnq_model>(mnq_model_from_tensors, names.data(), handles.data(), names.size()));
  }

  /// A copy in memory, independent of the file or buffers this came from.
  Model clone() const { return Model(detail::make<mnq_model>(mnq_model_clone, get())); }

  /// To a file, as its extension says (.safetensors; for a module also .pt), or to memory.
  void save(const std::filesystem::path& path, Run* run = nullptr) const {
    detail::call_job(run, mnq_model_save, get(), detail::c_text(path), detail::handle(run));
    detail::rethrow(run);
  }
  Buffer save_memory(Run* run = nullptr) const {
    mnq_buffer* buffer = nullptr;
    detail::call_job(run, mnq_model_save_memory, get(), detail::handle(run), &buffer);
    Buffer saved(buffer);
    detail::rethrow(run);
    return saved;
  }

  std::vector<std::string> tensor_names() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < mnq_model_tensor_count(get()); ++i) names.emplace_back(mnq_model_tensor_name(get(), i));
    return names;
  }
  Tensor tensor(const std::string& name) const {
    return Tensor(detail::make<mnq_tensor>(mnq_model_get_tensor, get(), detail::c_text(name)));
  }
  std::string describe_json() const { return detail::text(mnq_model_describe, get()); }

  /// Every tensor in the model's order: the layers that can be quantized, and the rest with its reason.
  std::vector<Layer> layers(const Config* config = nullptr, const Run* run = nullptr) const {
    const detail::Owner<mnq_layers, mnq_layers_free> owner(
        detail::make<mnq_layers>(mnq_model_list_layers, get(), detail::handle(config), detail::handle(run)));
    const mnq_layers* handle = owner.get();
    std::vector<Layer> layers;
    for (std::size_t i = 0; i < mnq_layers_count(handle); ++i) {
      const std::int64_t* shape = mnq_layers_shape(handle, i);
      layers.push_back({mnq_layers_name(handle, i), mnq_layers_tensor(handle, i), mnq_layers_kind(handle, i),
                        mnq_layers_action(handle, i), mnq_layers_scheme(handle, i), mnq_layers_reason(handle, i),
                        std::vector<std::int64_t>(shape, shape + mnq_layers_rank(handle, i)),
                        mnq_layers_dtype(handle, i), ties_of(handle, i)});
    }
    return layers;
  }

  /// Runs a method of a module. Of the run one key applies: activations.
  Values forward(const Values& inputs, const Run* run = nullptr) const { return call("forward", inputs, run); }
  Values call(const std::string& method, const Values& inputs, const Run* run = nullptr) const {
    return Values(
        detail::make<mnq_values>(mnq_model_forward, get(), detail::c_text(method), inputs.get(), detail::handle(run)));
  }

 private:
  static std::vector<std::string> ties_of(const mnq_layers* layers, std::size_t index) {
    std::vector<std::string> ties;
    for (std::size_t i = 0; i < mnq_layers_tie_count(layers, index); ++i)
      ties.emplace_back(mnq_layers_tie(layers, index, i));
    return ties;
  }
};

/// A new model, and what it cost.
struct Quantized {
  Model model;
  Report report;
};

namespace detail {

/// A job whose last argument before the error is a report.
template <class Function, class... Arguments>
Report report_of(Run* run, Function function, Arguments... arguments) {
  mnq_report* handle = nullptr;
  call_job(run, function, arguments..., &handle);
  Report report(handle);
  rethrow(run);
  return report;
}

/// As report_of, for a job that makes a model besides.
template <class Function, class... Arguments>
Quantized model_of(Run* run, Function function, Arguments... arguments) {
  mnq_model* model = nullptr;
  mnq_report* report = nullptr;
  call_job(run, function, arguments..., &model, &report);
  Quantized result{Model(model), Report(report)};
  rethrow(run);
  return result;
}

}  // namespace detail

/// Quantizes a model into a new one in memory.
inline Quantized quantize(const Model& model, const Config& config = {}, Run* run = nullptr) {
  return detail::model_of(run, mnq_quantize, model.get(), config.get(), detail::handle(run));
}

/// Quantizes a file, or an open model, to a file, within memory_budget bytes whatever its size.
inline Report quantize_file(const std::filesystem::path& input, const std::filesystem::path& output,
                            const Config& config = {}, Run* run = nullptr) {
  return detail::report_of(run, mnq_quantize_file, detail::c_text(input), detail::c_text(output), config.get(),
                           detail::handle(run));
}
inline Report quantize_to_file(const Model& model, const std::filesystem::path& output, const Config& config = {},
                               Run* run = nullptr) {
  return detail::report_of(run, mnq_quantize_to_file, model.get(), detail::c_text(output), config.get(),
                           detail::handle(run));
}

/// What quantize would do: no weight is read, so there is no accuracy.
inline Report plan(const Model& model, const Config& config = {}, const Run* run = nullptr) {
  return Report(detail::make<mnq_report>(mnq_plan, model.get(), config.get(), detail::handle(run)));
}

/// Turns quantized tensors back into floats of the dtype they came from.
inline Quantized dequantize(const Model& model, Run* run = nullptr) {
  return detail::model_of(run, mnq_dequantize, model.get(), detail::handle(run));
}
inline Report dequantize_file(const std::filesystem::path& input, const std::filesystem::path& output,
                              Run* run = nullptr) {
  return detail::report_of(run, mnq_dequantize_file, detail::c_text(input), detail::c_text(output),
                           detail::handle(run));
}

/// Writes a checkpoint in another format; what that cannot hold is quantized anew or becomes floats, and the report says so.
inline Report convert_file(const std::filesystem::path& input, const std::filesystem::path& output,
                           Run* run = nullptr) {
  return detail::report_of(run, mnq_convert_file, detail::c_text(input), detail::c_text(output), detail::handle(run));
}

/// Puts together a folder whose parts were made with the key `shard`.
inline void merge_folder(const std::filesystem::path& output, Run* run = nullptr) {
  detail::call(mnq_merge_folder, detail::c_text(output), detail::handle(run));
}

/// The accuracy of each tensor of `other` against the one of the same name in `reference`.
inline Report compare(const Model& reference, const Model& other, Run* run = nullptr) {
  return detail::report_of(run, mnq_compare, reference.get(), other.get(), detail::handle(run));
}

/// What is wrong with a file is in the report: problems(), number("valid").
inline Report validate_file(const std::filesystem::path& path,
                            const std::optional<std::filesystem::path>& original = {}, Run* run = nullptr) {
  return detail::report_of(run, mnq_validate_file, detail::c_text(path), original ? detail::c_text(*original) : nullptr,
                           detail::handle(run));
}

/// Checks a module by saving it, loading that, and running both: problems(), number("valid"), and against an original
/// number("output_sqnr_db").
inline Report validate(const Model& model, const Model* original = nullptr, const Values* inputs = nullptr,
                       Run* run = nullptr) {
  return detail::report_of(run, mnq_model_validate, model.get(), original == nullptr ? nullptr : original->get(),
                           inputs == nullptr ? nullptr : inputs->get(), detail::handle(run));
}

/// The kernels on the caller's own memory: one thread, no allocation. A span of a size that does not fit throws Error
/// (SHAPE).
namespace kernels {

/// Rows of weights, row-major, and how many of them share a scale; group_size 0: one scale a row.
struct Rows {
  std::size_t row_count = 0;
  std::size_t row_length = 0;
  std::size_t group_size = 0;

  std::size_t elements() const noexcept { return row_count * row_length; }
  std::size_t scales() const noexcept {
    const std::size_t size = group_size == 0 ? row_length : group_size;
    return row_length == 0 ? 0 : row_count * (row_length / size + (row_length % size == 0 ? 0 : 1));
  }
};

namespace detail {

inline void require_size(std::size_t size, std::size_t wanted, const char* name) {
  if (size == wanted) return;
  throw Error(MNQ_E_SHAPE,
              std::string(name) + " has " + std::to_string(size) + " elements, not " + std::to_string(wanted), "",
              name);
}

}  // namespace detail

/// minimum, maximum: [row_count], written. group_size plays no part.
inline void ranges(std::span<const float> weights, const Rows& rows, std::span<float> minimum,
                   std::span<float> maximum) {
  detail::require_size(weights.size(), rows.elements(), "weights");
  detail::require_size(minimum.size(), rows.row_count, "minimum");
  detail::require_size(maximum.size(), rows.row_count, "maximum");
  mono_quant::detail::call(mnq_kernel_ranges, weights.data(), rows.row_count, rows.row_length, minimum.data(),
                           maximum.data());
}

/// bits: 8 or 4. Writes scales [scales()] and codes [elements()], one a byte, and zero_points [scales()], which may be empty
/// where symmetric. sqnr_db: one number for all, where it is not null.
inline void quantize(std::span<const float> weights, const Rows& rows, int bits, bool symmetric,
                     std::span<float> scales, std::span<std::int8_t> zero_points, std::span<std::int8_t> codes,
                     double* sqnr_db = nullptr) {
  detail::require_size(weights.size(), rows.elements(), "weights");
  detail::require_size(scales.size(), rows.scales(), "scales");
  if (!symmetric || !zero_points.empty()) detail::require_size(zero_points.size(), rows.scales(), "zero_points");
  detail::require_size(codes.size(), rows.elements(), "codes");
  mono_quant::detail::call(mnq_kernel_quantize, weights.data(), rows.row_count, rows.row_length, bits,
                           symmetric ? 1 : 0, rows.group_size, scales.data(),
                           zero_points.empty() ? nullptr : zero_points.data(), codes.data(), sqnr_db);
}

/// weights = (code - zero_point) * scale, written; zero_points may be empty: all zero.
inline void dequantize(std::span<const std::int8_t> codes, const Rows& rows, std::span<const float> scales,
                       std::span<const std::int8_t> zero_points, std::span<float> weights) {
  detail::require_size(codes.size(), rows.elements(), "codes");
  detail::require_size(scales.size(), rows.scales(), "scales");
  if (!zero_points.empty()) detail::require_size(zero_points.size(), rows.scales(), "zero_points");
  detail::require_size(weights.size(), rows.elements(), "weights");
  mono_quant::detail::call(mnq_kernel_dequantize, codes.data(), rows.row_count, rows.row_length, rows.group_size,
                           scales.data(), zero_points.empty() ? nullptr : zero_points.data(), weights.data());
}

/// codes in -8..7; packed [(codes + 1) / 2]: two codes a byte, low nibble first, stored as code + 8.
inline void pack_int4(std::span<const std::int8_t> codes, std::span<std::uint8_t> packed) {
  detail::require_size(packed.size(), codes.size() / 2 + codes.size() % 2, "packed");
  mono_quant::detail::call(mnq_kernel_pack_int4, codes.data(), codes.size(), packed.data());
}
inline void unpack_int4(std::span<const std::uint8_t> packed, std::span<std::int8_t> codes) {
  detail::require_size(packed.size(), codes.size() / 2 + codes.size() % 2, "packed");
  mono_quant::detail::call(mnq_kernel_unpack_int4, packed.data(), codes.size(), codes.data());
}

/// In dB; +infinity where they are equal.
inline double sqnr_db(std::span<const float> reference, std::span<const float> other) {
  detail::require_size(other.size(), reference.size(), "other");
  double value = 0;
  mono_quant::detail::call(mnq_kernel_sqnr, reference.data(), other.data(), reference.size(), &value);
  return value;
}

}  // namespace kernels

}  // namespace mono_quant

#endif  // C++20
#endif  // MONO_QUANT_HPP
