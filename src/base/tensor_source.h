// Where tensors come from and where they go: the two ends of the one loop. Sources never write, sinks never read.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_stream.h"
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
};

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

  /// Other names of the same tensor.
  virtual std::vector<std::string> ties(std::size_t /*tensor*/) const { return {}; }

  /// Null where there is none.
  virtual const Companion* companion() const { return nullptr; }

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

 protected:
  std::vector<TensorInfo> tensors_;
  Metadata metadata_;
  std::vector<std::string> remarks_;
  std::vector<std::shared_ptr<const ByteSource>> inputs_;
};

/// Names beside the tensors' own: (name, tensor), as safetensors' save_model writes ties into its metadata.
std::vector<std::pair<std::string, std::string>> tied_names(const Metadata& metadata,
                                                            const std::vector<TensorInfo>& tensors);

/// Takes the tensors it was opened with, and nothing is there until commit.
class TensorSink {
 public:
  virtual ~TensorSink() = default;

  /// Bytes of a tensor, an index into those the sink was opened with; from any thread, any order, each byte once.
  virtual void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) = 0;

  /// Makes it real. metadata: what the sink was opened with, or the same with values that are no longer than those.
  virtual void commit(const Metadata& metadata) = 0;

  /// What the format has no place for, and what became of it: for the report's warnings.
  virtual std::vector<std::string> notes() const { return {}; }
};

}  // namespace mnq
