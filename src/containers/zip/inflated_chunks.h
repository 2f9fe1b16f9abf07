// Deflated records read by position. Deflate goes one way only, so a record is inflated in chunks, some of which are
// kept for the pieces that are asked for next; what is behind is reached from the nearest of a few states of the
// inflater that were kept on the way. Nothing is written to disk, and nothing is held that grows with a record: 40 MiB
// for an archive.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "containers/zip/zip_archive.h"

namespace mnq {

class InflatedChunks {
 public:
  /// Takes what was inflated of a record, once or more.
  using Inflated = std::function<void(std::uint64_t offset, std::span<const std::byte> bytes)>;

  InflatedChunks(std::shared_ptr<const ByteSource> bytes, std::string title);
  ~InflatedChunks();

  /// From any thread. The entry stands for the record by its address. Errors: kFormat where the record is damaged; what
  /// inflated throws.
  void read(const ZipEntry& entry, std::uint64_t offset, std::span<std::byte> into, const Inflated& inflated);

 private:
  struct Chunk;
  class Stream;

  std::shared_ptr<Chunk> chunk_at(const ZipEntry& entry, std::uint64_t index);
  std::shared_ptr<Stream> stream_of(const ZipEntry& entry);

  const std::shared_ptr<const ByteSource> bytes_;
  const std::string title_;
  std::mutex mutex_;
  std::list<std::shared_ptr<Chunk>> chunks_;    // used last: first
  std::list<std::shared_ptr<Stream>> streams_;  // likewise
};

}  // namespace mnq
