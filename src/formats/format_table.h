// The file formats: how each is recognised, read and written. To add one: a file beside this one and a row in
// format_table.cpp.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_source.h"

namespace mnq {

/// Bytes that can be read by position: a file, or the caller's memory.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::string path() const = 0;  ///< empty in memory
  virtual std::uint64_t size() const = 0;
  virtual void read(std::uint64_t offset, std::span<std::byte> into) const = 0;
  virtual std::shared_ptr<const std::byte> view(std::uint64_t offset) const = 0;  ///< null where it must be read
  virtual bool reads_from(const std::string& path) const = 0;
};

/// Bytes that are written by position and appear at commit.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;  ///< from any thread
  virtual void commit() = 0;
};

/// Makes the place to write to once its size is known.
using OpenByteSink = std::function<std::unique_ptr<ByteSink>(std::uint64_t size_bytes)>;

struct Format {
  std::string_view name;        ///< "safetensors"
  std::string_view extensions;  ///< comma-separated, of files that are written: ".safetensors"

  /// Whether these first bytes (up to 16) of a file of that size are of this format.
  bool (*recognises)(std::span<const std::byte> start, std::uint64_t size) = nullptr;

  /// Errors: kFormat, kIo. Null where the format is known, but not read yet.
  std::unique_ptr<TensorSource> (*open_source)(std::shared_ptr<const ByteSource> bytes) = nullptr;

  /// Errors: kIo, kFormat. Null where the format is known, but not written yet. metadata: with values at least as long
  /// as those that commit will get.
  std::unique_ptr<TensorSink> (*open_sink)(const std::vector<TensorInfo>& tensors, const Metadata& metadata,
                                           const OpenByteSink& open) = nullptr;

  std::string_view advice;  ///< where it cannot be read or written: what to do instead
};

std::span<const Format> all_formats();

/// The format of a file by its content. Errors: kNotFound, kIo, kUnsupported for one that cannot be read yet, kFormat
/// for anything else.
const Format& detect_format(const ByteSource& bytes);

/// Opens a checkpoint by its content. Errors as detect_format; kFormat says what is damaged.
std::shared_ptr<const TensorSource> open_source(const std::string& path);

/// As open_source; the memory must outlive the source and all that is made from it.
std::shared_ptr<const TensorSource> open_memory(std::span<const std::byte> bytes);

/// The bytes of a file. Errors: kNotFound, kIo.
std::shared_ptr<const ByteSource> open_bytes(const std::string& path);

/// Checks, before any work, that a file of this name can be written from this source: a format that is written, and not
/// the file it reads. Errors: kUnsupported, kInvalidArg.
const Format& output_format(const std::string& path, const TensorSource& source);

/// Where a sink puts its bytes. is_cancelled is asked while a file is synced.
OpenByteSink file_bytes(const std::string& path, bool overwrite, std::function<bool()> is_cancelled);
OpenByteSink memory_bytes(std::string& out);

}  // namespace mnq
