// The file formats: how each is recognised, read and written. To add one: a file beside this one and a row in
// format_table.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_stream.h"
#include "base/json.h"
#include "base/tensor_source.h"
#include "plan/fit.h"
#include "plan/plan.h"

namespace mnq {

struct OpenSettings {
  std::string tensors_key;  ///< dotted path of the dict with the tensors; empty: found
};

struct SinkRequest {
  const std::vector<TensorInfo>& tensors;
  const Metadata& metadata;  ///< with values at least as long as those that commit will get
  const Companion* companion = nullptr;
};

/// What a folder's config.json says of quantization.
struct FolderQuantization {
  Json config;                     ///< its quantization_config; null: none
  std::vector<std::string> notes;  ///< for the report's warnings
};

struct Format {
  std::string_view name;        ///< "safetensors"
  std::string_view extensions;  ///< comma-separated, of files that are written: ".safetensors"

  /// Whether a file that starts with these bytes (up to 16) is of this format. Null for folders.
  bool (*recognises)(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) = nullptr;

  /// Errors: kFormat, kIo, kUnsupported. Null where the format is known, but not read, and for folders.
  std::unique_ptr<TensorSource> (*open_source)(std::shared_ptr<const ByteSource> bytes,
                                               const OpenSettings& settings) = nullptr;

  /// Of a file; of a folder that of one shard. Errors: kIo, kFormat, kUnsupported. Null where it is not written, or
  /// is_module.
  std::unique_ptr<TensorSink> (*open_sink)(const SinkRequest& request, const OpenByteSink& open) = nullptr;

  FitWeight fit = nullptr;  ///< null: any quantized weight as it is

  bool is_module = false;  ///< written from a module only: see torchscript.h
  bool is_folder = false;  ///< shards, an index and small files: see folder_output.h

  bool carries_members = false;  ///< of a PyTorch checkpoint what is no tensor, too: see Companion

  /// Of a folder: what a plan's config.json says. Null: nothing. Errors: kUnsupported.
  FolderQuantization (*describe)(const Plan& plan, const Companion* companion) = nullptr;

  std::string_view advice;  ///< where it cannot be read or written: what to do instead
};

std::span<const Format> all_formats();

/// Errors: kConfig for settings that have no meaning for a format; path: for the message.
void check_settings(const OpenSettings& settings, std::string_view format, const std::string& path);

/// What a folder is written as where nothing says it: as what loads the source's folder can have it.
const Format& default_folder_format(const Companion* companion);

/// The format of a file or folder by its content. Errors: kNotFound, kIo, kUnsupported for one that is not read, kFormat
/// for anything else.
const Format& detect_format(const std::string& path);

/// Opens a checkpoint by its content: a file or a folder. Errors as detect_format; kFormat says what is damaged; kConfig
/// for settings that have no meaning for it.
std::shared_ptr<const TensorSource> open_source(const std::string& path, const OpenSettings& settings = {});

/// The two files of one job, the second none where its path is null. tensors_key is for whichever has dicts to choose
/// from. Errors: as open_source; kConfig where neither has.
struct SourcePair {
  std::shared_ptr<const TensorSource> first;
  std::shared_ptr<const TensorSource> second;
};
SourcePair open_sources(const std::string& first, const char* second, const OpenSettings& settings);

/// As open_source; the memory must outlive the source and all that is made from it.
std::shared_ptr<const TensorSource> open_memory(std::span<const std::byte> bytes, const OpenSettings& settings = {});

/// Checks, before any work, that this can be written from this source: a format that is written, and nothing replaced that the
/// source reads or carries on.
/// wanted: the name of a format, or "auto": then the extension says it, and a path without one is a folder.
/// Errors: kUnsupported, kInvalidArg.
const Format& output_format(const std::string& path, const std::string& wanted, const TensorSource& source);

}  // namespace mnq
