// ZIP archives of stored records whose sizes are known from the start and whose data comes in pieces, in any order.
// Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/files/byte_stream.h"

namespace mnq {

class ZipWriter {
 public:
  /// The index of a record of that size, whose data will start at a multiple of 64 bytes. Before open().
  std::size_t add(std::string name, std::uint64_t size);

  /// Makes the archive's place, its size known.
  void open(const OpenByteSink& open);

  /// A piece of a record; from any thread, each byte once.
  void write(std::size_t record, std::uint64_t offset, std::span<const std::byte> bytes);
  void write(std::size_t record, std::string_view text);

  /// Writes headers and directory, and makes it real. Errors: kInternal where a record is not complete; as ByteSink.
  void commit();

 private:
  struct Piece {
    std::uint64_t offset;
    std::uint64_t size;
    std::uint32_t crc;
  };
  struct Record {
    std::string name;
    std::uint64_t size;
    std::uint64_t header_offset;
    std::uint64_t data_offset;
    std::vector<Piece> pieces;
  };

  std::string directory(const std::vector<std::uint32_t>& crcs) const;
  static std::uint32_t crc_of(Record& record);

  std::vector<Record> records_;
  std::uint64_t end_ = 0;
  std::unique_ptr<ByteSink> sink_;
  std::mutex mutex_;
};

}  // namespace mnq
