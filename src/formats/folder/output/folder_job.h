// The file by which a folder in the making is known: whose it is, what belongs to it, and how far it has come. It goes
// into the folder before the folder has its name, and out of it as the last thing that is done.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mnq {

inline constexpr const char* kFolderJobFile = ".mono_quant_job.json";

/// kMaking    shards are missing, or may be
/// kWhole     it is complete, and about to get its name or has it just now
/// kSetAside  as kWhole; what it replaces has been given the name of set_aside(), or is about to
enum class FolderState { kMaking, kWhole, kSetAside };

struct FolderJobFile {
  std::string hash;   ///< of all that decides its bytes
  std::string input;  ///< a hash, too, of what it is known by again
  std::size_t shard_count = 0;
  std::uint64_t shard_size = 0;    ///< the most bytes of a shard by which they were cut
  std::uint32_t part_count = 0;    ///< of the run that made the folder
  std::string config;              ///< of config.json; empty: none
  std::vector<std::string> files;  ///< of the input, which are carried on
  FolderState state = FolderState::kMaking;
  std::string weights = "model";  ///< what the files with the weights are called without their ending
};

std::string shard_name(const std::string& weights, std::size_t shard, std::size_t count);
std::string index_name(const std::string& weights);

/// Of all files that the job makes in its folder.
std::vector<std::string> names_of_files(const FolderJobFile& job);

/// Errors: kState where there is none, or none that can be read.
FolderJobFile read_folder_job(const std::string& folder);
std::optional<FolderJobFile> find_folder_job(const std::string& folder);

/// Errors: kIo.
void write_folder_job(const std::string& folder, const FolderJobFile& job);

}  // namespace mnq
