// The jobs of modules alone: running one, and validating one by running it.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "module/backend.h"
#include "quantize/loop/run_control.h"
#include "quantize/report.h"

namespace mnq {

/// Errors: kUnsupported for a source that is no module; as Module::run.
std::vector<ModuleValue> run_module(const TensorSource& source, const std::string& method,
                                    const std::vector<ModuleValue>& inputs, const Config& config);

/// All that validate() checks. A module is also saved, what was saved is loaded, and, where inputs are given, both are
/// run, and the original where there is one. Errors: kUnsupported for inputs to a source that is no module; kInvalidArg
/// for inputs that do not fit.
Report validate_model(const TensorSource& source, const TensorSource* original, const std::vector<ModuleValue>* inputs,
                      const Config& config, RunControl& control);

}  // namespace mnq
