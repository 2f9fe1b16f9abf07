// The jobs: quantize, dequantize, copy, compare, validate. Each is a plan or a list of tensors, run through the one
// loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "formats/folder/output/folder_output.h"
#include "formats/format.h"
#include "plan/plan.h"
#include "quantize/loop/run_control.h"
#include "quantize/report.h"

namespace mnq {

/// Opens the place where a job's output goes, once its plan is known. Called again where a job starts over.
using OpenSink = std::function<std::unique_ptr<TensorSink>(const SinkRequest&)>;

struct Output {
  std::string path;  ///< empty in memory
  OpenSink open;
  Storage storage;                       ///< of the format
  std::shared_ptr<FolderOutput> folder;  ///< in place of open
  bool carries_members = false;          ///< of the format: see Format
  bool is_module = false;                ///< it is made of the module that the source is
  bool is_for_codes = false;             ///< of the format, likewise
};

/// Of the format that the settings name. Where they name none, everything fits, and a module becomes a module.
struct OutputForm {
  Storage storage;
  bool is_module = false;
  const Format* format = nullptr;  ///< null: none was named
};
OutputForm output_form(const Config& config, const TensorSource& source);

/// Whether that format carries on what lies besides the tensors; true where none is named.
bool planned_to_carry(const Config& config);

/// What a plan goes by: where a module becomes a module, LibTorch's reading of it, else the source itself.
const TensorSource& planned_source(const TensorSource& source, bool makes_module);

/// A file or folder: its name is checked now, it is opened when the job asks. Errors: as output_format, then as
/// OutputFile.
Output file_output(const TensorSource& source, const std::string& path, const Config& config,
                   const RunControl& control);

/// A model in memory, or the bytes of a file: a module where the source is one, else tensors and safetensors. Both are
/// set at commit and must outlive the job.
Output memory_output(const TensorSource& source, std::shared_ptr<const TensorSource>& model);
Output bytes_output(const TensorSource& source, const Config& config, std::string& bytes);

/// As bytes_output, to where `open` puts it.
Output host_output(const TensorSource& source, const Config& config, OpenByteSink open);

/// Errors of all: kCancelled, kIo, kFormat, and as said.
/// kConfig; kValidation for weights that are not finite or accuracy that was asked for and missed.
Report quantize(const TensorSource& source, const Config& config, RunControl& control, const Output& output);

/// What quantize would do. Errors: kConfig.
Report plan_quantize(const TensorSource& source, const Config& config);

Report dequantize(const TensorSource& source, const Config& config, RunControl& control, const Output& output);

/// Copies what the output's format can hold as it is; the rest is quantized anew or becomes floats, and the report says
/// so.
Report convert(const TensorSource& source, const Config& config, RunControl& control, const Output& output);

/// The accuracy of each tensor of `other` against that of the same name in `reference`.
Report compare(const TensorSource& reference, const TensorSource& other, const Config& config, RunControl& control);

/// What is wrong with a checkpoint; original may be null.
Report validate(const TensorSource& source, const TensorSource* original, const Config& config, RunControl& control);

}  // namespace mnq
