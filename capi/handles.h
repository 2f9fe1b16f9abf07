// What is behind the opaque handles.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files/host_bytes.h"
#include "base/tensor.h"
#include "base/tensor_source.h"
#include "config/config.h"
#include "formats/open_source.h"
#include "guard.h"
#include "module/backend.h"
#include "mono_quant.h"
#include "quantize/embedding.h"
#include "quantize/linear_layer.h"
#include "quantize/loop/run_control.h"
#include "quantize/report.h"

namespace mnq::capi {

/// Numbers that hardly stand in memory by chance.
enum class Kind : std::uint32_t {
  kError = 0x716e6d01,
  kBuffer,
  kConfig,
  kRun,
  kTensor,
  kModel,
  kLayers,
  kValues,
  kReport,
  kReader,
  kWriter,
  kLinear,
  kEmbedding,
  kFreed = 0
};

/// What a handle begins with: tells one that is in use from one that was freed, and from one of another kind, in most
/// cases.
template <Kind kKind>
class Tagged {
 public:
  ~Tagged() { kind_ = Kind::kFreed; }
  bool is_live() const noexcept { return kind_ == kKind; }

 private:
  volatile Kind kind_ = kKind;  // volatile: else nobody would see what is written to something that ends
};

}  // namespace mnq::capi

struct mnq_error : mnq::capi::Tagged<mnq::capi::Kind::kError> {
  mnq::Status status;
  std::string message;
  std::string suggestion;
  std::string subject;
};

struct mnq_buffer : mnq::capi::Tagged<mnq::capi::Kind::kBuffer> {
  std::string bytes;
};

struct mnq_config : mnq::capi::Tagged<mnq::capi::Kind::kConfig> {
  mnq::Settings settings;
};

struct mnq_run : mnq::capi::Tagged<mnq::capi::Kind::kRun> {
  mnq::Settings settings;
  mnq::RunControl control;
};

struct mnq_tensor : mnq::capi::Tagged<mnq::capi::Kind::kTensor> {
  mnq::Tensor tensor;
};

struct mnq_model : mnq::capi::Tagged<mnq::capi::Kind::kModel> {
  std::shared_ptr<const mnq::TensorSource> source;
};

struct mnq_layers : mnq::capi::Tagged<mnq::capi::Kind::kLayers> {
  std::shared_ptr<const mnq::TensorSource> source;  // of the plan
  mnq::Plan plan;
  std::vector<std::string> names;    // of each tensor's layer, in the plan's order
  std::vector<std::string> schemes;  // "" where it is copied
};

struct mnq_values : mnq::capi::Tagged<mnq::capi::Kind::kValues> {
  std::vector<mnq::ModuleValue> values;
};

struct mnq_reader : mnq::capi::Tagged<mnq::capi::Kind::kReader> {
  std::shared_ptr<const mnq::ByteSource> bytes;
};

struct mnq_writer : mnq::capi::Tagged<mnq::capi::Kind::kWriter> {
  mnq::HostOutput output;
  std::shared_ptr<const void> owner;
  std::atomic<bool> is_in_use{false};
};

struct mnq_report : mnq::capi::Tagged<mnq::capi::Kind::kReport> {
  mnq::Report report;
};

struct mnq_linear : mnq::capi::Tagged<mnq::capi::Kind::kLinear> {
  std::unique_ptr<mnq::LinearLayer> layer;
};

struct mnq_embedding : mnq::capi::Tagged<mnq::capi::Kind::kEmbedding> {
  mnq::Embedding embedding;
};

namespace mnq::capi {

/// A buffer with these bytes.
inline mnq_buffer* new_buffer(std::string bytes) { return new mnq_buffer{{}, std::move(bytes)}; }

/// The settings of a handle that may be missing.
template <class Handle>
const Settings* settings_in(const Handle* handle, const char* name) {
  return optional(handle, name) == nullptr ? nullptr : &handle->settings;
}

/// A view of the settings of a call, either of which may be missing.
inline Config settings_of(const mnq_config* config, const mnq_run* run) {
  return {settings_in(config, "config"), settings_in(run, "run")};
}

/// The dtype with this number. Throws kDType for one that is none.
DType require_dtype(mnq_dtype dtype, const char* name);

/// A tensor, and its memory until it is given away. fresh_tensor throws kShape where it does not fit.
struct FreshTensor {
  std::unique_ptr<mnq_tensor> handle;
  std::byte* data;
};
FreshTensor fresh_tensor(DType dtype, Shape shape);

/// The settings and the control of a call, either of which may be missing.
class Call {
 public:
  Call(const mnq_config* config, mnq_run* run)
      : config_(settings_of(config, run)), control_(run == nullptr ? own_ : run->control) {}

  const Config& config() const { return config_; }
  RunControl& control() { return control_; }

 private:
  Config config_;
  RunControl own_;
  RunControl& control_;
};

/// Calls a function of the host's when nobody uses what it gave us any more. Armed last: until then that is the
/// caller's.
class Releaser {
 public:
  Releaser() = default;
  Releaser(const Releaser&) = delete;
  Releaser& operator=(const Releaser&) = delete;
  ~Releaser() {
    if (release_ == nullptr) return;
    try {
      release_(user_);
    } catch (...) {  // a C++ host's: there is no call left that it could fail
    }
  }
  void arm(mnq_release_fn release, void* user) noexcept {
    release_ = release;
    user_ = user;
  }

 private:
  mnq_release_fn release_ = nullptr;
  void* user_ = nullptr;
};

/// A writer while a job writes to it. Throws kState where another one does.
class WriterUse {
 public:
  explicit WriterUse(mnq_writer* writer) : writer_(*require(writer, "writer")) {
    if (!writer_.is_in_use.exchange(true)) return;
    throw Error(Status::kState, "the writer is in use: another job writes to it", "make a writer for each output",
                "writer");
  }
  ~WriterUse() { writer_.is_in_use = false; }
  WriterUse(const WriterUse&) = delete;
  WriterUse& operator=(const WriterUse&) = delete;

  OpenByteSink bytes() const { return host_sink(writer_.output); }

 private:
  mnq_writer& writer_;
};

/// What the settings say of how an input is opened.
inline OpenSettings open_settings(const Config& config) { return {resolve_job(config).tensors_key}; }

}  // namespace mnq::capi
