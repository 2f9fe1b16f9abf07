// What a file is that no format recognises: most often not the file that was meant.
#pragma once

#include <string>
#include <vector>

#include "base/files/byte_stream.h"
#include "base/files/folder.h"

namespace mnq {

/// Says what the bytes look like, and what to do: a git-LFS pointer, a page with an error, an archive, another
/// framework's file. others: advice where they look like nothing. Errors: kFormat where they are no model, kUnsupported
/// where they may hold one.
[[noreturn]] void refuse_unknown(const ByteSource& bytes, const std::string& others);

/// Refuses what a format would take for a damaged file of its own: a part of a DCP checkpoint is PyTorch's archives,
/// one after the other. Errors: kUnsupported.
void refuse_part(const ByteSource& bytes);

/// Says of a folder without weights that are read what it is, and what to do. Errors: kUnsupported.
[[noreturn]] void refuse_folder(const std::string& path, const std::vector<FolderEntry>& entries);

/// Whether it can only be read as safetensors, which has no magic number: one that is cut off or damaged.
bool may_be_safetensors(const ByteSource& bytes);

}  // namespace mnq
