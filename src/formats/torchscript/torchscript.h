// TorchScript archives: a source of the tensors of a module, and the sink that makes the module anew with what became
// of them. A file is read here, its layers included: LibTorch, behind module/backend.h, sees it only when the module
// runs or becomes another one, and only after it was checked as a whole.
#pragma once

#include "base/files/byte_stream.h"
#include "base/tensor_source.h"
#include "formats/format.h"
#include "module/backend.h"
#include "plan/own_metadata.h"

namespace mnq {

extern const Format kTorchscriptFormat;

/// A source whose tensors are those of a module.
class ModuleSource : public DescribedSource {
 public:
  const ModuleSource* as_module() const override { return this; }

  virtual const std::shared_ptr<const Module>& module() const = 0;

  /// The same as LibTorch has it, loaded when it is first asked for: what goes by the graphs of the code asks this one.
  /// Where it sees other layers, it remarks on them. Errors: kUnsupported where LibTorch is missing; kFormat, kTorch
  /// for what it refuses.
  virtual const ModuleSource& loaded() const = 0;

 protected:
  /// A module holds words of packed codes as bytes, since TorchScript shifts those faster. They are shown as words, as
  /// everywhere else: the same bytes. After tensors and metadata are set.
  void show_words();
};

/// Errors: kFormat, naming the record at fault; kUnsupported for what cannot be had. Checksums of tensors are compared
/// before the first of them is read.
std::unique_ptr<TensorSource> open_torchscript_source(std::shared_ptr<const ByteSource> bytes,
                                                      const OpenSettings& settings);

/// A module that is loaded: one in memory, or that of a file, with the file's bytes and what else is to be said of it.
std::shared_ptr<const ModuleSource> make_module_source(std::shared_ptr<const Module> module,
                                                       std::shared_ptr<const ByteSource> bytes = nullptr,
                                                       std::vector<std::string> remarks = {});

/// What becomes of a changed module: it is given away at commit.
using TakeModule = std::function<void(std::shared_ptr<const Module>)>;

/// Takes the tensors of a job over a loaded module and makes the module that has them. It keeps a copy of those only
/// that the job changes.
std::unique_ptr<TensorSink> open_module_sink(const SinkRequest& request, const TakeModule& take);

/// A module that is written as an archive when it is taken; the place for it is opened at once. For one module.
/// is_cancelled is asked at every write: kCancelled.
TakeModule write_torchscript(const OpenByteSink& open, std::function<bool()> is_cancelled);

/// The two together; the place for it is opened at once. request.is_cancelled is asked at every write: kCancelled.
std::unique_ptr<TensorSink> open_torchscript_sink(const SinkRequest& request, const OpenByteSink& open);

}  // namespace mnq
