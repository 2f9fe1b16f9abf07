// ZIP archives of stored records whose sizes are known from the start and whose data comes in pieces, in any order.
// Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/text/json_text.h"

namespace mnq {

class ZipWriter {
 public:
  /// The index of a record of that size, whose data will start at a multiple of 64 bytes. Before open().
  std::size_t add(std::string_view name, std::uint64_t size);

  /// Makes the archive's place, its size known.
  void open(const OpenByteSink& open);

  /// A piece of a record; from any thread, each byte once.
  void write(std::size_t record, std::uint64_t offset, std::span<const std::byte> bytes);
  void write(std::size_t record, std::string_view text);

  /// Writes headers and directory, and makes it real. Errors: kInternal where a record is not complete; as ByteSink.
  void commit();

 private:
  struct Record {
    std::uint64_t name_end = 0;  // in names_; it starts where the name before it ends
    std::uint64_t size = 0;
    std::uint64_t data_offset = 0;
    std::uint64_t summed = 0;  // so many bytes from the start are in the checksum
    std::uint32_t crc = 0;

    std::uint64_t end() const { return data_offset + size; }
    void append(std::uint64_t bytes, std::uint32_t crc_of_bytes);
  };
  struct Piece {
    std::uint64_t size;
    std::uint32_t crc;
  };
  using Pieces = std::map<std::uint64_t, Piece>;  // by their offsets

  std::string_view name(std::size_t record) const;
  std::uint64_t header_offset(std::size_t record) const { return record == 0 ? 0 : records_[record - 1].end(); }
  void add_piece(std::size_t record, std::uint64_t offset, const Piece& piece);
  void require_whole(std::size_t record) const;
  std::string local_header(std::size_t record) const;
  std::string directory_entry(std::size_t record) const;
  std::string directory_end(std::uint64_t entries_size) const;
  void hand_over_directory(const WriteText& write) const;

  std::vector<Record> records_;
  std::string names_;  // of all records
  std::uint64_t end_ = 0;
  std::unique_ptr<ByteSink> sink_;
  std::mutex mutex_;
  std::map<std::size_t, Pieces> early_;  // of each record what came before the bytes in front of it
};

}  // namespace mnq
