// A folder that files are read from by their names. A link in it may name anything on the machine, and whoever made the
// folder may be a stranger: what is read must lie in the folder. One exception is common: in a Hugging Face cache the
// files of a snapshot (models--X/snapshots/REVISION) are links to models--X/blobs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/files/folder.h"

namespace mnq {

class FilePool;

class InputFolder {
 public:
  /// Errors: kNotFound, kIo.
  explicit InputFolder(std::string path);

  const std::string& path() const { return path_; }

  /// What is in it, or in a folder below. Errors: as list_folder.
  std::vector<FolderEntry> list(const std::string& below = {}) const;

  /// Whether there is something of that name, be it a link to nothing. Errors: kIo.
  bool has(const std::string& name) const;

  /// Errors: as open_bytes; kIo for a link that leads out of the folder.
  std::shared_ptr<const ByteSource> open(const std::string& name);

  /// Null where has() is false, or where the link leads out.
  std::shared_ptr<const ByteSource> open_if_there(const std::string& name);
  std::shared_ptr<const ByteSource> open_inside(const std::string& name);

  /// All that was opened.
  const std::vector<std::shared_ptr<const ByteSource>>& opened() const { return opened_; }

 private:
  std::string path_;
  std::string real_path_;
  std::string blobs_;  // of the cache it lies in; empty: none
  std::shared_ptr<FilePool> pool_;
  std::vector<std::shared_ptr<const ByteSource>> opened_;
};

}  // namespace mnq
