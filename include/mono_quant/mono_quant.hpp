// mono_quant.hpp - the C++20 face of mono_quant.h: header-only, so that no C++ ABI lies between you and the library.
//
//     mono_quant::Config config;
//     config.set("bits", "4");
//     mono_quant::Report report = mono_quant::quantize_file("model.safetensors", "model-int4.safetensors", config);
//     for (const auto& layer : report.layers())
//       std::cout << layer.text("name") << ' ' << layer.number("sqnr_db").value_or(NAN) << '\n';
//
// Every class owns one handle of mono_quant.h: it can be moved, is freed at the end of its scope, and get() lends the
// handle to C functions. A moved-from object may only be assigned to or destroyed. Failures throw mono_quant::Error. What
// mono_quant.h says of sources, units and threads holds here: const members from any thread, others from one at a time.
#ifndef MONO_QUANT_HPP
#define MONO_QUANT_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
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
using Owner = std::unique_ptr<Handle, Free<kFree>>;

/// Calls a C function, its error argument added. Throws Error.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
  mnq_error* error = nullptr;
  const mnq_status status = function(arguments..., &error);
  if (status == MNQ_OK) return;
  const Owner<mnq_error, mnq_error_free> owner(error);
  throw Error(status, mnq_error_message(error), mnq_error_suggestion(error), mnq_error_subject(error));
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

inline std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : std::string(text); }

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

/// The library's version, and how it was built and what it uses here as JSON.
inline std::string version() { return mnq_version(); }
inline std::string build_info() { return detail::text(mnq_build_info); }

/// Threads that jobs use where the key `threads` is not set; 0: one for each CPU again.
inline std::uint32_t threads() { return mnq_threads(); }
inline void set_threads(std::uint32_t count) { detail::call(mnq_set_threads, count); }

/// The format of a file, from its content.
inline std::string detect_format(const std::filesystem::path& path) {
  const char* format = nullptr;
  detail::call(mnq_detect_format, path.c_str(), &format);
  return format;
}

/// Settings as keys and values; see mnq_config_list_keys and "Who wins" in mono_quant.h.
class Config {
 public:
  Config() : Config("{}") {}
  explicit Config(const std::string& json) : handle_(detail::make<mnq_config>(mnq_config_create, json.c_str())) {}

  Config& set(const std::string& key, const std::string& value) {
    detail::call(mnq_config_set, handle_.get(), key.c_str(), value.c_str());
    return *this;
  }
  Config& set_for_layers(const std::string& glob, const std::string& key, const std::string& value) {
    detail::call(mnq_config_set_for_layers, handle_.get(), glob.c_str(), key.c_str(), value.c_str());
    return *this;
  }
  void validate() const { detail::call(mnq_config_validate, handle_.get()); }
  std::string json() const { return detail::text(mnq_config_to_json, handle_.get()); }
  static std::string keys_json() { return detail::text(mnq_config_list_keys); }

  const mnq_config* get() const noexcept { return handle_.get(); }

 private:
  detail::Owner<mnq_config, mnq_config_free> handle_;
};

/// One job's own settings, progress and cancel.
class Run {
 public:
  /// Bytes of input done and in all; false stops the job. Called on the thread that made the call. What it throws stops the
  /// job and comes out of the call.
  using Progress = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

  Run() : handle_(detail::make<mnq_run>(mnq_run_create)), state_(std::make_unique<State>()) {}

  Run& set(const std::string& key, const std::string& value) {
    detail::call(mnq_run_set, handle_.get(), key.c_str(), value.c_str());
    return *this;
  }
  Run& set_for_layers(const std::string& glob, const std::string& key, const std::string& value) {
    detail::call(mnq_run_set_for_layers, handle_.get(), glob.c_str(), key.c_str(), value.c_str());
    return *this;
  }
  Run& set_progress(Progress progress) {
    state_->progress = std::move(progress);
    detail::call(mnq_run_set_progress, handle_.get(), state_->progress ? &on_progress : nullptr,
                 static_cast<void*>(state_.get()));
    return *this;
  }

  /// From any thread.
  void cancel() noexcept { mnq_run_cancel(handle_.get()); }
  bool is_cancelled() const noexcept { return mnq_run_is_cancelled(handle_.get()) != 0; }

  mnq_run* get() const noexcept { return handle_.get(); }

  /// Throws what the progress callback threw during the last job, if it did.
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

  detail::Owner<mnq_run, mnq_run_free> handle_;
  std::unique_ptr<State> state_;  // does not move: the library has its address
};

namespace detail {

inline mnq_run* handle(Run* run) { return run == nullptr ? nullptr : run->get(); }
inline const mnq_config* handle(const Config* config) { return config == nullptr ? nullptr : config->get(); }

/// A call with a run: an exception of its progress callback comes first.
template <class Function, class... Arguments>
void call_job(Run* run, Function function, Arguments... arguments) {
  try {
    call(function, arguments...);
  } catch (const Error&) {
    if (run != nullptr) run->rethrow();
    throw;
  }
}

}  // namespace detail

/// The value that holds for a key, and who set it.
struct Resolved {
  std::string value;
  std::string source;  ///< "default", "config", "config layers", "call" or "call layers"
};
inline Resolved resolve(const Config& config, const std::string& key, const std::string& layer = {},
                        const Run* run = nullptr) {
  mnq_buffer* value = nullptr;
  const char* source = nullptr;
  detail::call(mnq_config_resolve, config.get(), run == nullptr ? nullptr : run->get(),
               layer.empty() ? nullptr : layer.c_str(), key.c_str(), &value, &source);
  const detail::Owner<mnq_buffer, mnq_buffer_free> owner(value);
  return {mnq_buffer_data(value), source};
}

/// Row-major contiguous data that is never changed.
class Tensor {
 public:
  explicit Tensor(mnq_tensor* handle) : handle_(handle) {}  ///< takes ownership

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
    auto kept = std::make_unique<std::shared_ptr<const void>>(std::move(owner));
    mnq_tensor* tensor = nullptr;
    detail::call(mnq_tensor_wrap, dtype, shape.data(), shape.size(), static_cast<const void*>(bytes.data()),
                 bytes.size(), &release, static_cast<void*>(kept.get()), &tensor);
    kept.release();  // now release() frees it
    return Tensor(tensor);
  }

  /// Takes ownership of `managed` only on success.
  static Tensor from_dlpack(DLManagedTensorVersioned* managed) {
    return Tensor(detail::make<mnq_tensor>(mnq_tensor_from_dlpack, managed));
  }
  /// The caller, or who consumes it, calls its deleter.
  DLManagedTensorVersioned* to_dlpack() const {
    return detail::make<DLManagedTensorVersioned>(mnq_tensor_to_dlpack, static_cast<const mnq_tensor*>(get()));
  }

  mnq_dtype dtype() const noexcept { return mnq_tensor_dtype(get()); }
  std::span<const std::int64_t> shape() const noexcept { return {mnq_tensor_shape(get()), mnq_tensor_rank(get())}; }
  std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(mnq_tensor_data(get())), mnq_tensor_size_bytes(get())};
  }

  /// The elements. Throws Error (DTYPE) where they are of another type.
  template <class Value>
  std::span<const Value> values() const {
    static_assert(detail::dtype_of<Value>() != 0, "no dtype has this type of value: use bytes()");
    if (dtype() != detail::dtype_of<Value>()) {
      throw Error(MNQ_E_DTYPE, std::string("the tensor holds ") + mnq_dtype_name(dtype()),
                  "use its own type, or bytes()", "");
    }
    return {static_cast<const Value*>(mnq_tensor_data(get())), mnq_tensor_size_bytes(get()) / sizeof(Value)};
  }

  const mnq_tensor* get() const noexcept { return handle_.get(); }

 private:
  static void release(void* owner) { delete static_cast<std::shared_ptr<const void>*>(owner); }

  detail::Owner<mnq_tensor, mnq_tensor_free> handle_;
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
};

/// One layer of a report. A view: valid while the report is.
class ReportLayer {
 public:
  ReportLayer(const mnq_report* report, std::size_t index) : report_(report), index_(index) {}

  /// "name", "tensor", "kind", "dtype", "scheme", "action", "reason"; empty where it has none.
  std::string text(const std::string& field) const {
    return detail::text_or_empty(mnq_report_layer_text(report_, index_, field.c_str()));
  }
  /// "sqnr_db", "max_error", "bytes_before"...; nothing where it has none.
  std::optional<double> number(const std::string& field) const {
    double value = 0;
    const mnq_status status = mnq_report_layer_number(report_, index_, field.c_str(), &value, nullptr);
    return status == MNQ_OK ? std::optional(value) : std::nullopt;
  }

 private:
  const mnq_report* report_;
  std::size_t index_;
};

/// What a job did, and what it cost. src/quantize/README.md documents the fields.
class Report {
 public:
  explicit Report(mnq_report* handle) : handle_(handle) {}  ///< takes ownership

  std::string json() const { return mnq_report_json(get()); }
  std::optional<double> number(const std::string& field) const {
    double value = 0;
    const mnq_status status = mnq_report_number(get(), field.c_str(), &value, nullptr);
    return status == MNQ_OK ? std::optional(value) : std::nullopt;
  }
  std::vector<ReportLayer> layers() const {
    std::vector<ReportLayer> layers;
    for (std::size_t i = 0; i < mnq_report_layer_count(get()); ++i) layers.emplace_back(get(), i);
    return layers;
  }
  std::vector<std::string> warnings() const { return texts(mnq_report_warning_count, mnq_report_warning); }
  std::vector<std::string> problems() const { return texts(mnq_report_problem_count, mnq_report_problem); }

  const mnq_report* get() const noexcept { return handle_.get(); }

 private:
  template <class Count, class At>
  std::vector<std::string> texts(Count count, At at) const {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count(get()); ++i) all.emplace_back(at(get(), i));
    return all;
  }

  detail::Owner<mnq_report, mnq_report_free> handle_;
};

/// A checkpoint held open, float or quantized. Immutable.
class Model {
 public:
  explicit Model(mnq_model* handle) : handle_(handle) {}  ///< takes ownership

  static Model open(const std::filesystem::path& path) {
    return Model(detail::make<mnq_model>(mnq_model_open, path.c_str()));
  }

  /// The bytes stay the caller's, unchanged and alive until the model and all that was made from it are gone.
  static Model open_memory(std::span<const std::byte> bytes) {
    return Model(detail::make<mnq_model>(mnq_model_open_memory, static_cast<const void*>(bytes.data()), bytes.size()));
  }

  static Model from_tensors(std::span<const std::pair<std::string, Tensor>> tensors) {
    std::vector<const char*> names;
    std::vector<const mnq_tensor*> handles;
    for (const auto& [name, tensor] : tensors) {
      names.push_back(name.c_str());
      handles.push_back(tensor.get());
    }
    return Model(detail::make<mnq_model>(mnq_model_from_tensors, names.data(), handles.data(), names.size()));
  }

  Model clone() const { return Model(detail::make<mnq_model>(mnq_model_clone, get())); }
  void save(const std::filesystem::path& path, Run* run = nullptr) const {
    detail::call_job(run, mnq_model_save, get(), path.c_str(), detail::handle(run));
  }
  std::string save_memory(Run* run = nullptr) const {
    return detail::text(mnq_model_save_memory, get(), detail::handle(run));
  }

  std::vector<std::string> tensor_names() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < mnq_model_tensor_count(get()); ++i) names.emplace_back(mnq_model_tensor_name(get(), i));
    return names;
  }
  Tensor tensor(const std::string& name) const {
    return Tensor(detail::make<mnq_tensor>(mnq_model_get_tensor, get(), name.c_str()));
  }
  std::string describe_json() const { return detail::text(mnq_model_describe, get()); }

  /// Every tensor in the model's order: the layers that can be quantized, and the rest with its reason.
  std::vector<Layer> layers(const Config* config = nullptr, const Run* run = nullptr) const {
    const detail::Owner<mnq_layers, mnq_layers_free> owner(
        detail::make<mnq_layers>(mnq_model_list_layers, get(), detail::handle(config),
                                 run == nullptr ? nullptr : static_cast<const mnq_run*>(run->get())));
    const mnq_layers* handle = owner.get();
    std::vector<Layer> layers;
    for (std::size_t i = 0; i < mnq_layers_count(handle); ++i) {
      const std::int64_t* shape = mnq_layers_shape(handle, i);
      layers.push_back({mnq_layers_name(handle, i), mnq_layers_tensor(handle, i), mnq_layers_kind(handle, i),
                        mnq_layers_action(handle, i), mnq_layers_scheme(handle, i), mnq_layers_reason(handle, i),
                        std::vector<std::int64_t>(shape, shape + mnq_layers_rank(handle, i))});
    }
    return layers;
  }

  const mnq_model* get() const noexcept { return handle_.get(); }

 private:
  detail::Owner<mnq_model, mnq_model_free> handle_;
};

/// A new model, and what it cost.
struct Quantized {
  Model model;
  Report report;
};

inline Quantized quantize(const Model& model, const Config& config = {}, Run* run = nullptr) {
  mnq_model* out = nullptr;
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_quantize, model.get(), config.get(), detail::handle(run), &out, &report);
  return {Model(out), Report(report)};
}

inline Report quantize_file(const std::filesystem::path& input, const std::filesystem::path& output,
                            const Config& config = {}, Run* run = nullptr) {
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_quantize_file, input.c_str(), output.c_str(), config.get(), detail::handle(run), &report);
  return Report(report);
}

inline Report quantize_to_file(const Model& model, const std::filesystem::path& output, const Config& config = {},
                               Run* run = nullptr) {
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_quantize_to_file, model.get(), output.c_str(), config.get(), detail::handle(run), &report);
  return Report(report);
}

/// What quantize would do: no weight is read, so there is no accuracy.
inline Report plan(const Model& model, const Config& config = {}, const Run* run = nullptr) {
  return Report(detail::make<mnq_report>(mnq_plan, model.get(), config.get(),
                                         run == nullptr ? nullptr : static_cast<const mnq_run*>(run->get())));
}

inline Quantized dequantize(const Model& model, Run* run = nullptr) {
  mnq_model* out = nullptr;
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_dequantize, model.get(), detail::handle(run), &out, &report);
  return {Model(out), Report(report)};
}

inline Report dequantize_file(const std::filesystem::path& input, const std::filesystem::path& output,
                              Run* run = nullptr) {
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_dequantize_file, input.c_str(), output.c_str(), detail::handle(run), &report);
  return Report(report);
}

/// The accuracy of each tensor of `other` against the one of the same name in `reference`.
inline Report compare(const Model& reference, const Model& other, Run* run = nullptr) {
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_compare, reference.get(), other.get(), detail::handle(run), &report);
  return Report(report);
}

/// What is wrong with a file is in the report: problems(), number("valid").
inline Report validate_file(const std::filesystem::path& path,
                            const std::optional<std::filesystem::path>& original = {}, Run* run = nullptr) {
  mnq_report* report = nullptr;
  detail::call_job(run, mnq_validate_file, path.c_str(), original ? original->c_str() : nullptr, detail::handle(run),
                   &report);
  return Report(report);
}

}  // namespace mono_quant

#endif  // MONO_QUANT_HPP
