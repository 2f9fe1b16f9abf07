// Which files of a folder hold its weights.
#pragma once

#include <string>
#include <vector>

#include "base/files/folder.h"
#include "base/files/input_folder.h"

namespace mnq {

inline constexpr std::string_view kIndexEnding = ".index.json";

/// What of a folder is opened: one file, an index, or shards without one. Errors: kUnsupported for a folder without
/// weights; kFormat where shards are missing.
std::vector<std::string> find_weights(const std::string& path, const std::vector<FolderEntry>& entries);

}  // namespace mnq
