#include "formats/folder_output.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "base/version.h"
#include "formats/safetensors.h"
#include "formats/sharded_source.h"

namespace mnq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJobFile = ".mono_quant_job.json";

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string work_folder(const std::string& path) { return path + ".partial"; }

// FNV-1a, 64 bits.
std::string hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return formatted("{:016x}", hash);
}

std::string shard_name(std::size_t shard, std::size_t count) {
  return count == 1 ? "model.safetensors" : formatted("model-{:05}-of-{:05}.safetensors", shard + 1, count);
}

std::string shard_mark(const std::string& hash, std::size_t shard, std::size_t count) {
  return formatted("{}:{}/{}", hash, shard + 1, count);
}

[[noreturn]] void fail_io(const std::string& path, const char* what, const std::error_code& error) {
  throw Error(Status::kIo, formatted("{}: {}: {}", path, what, error.message()),
              "check the folder around it, its permissions and the space on the disk", path);
}

void write_text(const fs::path& path, const std::string& text, bool overwrite) {
  const auto sink = file_bytes(path.string(), overwrite, [] { return false; })(text.size());
  sink->write(0, std::as_bytes(std::span(text)));
  sink->commit();
}

std::string read_text(const fs::path& path) {
  const auto bytes = open_bytes(path.string());
  std::string text(bytes->size(), '\0');
  bytes->read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

// What the job file says.
struct JobFile {
  std::string hash;
  std::size_t shard_count = 0;
  std::string config;
};

std::string job_text(const JobFile& job) {
  return Json{{"version", 1}, {"hash", job.hash}, {"shards", job.shard_count}, {"config", job.config}}.dump() + "\n";
}

JobFile read_job(const std::string& work) {
  const std::string path = (fs::path(work) / kJobFile).string();
  try {
    const Json json = parse_json(read_text(path));
    return {json["hash"].text(), json["shards"].get<std::size_t>(), json["config"].text()};
  } catch (const Error& error) {
    throw Error(Status::kState,
                formatted("{}: is there, but is no folder that a job was making: {}", work, error.message()),
                "remove it, or choose another output", work);
  }
}

// Whole, and made by this job.
bool is_sound_shard(const std::string& path, const std::string& mark) {
  if (!fs::exists(path)) return false;
  const auto source = open_safetensors_source(open_bytes(path), {});
  const auto found = source->metadata().find(std::string(kFolderJobKey));
  return found != source->metadata().end() && found->second == mark;
}

// The tensors of all shards, by name.
std::string index_json(const std::string& work, std::size_t shard_count) {
  std::map<std::string, std::string> places;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < shard_count; ++i) {
    const std::string file = shard_name(i, shard_count);
    const auto source = open_safetensors_source(open_bytes((fs::path(work) / file).string()), {});
    for (const TensorInfo& info : source->tensors()) {
      places.emplace(info.name, file);
      total += info.size_bytes;
    }
  }
  Json map = Json::object();
  for (auto& [name, file] : places) map.add(name, file);
  return Json{{"metadata", Json{{"total_size", total}}}, {"weight_map", std::move(map)}}.dump_lines() + "\n";
}

// What runs that were killed had not finished.
void remove_leftovers(const std::string& work) {
  for (const fs::directory_entry& entry : fs::directory_iterator(work)) {
    const std::string name = entry.path().filename().string();
    std::error_code error;
    if (name.starts_with(".model") && name.ends_with(".tmp")) fs::remove(entry.path(), error);
  }
}

bool is_free(const std::string& path) {
  std::error_code error;
  return !fs::exists(path, error) || (fs::is_directory(path, error) && fs::is_empty(path, error));
}

// What a replaced folder held besides weights and what the new one has goes into the new one.
void carry_over(const fs::path& from, const fs::path& to) {
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const fs::path target = to / entry.path().filename();
    const bool is_stale =
        !entry.is_directory() && (is_weight_file(entry.path().filename().string()) || fs::exists(target));
    if (is_stale) {
      fs::remove(entry.path());
    } else if (!fs::exists(target)) {
      fs::rename(entry.path(), target);
    } else {
      carry_over(entry.path(), target);
    }
  }
  fs::remove(from);
}

void publish(const std::string& work, const std::string& path) {
  if (is_free(path)) {
    if (::rename(work.c_str(), path.c_str()) != 0) {
      fail_io(path, "cannot be put in place", {errno, std::generic_category()});
    }
    return;
  }
  if (::renameat2(AT_FDCWD, work.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0) {
    fail_io(path, "cannot be replaced", {errno, std::generic_category()});
  }
  try {
    carry_over(work, path);
  } catch (const fs::filesystem_error& error) {
    fail_io(work, "holds what was replaced, and cannot be removed", error.code());
  }
}

void require_free(const std::string& path, bool overwrite) {
  if (is_free(path)) return;
  if (!fs::is_directory(path)) {
    throw Error(Status::kIo, formatted("{}: is no folder", path), "choose another name for the output", path);
  }
  if (!overwrite) {
    throw Error(Status::kIo, formatted("{}: is there already", path),
                "choose another name, or allow it to be replaced (overwrite=true)", path);
  }
}

}  // namespace

FolderOutput::FolderOutput(const std::string& path, const Format& format, const Companion* companion,
                           const FolderSettings& settings, std::function<bool()> is_cancelled)
    : path_(without_slash(path)),
      work_(work_folder(path_)),
      format_(format),
      companion_(companion),
      settings_(settings),
      is_cancelled_(std::move(is_cancelled)) {
  require_free(path_, settings.overwrite);
}

FolderOutput::~FolderOutput() {
  if (!is_ours_ || is_finished_ || settings_.is_resumed || settings_.part_count > 0) return;
  std::error_code error;
  fs::remove_all(work_, error);
}

void FolderOutput::start(const FolderJob& job) {
  job_ = job;
  hash_ =
      hash_of(formatted("{}\n{}\n{}\n{}\n{}", kVersion, format_.name, job.shard_count, job.config, job.description));
  const JobFile file{hash_, job.shard_count, job.config};
  std::error_code error;
  const bool may_share = settings_.is_resumed || settings_.part_count > 0;
  if (is_ours_ || (fs::exists(work_, error) && !may_share)) {
    if (!is_ours_ && !settings_.overwrite) {
      throw Error(Status::kState, formatted("{}: is there: a job has not ended, or is under way", work_),
                  "go on with it (resume=true), or start over (overwrite=true)", work_);
    }
    if (!is_ours_) read_job(work_);  // nothing else is removed
    fs::remove_all(work_, error);
    if (error) fail_io(work_, "cannot be removed", error);
    is_ours_ = false;
  }
  const bool is_new = fs::create_directory(work_, error);
  if (error) fail_io(work_, "cannot be created", error);
  is_ours_ = is_new;
  const fs::path job_file = fs::path(work_) / kJobFile;
  if (is_new || !fs::exists(job_file)) {
    try {
      return write_text(job_file, job_text(file), false);
    } catch (const Error&) {
      if (!may_share || !fs::exists(job_file)) throw;  // another part was first
    }
  }
  if (read_job(work_).hash != hash_) {
    throw Error(Status::kState, formatted("{}: is of another job: other settings, tensors or version", work_),
                "give the same input and settings as before, or remove it", work_);
  }
}

bool FolderOutput::is_mine(std::size_t shard) const {
  return settings_.part_count == 0 || shard % settings_.part_count == settings_.part;
}

bool FolderOutput::is_done(std::size_t shard) const {
  if (!settings_.is_resumed && settings_.part_count == 0) return false;
  const std::string path = (fs::path(work_) / shard_name(shard, job_.shard_count)).string();
  try {
    return is_sound_shard(path, mark(shard).second);
  } catch (const Error&) {
    return false;  // made again
  }
}

std::pair<std::string, std::string> FolderOutput::mark(std::size_t shard) const {
  return {std::string(kFolderJobKey), shard_mark(hash_, shard, job_.shard_count)};
}

std::unique_ptr<TensorSink> FolderOutput::open_shard(std::size_t shard, const std::vector<TensorInfo>& tensors,
                                                     Metadata metadata) {
  const std::string path = (fs::path(work_) / shard_name(shard, job_.shard_count)).string();
  return format_.open_sink({tensors, metadata, companion_}, file_bytes(path, true, is_cancelled_));
}

void FolderOutput::copy_small_files() const {
  if (companion_ == nullptr) return;
  for (const std::string& name : companion_->files) {
    const fs::path from = fs::path(companion_->folder) / name, to = fs::path(work_) / name;
    std::error_code error;
    fs::create_directories(to.parent_path(), error);
    if (!error) fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    if (error) fail_io(from.string(), "cannot be copied", error);
  }
}

void FolderOutput::finish() {
  copy_small_files();
  if (settings_.part_count == 0) merge_folder(path_, settings_.overwrite);
  is_finished_ = true;
}

void merge_folder(const std::string& path, bool overwrite) {
  const std::string target = without_slash(path), work = work_folder(target);
  std::error_code error;
  if (!fs::is_directory(work, error)) {
    throw Error(Status::kNotFound, formatted("{}: is not there: no part of {} was made", work, target),
                "make the parts first: quantize IN -o OUT --shard 1/2, and so on", work);
  }
  require_free(target, overwrite);
  const JobFile job = read_job(work);
  for (std::size_t i = 0; i < job.shard_count; ++i) {
    const std::string name = shard_name(i, job.shard_count);
    const std::string file = (fs::path(work) / name).string();
    if (!fs::exists(file)) {
      throw Error(Status::kState, formatted("{}: shard {} is missing", work, name),
                  formatted("make the part that it belongs to: shard {} of {}", i + 1, job.shard_count), name);
    }
    if (!is_sound_shard(file, shard_mark(job.hash, i, job.shard_count))) {
      throw Error(Status::kFormat, formatted("{}: shard {} is of another job", work, name), "make that part again",
                  name);
    }
  }
  if (job.shard_count > 1) {
    write_text(fs::path(work) / "model.safetensors.index.json", index_json(work, job.shard_count), true);
  }
  if (!job.config.empty()) write_text(fs::path(work) / "config.json", job.config, true);
  remove_leftovers(work);
  fs::remove(fs::path(work) / kJobFile, error);
  publish(work, target);
}

}  // namespace mnq
