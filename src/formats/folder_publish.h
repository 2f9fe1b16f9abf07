// How a folder that is whole gets its name, in the place of an older one or of none.
#pragma once

#include <string>
#include <string_view>

namespace mnq {

/// Whether a checkpoint's folder owns a file of this name, so that a new checkpoint supersedes it: weights as transformers
/// and we call them ("model-00001-of-00003.safetensors", "pytorch_model.bin"), their index, and our job file.
bool is_checkpoint_file(std::string_view name) noexcept;

/// Renames `work` to `path`. What lies there is replaced only where that is asked: its checkpoint is removed, and so is what
/// the new folder has, too; all else is moved into the new folder. Links are moved or removed, never followed. Returns the
/// folder where there is left what could not be moved; empty: nothing. Errors: kIo, which leaves `work` and `path` as they were.
std::string publish_folder(const std::string& work, const std::string& path, bool overwrite);

}  // namespace mnq
