// The end of a ZIP archive, which says where the directory is.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>

#include "base/files/byte_stream.h"

namespace mnq {

struct ZipDirectory {
  std::uint64_t offset = 0, size = 0, count = 0;
  std::uint64_t end = 0;  ///< where the first record after the directory starts
};

inline constexpr std::uint64_t kZipEntryBytes = 46;  ///< the least an entry of the directory takes

/// With ZIP64 what the large record says, checked against the small one. Errors: kFormat; kUnsupported.
ZipDirectory find_zip_directory(const ByteSource& bytes, const std::string& title);

[[noreturn]] void refuse_zip_parts(const std::string& title);

static_assert(std::endian::native == std::endian::little);

template <class Number>
Number number_at(std::string_view bytes, std::size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

}  // namespace mnq
