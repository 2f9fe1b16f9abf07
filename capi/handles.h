// What is behind the opaque handles.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "base/tensor_source.h"
#include "config/config.h"
#include "formats/open_source.h"
#include "module/backend.h"
#include "mono_quant.h"
#include "quantize/loop/run_control.h"
#include "quantize/report.h"

struct mnq_error {
  mnq::Status status;
  std::string message;
  std::string suggestion;
  std::string subject;
};

struct mnq_buffer {
  std::string bytes;
};

struct mnq_config {
  mnq::Settings settings;
};

struct mnq_run {
  mnq::Settings settings;
  mnq::RunControl control;
};

struct mnq_tensor {
  mnq::Tensor tensor;
};

struct mnq_model {
  std::shared_ptr<const mnq::TensorSource> source;
};

struct mnq_layers {
  std::shared_ptr<const mnq::TensorSource> source;  // of the plan
  mnq::Plan plan;
  std::vector<std::string> schemes;  // of each tensor of the plan; "" where it is copied
};

struct mnq_values {
  std::vector<mnq::ModuleValue> values;
};

struct mnq_report {
  mnq::Report report;
};

namespace mnq::capi {

/// A buffer with these bytes.
inline mnq_buffer* new_buffer(std::string bytes) { return new mnq_buffer{std::move(bytes)}; }

/// The settings and the control of a call, either of which may be missing.
class Call {
 public:
  Call(const mnq_config* config, mnq_run* run)
      : config_(config == nullptr ? nullptr : &config->settings, run == nullptr ? nullptr : &run->settings),
        control_(run == nullptr ? own_ : run->control) {}

  const Config& config() const { return config_; }
  RunControl& control() { return control_; }

 private:
  Config config_;
  RunControl own_;
  RunControl& control_;
};

/// What the settings say of how an input is opened.
inline OpenSettings open_settings(const Config& config) { return {resolve_job(config).tensors_key}; }

/// A view of the settings of a call that starts no work.
inline Config settings_of(const mnq_config* config, const mnq_run* run) {
  return {config == nullptr ? nullptr : &config->settings, run == nullptr ? nullptr : &run->settings};
}

}  // namespace mnq::capi
