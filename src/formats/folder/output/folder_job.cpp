#include "formats/folder/output/folder_job.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "containers/read_text.h"
#include "formats/folder/output/write_files.h"

namespace mnq {
namespace {

constexpr std::array<std::string_view, 3> kStates{"making", "whole", "set aside"};

FolderState state_named(const std::string& name) {
  const auto found = std::ranges::find(kStates, name);
  if (found == kStates.end()) throw Error(Status::kFormat, formatted("{} is no state of a folder", name));
  return static_cast<FolderState>(found - kStates.begin());
}

std::string job_text(const FolderJobFile& job) {
  return Json{{"version", 2},
              {"hash", job.hash},
              {"input", job.input},
              {"shards", job.shard_count},
              {"max_shard_size", job.shard_size},
              {"parts", job.part_count},
              {"config", job.config},
              {"files", job.files},
              {"weights", job.weights},
              {"state", std::string(kStates[static_cast<std::size_t>(job.state)])}}
             .dump() +
         "\n";
}

FolderJobFile parse_job(const std::string& folder) {
  const auto bytes = open_bytes(join_path(folder, kFolderJobFile));
  const Json json = parse_json(read_text(*bytes, 0, bytes->size()));
  FolderJobFile job{json["hash"].text(),
                    json["input"].text(),
                    json["shards"].get<std::size_t>(),
                    json["max_shard_size"].get<std::uint64_t>(),
                    json["parts"].get<std::uint32_t>(),
                    json["config"].text(),
                    {},
                    state_named(json["state"].text()),
                    json["weights"].text()};
  for (const Json& name : json["files"]) job.files.push_back(name.text());
  // It becomes a part of names: of files in the folder, and nowhere else.
  if (job.weights.empty() || job.weights.find_first_of(std::string_view("/\0", 2)) != job.weights.npos) {
    throw Error(Status::kFormat, "its weights have no plain name");
  }
  return job;
}

}  // namespace

std::string shard_name(const std::string& weights, std::size_t shard, std::size_t count) {
  return count == 1 ? weights + ".safetensors" : formatted("{}-{:05}-of-{:05}.safetensors", weights, shard + 1, count);
}

std::string index_name(const std::string& weights) { return weights + ".safetensors.index.json"; }

std::vector<std::string> names_of_files(const FolderJobFile& job) {
  std::vector<std::string> names = job.files;
  for (std::size_t i = 0; i < job.shard_count; ++i) names.push_back(shard_name(job.weights, i, job.shard_count));
  if (job.shard_count > 1) names.push_back(index_name(job.weights));
  if (!job.config.empty()) names.push_back("config.json");
  names.push_back(kFolderJobFile);
  return names;
}

FolderJobFile read_folder_job(const std::string& folder) {
  try {
    return parse_job(folder);
  } catch (const Error& error) {
    throw Error(Status::kState,
                formatted("{}: is there, but is no folder that a job was making: {}", folder, error.message()),
                "remove it, or choose another output", folder);
  }
}

std::optional<FolderJobFile> find_folder_job(const std::string& folder) {
  if (!path_exists(join_path(folder, kFolderJobFile))) return std::nullopt;
  try {
    return parse_job(folder);
  } catch (const Error&) {
    return std::nullopt;
  }
}

void write_folder_job(const std::string& folder, const FolderJobFile& job) {
  write_text(join_path(folder, kFolderJobFile), job_text(job));
}

}  // namespace mnq
