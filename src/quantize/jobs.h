// The jobs: quantize, dequantize, copy, compare, validate. Each is a plan or a list of tensors, run through the one
// loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "formats/format_table.h"
#include "plan/plan.h"
#include "quantize/report.h"
#include "quantize/run_control.h"

namespace mnq {

/// Opens the place where a job's output goes, once its tensors are known. Called again where a job starts over.
using OpenSink = std::function<std::unique_ptr<TensorSink>(const std::vector<TensorInfo>&, const Metadata&)>;

/// A sink for a file: checks the name, opens it when the job asks. Errors: as output_format, then as OutputFile.
OpenSink open_file_sink(const TensorSource& source, const std::string& path, bool overwrite, const RunControl& control);

struct Output {
  std::string path;  ///< empty in memory
  OpenSink open;
};

/// Errors of all: kCancelled, kIo, kFormat, and as said.
/// kConfig; kValidation for weights that are not finite or accuracy that was asked for and missed.
Report quantize(const TensorSource& source, const Config& config, RunControl& control, const Output& output);

/// What quantize would do. Errors: kConfig.
Report plan_quantize(const TensorSource& source, const Config& config);

Report dequantize(const TensorSource& source, const Config& config, RunControl& control, const Output& output);
void copy(const TensorSource& source, const Config& config, RunControl& control, const Output& output);

/// The accuracy of each tensor of `other` against that of the same name in `reference`.
Report compare(const TensorSource& reference, const TensorSource& other, const Config& config, RunControl& control);

/// What is wrong with a checkpoint; original may be null.
Report validate(const TensorSource& source, const TensorSource* original, const Config& config, RunControl& control);

}  // namespace mnq
