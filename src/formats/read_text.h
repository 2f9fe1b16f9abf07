// A piece of a file as text.
#pragma once

#include <span>
#include <string>

#include "base/byte_stream.h"

namespace mnq {

/// It must lie within the source. Errors: as read.
inline std::string read_text(const ByteSource& bytes, std::uint64_t offset, std::uint64_t size) {
  std::string text(size, '\0');
  bytes.read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace mnq
