// Folders and paths by system calls: std::filesystem's iterators and remove_all end the process where memory runs out
// (GCC 12), and follow names where it matters what lies there.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mnq {

/// Paths as text.
std::string join_path(const std::string& folder, const std::string& name);
std::string file_name_of(const std::string& path);  ///< what follows the last slash
std::string folder_of(const std::string& path);     ///< what comes before it; "." where there is none

/// Links are followed. Errors: kIo where the system does not say it.
bool path_exists(const std::string& path);
bool is_folder(const std::string& path);

enum class EntryKind { kNone, kFile, kFolder, kOther };

/// What a name in an open folder is, or a path with AT_FDCWD. Links are not followed: they are kOther.
EntryKind kind_of(int folder, const char* name) noexcept;

/// Goes over the names in a folder, needing no memory of C++. Links are not followed.
class FolderReader {
 public:
  /// A name in an open folder, or a path with AT_FDCWD.
  FolderReader(int parent, const char* name) noexcept;
  ~FolderReader();
  FolderReader(const FolderReader&) = delete;
  FolderReader& operator=(const FolderReader&) = delete;

  bool is_open() const { return folder_ != nullptr; }
  int fd() const { return ::dirfd(folder_); }

  /// All but . and ..; null at the end, where it is not open, and where the system fails: then error() is not 0.
  const char* next() noexcept;
  int error() const { return error_; }

 private:
  DIR* folder_ = nullptr;
  int error_ = 0;
};

struct FolderEntry {
  std::string name;
  bool is_link = false;
  bool is_folder = false;  ///< of a link: of what it names
  bool is_file = false;
  bool is_dangling = false;  ///< a link to nothing
  std::uint64_t size_bytes = 0;
};

/// By name. A link to the folder is followed. Errors: kIo, kNotFound.
std::vector<FolderEntry> list_folder(const std::string& path);

/// Removes a file, a link or a folder with all that is in it. False where something stays: errno says why.
bool remove_tree(const std::string& path) noexcept;
bool remove_tree_at(int folder, const char* name) noexcept;

/// Makes what was created, renamed or removed in a folder outlast a power cut; where that cannot be, it does nothing.
void sync_folder(const std::string& path) noexcept;

}  // namespace mnq
