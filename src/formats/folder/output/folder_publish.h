// How a folder that is whole gets its name, in the place of an older one or of none. What is the user's own in the
// older one is in the new one before that has the name: a run that is killed in between leaves it where it was or where
// it belongs. The job file says how far it came, and the next run does the rest.
#pragma once

#include <string>
#include <string_view>

namespace mnq {

/// Whether a checkpoint's folder owns a file of this name, so that a new checkpoint supersedes it: weights as
/// transformers, diffusers and we call them ("model-00001-of-00003.safetensors", "pytorch_model.bin"), their index, and
/// our job file.
bool is_checkpoint_file(std::string_view name) noexcept;

/// Renames `work`, whose job file says that it is whole, to `path`. What lies there is replaced only where that is
/// asked: its checkpoint is removed, and so is what the new folder has, too; all else goes into the new folder, by hard
/// links first and as copies where there are none. The new folder and its files get the permissions of what they
/// replace. Links are moved or removed, never followed. Returns what is to be said of it; may be empty. Errors: kIo,
/// which leaves `path` as it was, and `work` to be published again.
std::string publish_folder(const std::string& work, const std::string& path, bool overwrite);

/// Ends what a killed publish_folder of these two began. Returns as that.
std::string finish_publishing(const std::string& work, const std::string& path);

}  // namespace mnq
