// The checksum of a record that is read in pieces, in any order, from any thread, some of them twice: each byte counts
// once, and when the last one has been read the sum is known.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <vector>

namespace mnq {

class StreamedChecksum {
 public:
  explicit StreamedChecksum(std::uint64_t size) : size_(size) {}

  /// Takes bytes of the record. True, once, where they were the last that were missing: then crc() is the record's.
  bool add(std::uint64_t offset, std::span<const std::byte> bytes);

  std::uint32_t crc() const { return crc_; }

 private:
  struct Piece {
    std::uint64_t end = 0;
    std::uint32_t crc = 0;
  };
  struct Range {
    std::uint64_t begin = 0, end = 0;
  };
  using Pieces = std::map<std::uint64_t, Piece>;  // by where they begin; none touch

  std::vector<Range> missing(Range wanted) const;
  void insert(Range range, std::uint32_t crc);

  const std::uint64_t size_;
  std::uint32_t crc_ = 0;
  std::atomic<bool> is_whole_{false};
  std::mutex mutex_;
  Pieces pieces_;
};

}  // namespace mnq
