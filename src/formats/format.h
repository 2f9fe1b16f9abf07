// What a file format is: how it is recognised, read and written. To add one: a folder beside this file with its
// descriptor, its source and its sink, and a row in format_table.cpp.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/tensor_source.h"
#include "plan/plan.h"
#include "plan/storage.h"

namespace mnq {

struct OpenSettings {
  std::string tensors_key;  ///< dotted path of the dict with the tensors; empty: found
};

/// What a sink is opened with. All that is referred to outlives the sink.
struct SinkRequest {
  PlanSlice plan;                           ///< its outputs are the tensors
  const Metadata& metadata;                 ///< without our own key
  const Companion* companion = nullptr;     ///< what else goes along; null: nothing
  const TensorSource* source = nullptr;     ///< that the plan is of
  std::function<bool()> is_cancelled = {};  ///< asked by what takes long after the last write; empty: never
};

struct QuantizationMethod;  // folder/quantization_methods.h

struct Format {
  std::string_view name;             ///< "safetensors"
  std::string_view extensions = "";  ///< comma-separated, of files that are written: ".safetensors"

  /// Whether a file that starts with these bytes (up to 16) is of this format. Null for folders.
  bool (*recognises)(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) = nullptr;

  /// Errors: kFormat, kIo, kUnsupported. Null where the format is known, but not read, and for folders.
  std::unique_ptr<TensorSource> (*open_source)(std::shared_ptr<const ByteSource> bytes,
                                               const OpenSettings& settings) = nullptr;

  /// Of a file; of a folder that of one shard. Errors: kIo, kFormat, kUnsupported. Null where it is not written.
  std::unique_ptr<TensorSink> (*open_sink)(const SinkRequest& request, const OpenByteSink& open) = nullptr;

  Storage storage = {};  ///< how it holds quantized weights, and which

  bool has_dicts = false;        ///< a setting says which of several dicts is read
  bool may_be_shard = false;     ///< a file of it may be a shard of a checkpoint
  bool is_module = false;        ///< written from a module only: see torchscript.h
  bool is_folder = false;        ///< shards, an index and small files: see folder_output.h
  bool is_for_codes = false;     ///< another tool's, for quantized weights: floats alone are none of it
  bool carries_members = false;  ///< of a PyTorch checkpoint what is no tensor, too: see Companion

  /// Of a folder: how its config.json says that weights are quantized.
  const QuantizationMethod* quantization = nullptr;

  std::string_view advice = "";  ///< where it cannot be read or written: what to do instead
};

}  // namespace mnq
