// Records of a ZIP archive as bytes by position, for readers that take a large record piece by piece: deflated ones are
// inflated on the way, and of each record that has a checksum it is compared once every byte has been read.
#pragma once

#include <memory>

#include "containers/zip/inflated_chunks.h"
#include "containers/zip/zip_archive.h"

namespace mnq {

class ZipRecords {
 public:
  ZipRecords(std::shared_ptr<const ByteSource> bytes, const std::string& title)
      : bytes_(std::move(bytes)), inflated_(std::make_shared<InflatedChunks>(bytes_, title)), title_(title) {}

  /// May outlive this. read and view throw kFormat, naming the record, where it is damaged; path, size, place and stamp
  /// are the record's archive's, but for size.
  std::shared_ptr<const ByteSource> open(const ZipEntry& entry) const;

 private:
  std::shared_ptr<const ByteSource> bytes_;
  std::shared_ptr<InflatedChunks> inflated_;
  std::string title_;
};

}  // namespace mnq
