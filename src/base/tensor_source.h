// Where tensors come from and where they go: the two ends of the one loop. Sources never write, sinks never read.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/boxed.h"
#include "base/files/byte_stream.h"
#include "base/quantized_weight.h"
#include "base/tensor.h"

namespace mnq {

/// Text to text, as a checkpoint carries it.
using Metadata = std::map<std::string, std::string>;

/// What messages call a checkpoint: the path of its file; empty in memory.
inline std::string title_of(const std::string& path) { return path.empty() ? "the model in memory" : path; }

/// What a source that knows its layers says of a stored tensor; others leave it to names and shapes.
struct LayerHint {
  std::string layer;              ///< dotted name of the layer it belongs to
  std::string kind;               ///< of the table of layer kinds; empty: no weight that can be quantized
  std::int64_t channel_axis = 0;  ///< of the weight
  std::string reason;             ///< why there is no kind
  std::string origin = {};        ///< the tensor of another source that it is a part of, or is: then without a kind
};

struct Layout;  // layouts/layout.h

/// A tensor as the user thinks of it: a float tensor, or a quantized weight with all its parts.
struct LogicalTensor {
  std::string name;
  DType dtype = DType::kF32;  ///< of a quantized weight: before it was quantized
  Shape shape;
  std::vector<std::size_t> parts;   ///< of the source's stored tensors; of a quantized weight in its layout's order
  Boxed<QuantizedSpec> spec;        ///< of a quantized weight
  const Layout* layout = nullptr;   ///< of a quantized weight: how its parts hold it
  std::optional<double> sqnr_db;    ///< of a quantized weight, where the file says
  const LayerHint* hint = nullptr;  ///< where the source, which holds it, knows its layers
  std::vector<std::string> ties;    ///< other names of it
  std::uint64_t stack_size = 0;  ///< of a quantized weight whose matrices are stored one by one: how many they are, and
                                 ///< parts are those of one after the other; else 0
};

/// Something a file gets wrong about its quantized weights.
struct Problem {
  std::string tensor;  ///< may be empty: the metadata itself
  std::string text;
};

struct LogicalTensors {
  std::vector<LogicalTensor> tensors;  ///< in the order of the data, by the first part
  std::vector<Problem> problems;       ///< weights whose parts are missing or do not fit: they are left out
};

class Buffer;        // base/buffer.h
struct OwnMetadata;  // plan/own_metadata.h
class ModuleSource;  // formats/torchscript/torchscript.h
class PytorchFrame;  // containers/torch_save/pytorch_frame.h

/// A file of a folder that is copied as it is.
struct CompanionFile {
  std::string name;  ///< with the folders it is in: "1_Pooling/config.json"
  std::shared_ptr<const ByteSource> bytes;
};

/// What comes with a checkpoint besides its tensors, for formats that carry it on.
struct Companion {
  std::string folder;                      ///< of a Hugging Face folder: its path
  std::string config;                      ///< its config.json; may be empty
  std::string loader;                      ///< what loads the folder: see folder_loaders.h
  std::string weights_file;                ///< the name of the file that is opened
  std::vector<std::string> model_types;    ///< of config.json: the model's, then those of its parts
  std::vector<std::string> architectures;  ///< of config.json
  std::vector<CompanionFile> files;        ///< its other small files: tokenizer and the like
  std::string gguf_values;                 ///< of a GGUF file: its key-values as they are stored
  std::uint64_t gguf_value_count = 0;
  std::string gguf_architecture;                ///< of a GGUF file: its general.architecture
  std::shared_ptr<const PytorchFrame> pytorch;  ///< of a PyTorch checkpoint: what stands around its tensors
  std::vector<std::string> members;             ///< names of what lies there besides dicts of tensors
};

/// A checkpoint held open. Immutable; every member may be called from several threads.
class TensorSource {
 public:
  virtual ~TensorSource() = default;

  static constexpr std::size_t kNone = ~std::size_t{0};

  /// The tensors as they are stored, in the order of their data.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }

  /// What the stored tensors are to the user. Found when it is first asked for, once.
  const std::vector<LogicalTensor>& weights() const { return found().tensors; }

  /// What does not fit together. Its stored tensors are among weights() as they are.
  const std::vector<Problem>& problems() const { return found().problems; }

  /// As weights(), for who needs a sound model. Throws kFormat at the first problem.
  const std::vector<LogicalTensor>& require_weights() const;

  /// The index of a stored tensor, or kNone. Looks through all: for a few look-ups.
  std::size_t find(std::string_view name) const {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].name == name) return i;
    }
    return kNone;
  }

  /// Of the format table: "safetensors"; "memory" for named tensors.
  virtual std::string_view format() const = 0;

  /// The file it came from; empty in memory. For messages it is title().
  virtual std::string path() const { return {}; }
  std::string title() const { return title_of(path()); }

  /// Bytes of the whole file or buffer, or of all tensors.
  virtual std::uint64_t size_bytes() const = 0;

  /// Fills `into` from byte `offset` of a tensor; offset + into.size() <= its size. Errors: kIo.
  virtual void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const = 0;

  /// The tensor where it lies in memory, kept alive by what is returned; null where it must be read. Any alignment.
  virtual std::shared_ptr<const std::byte> view(std::size_t tensor) const = 0;

  /// What is known of the layer of a stored tensor; null where nothing is.
  virtual const LayerHint* hint(std::size_t /*tensor*/) const { return nullptr; }

  /// What a weight that is shown as floats is quantized as where it lies; empty: it is not.
  virtual std::string_view quantized_as(std::size_t /*tensor*/) const { return {}; }

  /// Other names of the same tensor.
  virtual std::vector<std::string> ties(std::size_t /*tensor*/) const { return {}; }

  /// Null where there is none.
  virtual const Companion* companion() const { return nullptr; }

  /// What the container says of its quantized weights in our own metadata; null where it says nothing.
  virtual const OwnMetadata* own_metadata() const { return nullptr; }

  /// Null where the tensors are not those of a module.
  virtual const ModuleSource* as_module() const { return nullptr; }

  /// What was left as it is and is no tensor here, and what else a report should say of the input.
  const std::vector<std::string>& remarks() const { return remarks_; }

  /// All files and memory that it reads or carries on; none of what holds its tensors itself.
  const std::vector<std::shared_ptr<const ByteSource>>& inputs() const { return inputs_; }

  /// Whether what replaces the path replaces something of this: a file of inputs(), or a folder with one.
  bool reads_from(const std::string& path) const;

  /// Throws kIo where a file of inputs() was changed since it was opened: what was read is then of no one state of it.
  void require_unchanged() const;

  /// While it is being opened.
  void add_remark(std::string text) { remarks_.push_back(std::move(text)); }
  void add_input(std::shared_ptr<const ByteSource> bytes) { inputs_.push_back(std::move(bytes)); }

  /// For a source that reads through this one by index, and has its list from then on.
  std::vector<TensorInfo> take_tensors() { return std::move(tensors_); }

 protected:
  /// Where nothing says otherwise each stored tensor is one by itself.
  virtual LogicalTensors find_weights() const;

  /// Completes quantized weights by the tensors that are no parts of them, by hints and ties. Of two weights that share
  /// a part the second one is a problem.
  LogicalTensors complete(LogicalTensors quantized) const;

  std::vector<TensorInfo> tensors_;
  Metadata metadata_;
  std::vector<std::string> remarks_;
  std::vector<std::shared_ptr<const ByteSource>> inputs_;

 private:
  const LogicalTensors& found() const;

  mutable std::once_flag was_found_;
  mutable LogicalTensors found_;
};

/// Bytes [offset, offset + size) of a stored tensor: where they lie, or read into `buffer`. Aligned for its dtype.
/// Errors: kIo.
const std::byte* fetch(const TensorSource& source, std::size_t stored, std::uint64_t offset, std::uint64_t size,
                       Buffer& buffer);

/// A stored tensor: its data are shared where they lie in memory, aligned for the dtype, else read. Errors: kIo.
Tensor load_tensor(const TensorSource& source, std::size_t stored);

/// Names beside the tensors' own: (name, tensor), as safetensors' save_model writes ties into its metadata.
std::vector<std::pair<std::string, std::string>> tied_names(const Metadata& metadata,
                                                            const std::function<bool(std::string_view)>& is_tensor);

/// Takes the tensors it was opened with, and nothing is there until commit.
class TensorSink {
 public:
  virtual ~TensorSink() = default;

  /// Bytes of a tensor, an index into those the sink was opened with; from any thread, any order, each byte once.
  virtual void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) = 0;

  /// Makes it real. sqnr_db: of each weight of the plan it was opened with that was quantized or cast, in the plan's
  /// order; what stands at the others is of no meaning.
  virtual void commit(std::span<const double> sqnr_db) = 0;

  /// What the format has no place for, and what became of it: for the report's warnings.
  virtual std::vector<std::string> notes() const { return {}; }
};

}  // namespace mnq
