// ZIP archives built by hand, to be broken in one place each.
#pragma once

#define ZLIB_CONST
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "containers/zip/zip_archive.h"

namespace mnq::test {

template <class Number>
std::string number_bytes(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

inline std::uint32_t crc_of_text(const std::string& text) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size()));
}

inline std::string deflated(const std::string& text) {
  std::string out(text.size() + 100, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<const Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// A record, with all that its two headers say.
struct ZipRecord {
  std::string name;
  std::string data;  ///< as it lies in the file
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
  std::uint16_t flags = 0, method = 0, disk = 0;
  bool is_64 = false;
  std::string local_extra;
  std::string local_name = name;
  std::uint16_t local_method = method;
  std::uint64_t local_size = size;
  std::uint32_t local_crc = crc;
};

inline ZipRecord stored(const std::string& name, const std::string& text) {
  return {.name = name, .data = text, .size = text.size(), .crc = crc_of_text(text)};
}

inline ZipRecord deflated(const std::string& name, const std::string& text) {
  return {.name = name, .data = deflated(text), .size = text.size(), .crc = crc_of_text(text), .method = 8};
}

class ZipBytes {
 public:
  ZipBytes& add(const ZipRecord& record) {
    const std::uint64_t offset = bytes_.size();
    bytes_ += local_header(record) + record.data;
    directory_ += entry(record, offset);
    ++count_;
    return *this;
  }

  std::string bytes(bool is_64 = false) const {
    const std::uint64_t offset = bytes_.size(), size = directory_.size();
    std::string all = bytes_ + directory_;
    if (is_64) {
      const std::uint64_t end = all.size();
      all += number_bytes(0x06064b50u) + number_bytes<std::uint64_t>(44) + number_bytes(0x002d002du) +
             number_bytes<std::uint64_t>(0) + number_bytes(count_) + number_bytes(count_) + number_bytes(size) +
             number_bytes(offset);
      all += number_bytes(0x07064b50u) + number_bytes(0u) + number_bytes(end) + number_bytes(1u);
    }
    const auto count = static_cast<std::uint16_t>(is_64 ? 0xffff : count_);
    all += number_bytes(0x06054b50u) + number_bytes(0u) + number_bytes(count) + number_bytes(count);
    all += number_bytes(is_64 ? 0xffffffffu : static_cast<std::uint32_t>(size));
    all += number_bytes(is_64 ? 0xffffffffu : static_cast<std::uint32_t>(offset));
    return all + number_bytes<std::uint16_t>(0);
  }

 private:
  static std::string sizes(const ZipRecord& record, std::uint64_t size) {
    if (record.is_64) return number_bytes(0xffffffffu) + number_bytes(0xffffffffu);
    return number_bytes(static_cast<std::uint32_t>(record.data.size())) +
           number_bytes(static_cast<std::uint32_t>(size));
  }

  static std::string extra_64(const ZipRecord& record, std::uint64_t size) {
    if (!record.is_64) return {};
    return number_bytes<std::uint16_t>(1) + number_bytes<std::uint16_t>(16) + number_bytes(size) +
           number_bytes<std::uint64_t>(record.data.size());
  }

  static std::string local_header(const ZipRecord& record) {
    const std::string extra = extra_64(record, record.local_size) + record.local_extra;
    return number_bytes(0x04034b50u) + number_bytes<std::uint16_t>(20) + number_bytes(record.flags) +
           number_bytes(record.local_method) + number_bytes(0u) + number_bytes(record.local_crc) +
           sizes(record, record.local_size) + number_bytes(static_cast<std::uint16_t>(record.local_name.size())) +
           number_bytes(static_cast<std::uint16_t>(extra.size())) + record.local_name + extra;
  }

  static std::string entry(const ZipRecord& record, std::uint64_t offset) {
    const std::string extra = extra_64(record, record.size);
    return number_bytes(0x02014b50u) + number_bytes(0x00140014u) + number_bytes(record.flags) +
           number_bytes(record.method) + number_bytes(0u) + number_bytes(record.crc) + sizes(record, record.size) +
           number_bytes(static_cast<std::uint16_t>(record.name.size())) +
           number_bytes(static_cast<std::uint16_t>(extra.size())) + number_bytes<std::uint16_t>(0) +
           number_bytes(record.disk) + number_bytes<std::uint16_t>(0) + number_bytes(0u) +
           number_bytes(static_cast<std::uint32_t>(offset)) + record.name + extra;
  }

  std::string bytes_, directory_;
  std::uint64_t count_ = 0;
};

/// The bytes must outlive it.
inline ZipArchive open_zip(const std::string& bytes) {
  return ZipArchive(memory_bytes(std::as_bytes(std::span(bytes))));
}

}  // namespace mnq::test
