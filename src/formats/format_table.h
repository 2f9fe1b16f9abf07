// The file formats: how each is recognised, read and written. To add one: a file beside this one and a row in
// format_table.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_stream.h"
#include "base/tensor_source.h"

namespace mnq {

struct Format {
  std::string_view name;        ///< "safetensors"
  std::string_view extensions;  ///< comma-separated, of files that are written: ".safetensors"

  /// Whether a file that starts with these bytes (up to 16) is of this format.
  bool (*recognises)(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) = nullptr;

  /// Errors: kFormat, kIo. Null where the format is known, but not read yet.
  std::unique_ptr<TensorSource> (*open_source)(std::shared_ptr<const ByteSource> bytes) = nullptr;

  /// Errors: kIo, kFormat. Null where the format is known, but not written yet, or is_module. metadata: with values at least as long
  /// as those that commit will get.
  std::unique_ptr<TensorSink> (*open_sink)(const std::vector<TensorInfo>& tensors, const Metadata& metadata,
                                           const OpenByteSink& open) = nullptr;

  bool is_module = false;  ///< written from a module only: see torchscript.h

  std::string_view advice;  ///< where it cannot be read or written: what to do instead
};

std::span<const Format> all_formats();

/// The format of a file by its content. Errors: kNotFound, kIo, kUnsupported for one that cannot be read yet, kFormat
/// for anything else.
const Format& detect_format(const std::shared_ptr<const ByteSource>& bytes);

/// Opens a checkpoint by its content. Errors as detect_format; kFormat says what is damaged.
std::shared_ptr<const TensorSource> open_source(const std::string& path);

/// As open_source; the memory must outlive the source and all that is made from it.
std::shared_ptr<const TensorSource> open_memory(std::span<const std::byte> bytes);

/// Checks, before any work, that a file of this name can be written from this source: a format that is written, and not
/// the file it reads. Errors: kUnsupported, kInvalidArg.
const Format& output_format(const std::string& path, const TensorSource& source);

}  // namespace mnq
