// TorchScript archives: a source of the tensors of a module, and the sink that makes the module anew with what became of
// them. LibTorch does it, behind module/backend.h, and sees an archive only after it was checked here.
#pragma once

#include "base/byte_stream.h"
#include "base/tensor_source.h"
#include "formats/format_table.h"
#include "module/backend.h"

namespace mnq {

/// A source whose tensors are those of a module.
class ModuleSource : public TensorSource {
 public:
  virtual const std::shared_ptr<const Module>& module() const = 0;
};

/// Errors: kFormat, naming the record at fault; kUnsupported where LibTorch is missing, or for what cannot be had.
std::unique_ptr<TensorSource> open_torchscript_source(std::shared_ptr<const ByteSource> bytes,
                                                      const OpenSettings& settings);

/// A module in memory. Errors: as open_torchscript_source, for its quantized weights.
std::shared_ptr<const TensorSource> make_module_source(std::shared_ptr<const Module> module);

/// The module behind a source; null where it is no module.
const ModuleSource* as_module_source(const TensorSource& source);

/// What becomes of a changed module: it is given away at commit.
using TakeModule = std::function<void(std::shared_ptr<const Module>)>;

/// Takes the tensors of a job over this module and makes the module that has them. It keeps a copy of those only that
/// the job changes.
std::unique_ptr<TensorSink> open_module_sink(const ModuleSource& source, const std::vector<TensorInfo>& tensors,
                                             const TakeModule& take);

/// A module that is written as an archive when it is taken; the place for it is opened at once. For one module.
/// is_cancelled is asked at every write: kCancelled.
TakeModule write_torchscript(const OpenByteSink& open, std::function<bool()> is_cancelled);

}  // namespace mnq
