// A piece of a file as text.
#pragma once

#include <span>
#include <string>

#include "base/files/byte_stream.h"
#include "base/tensor_source.h"
#include "base/text/format.h"
#include "containers/archive_error.h"

namespace mnq {

/// It must lie within the source. Errors: as read.
inline std::string read_text(const ByteSource& bytes, std::uint64_t offset, std::uint64_t size) {
  std::string text(size, '\0');
  bytes.read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

/// All of a small file. Errors: kFormat where it has more bytes; as read.
inline std::string read_text_within(const ByteSource& bytes, std::uint64_t most_bytes) {
  if (bytes.size() > most_bytes) {
    fail_record(title_of(bytes.path()), "", formatted("{} bytes exceed {}", bytes.size(), most_bytes));
  }
  return read_text(bytes, 0, bytes.size());
}

}  // namespace mnq
