// Records of a ZIP archive as bytes by position, for readers that take a large record piece by piece: deflated ones are
// inflated on the way, and of each record that has a checksum it is compared once every byte has been read.
#pragma once

#include <memory>
#include <string>

#include "containers/zip/zip_archive.h"

namespace mnq {

class ZipRecords {
 public:
  ZipRecords(std::shared_ptr<const ByteSource> bytes, const std::string& title);

  /// May outlive this. read and view throw kFormat, naming the record, where it is damaged; path, size, place and stamp
  /// are the record's archive's, but for size.
  std::shared_ptr<const ByteSource> open(const ZipEntry& entry) const;

 private:
  struct Archive;

  std::shared_ptr<const Archive> archive_;  // of all records: a checkpoint of 100,000 tensors has as many
};

}  // namespace mnq
