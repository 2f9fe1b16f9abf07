#include "formats/folder/output/folder_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/folder.h"
#include "base/hash.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "base/version.h"
#include "formats/folder/companion_files.h"
#include "formats/folder/folder_loaders.h"
#include "formats/folder/output/folder_publish.h"
#include "formats/folder/output/write_files.h"
#include "formats/safetensors/safetensors.h"

namespace mnq {
namespace {

using IsCancelled = std::function<bool()>;

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string target_of(const std::string& path) { return without_slash(resolve_links(without_slash(path))); }

std::string shard_mark(const std::string& hash, std::size_t shard, std::size_t count) {
  return formatted("{}:{}/{}", hash, shard + 1, count);
}

[[noreturn]] void fail_io(const std::string& path, const char* what, int error_number) {
  throw Error(Status::kIo, formatted("{}: {}: {}", path, what, std::generic_category().message(error_number)),
              "check the folder around it, its permissions and the space on the disk", path);
}

std::string hash_of(const std::function<void(const WriteText&)>& hand_over) {
  Hash hash;
  Hash::Content content(hash);
  hand_over([&](std::string_view piece) { content.add(std::as_bytes(std::span(piece))); });
  content.end();
  return hash.text();
}

std::string hash_of(const std::string& text) {
  return hash_of([&](const WriteText& write) { write(text); });
}

void make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) != 0 && (errno != EEXIST || !is_folder(path)))
    fail_io(path, "cannot be created", errno);
}

// Whole, and made by this job.
bool is_sound_shard(const std::string& path, const std::string& mark) {
  return path_exists(path) && list_safetensors(*open_bytes(path), kFolderJobKey, [](const TensorInfo&) {}) == mark;
}

// The tensors of all shards, by name: written as they come, since with 100,000 of them the text has 30 MB.
void write_index(const std::string& work, const FolderJobFile& job) {
  std::vector<std::pair<std::string, std::size_t>> places;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < job.shard_count; ++i) {
    const std::string file = shard_name(job.weights, i, job.shard_count);
    list_safetensors(*open_bytes(join_path(work, file)), kFolderJobKey, [&](const TensorInfo& info) {
      places.emplace_back(info.name, i);
      total += info.size_bytes;
    });
  }
  std::ranges::sort(places);
  write_text(join_path(work, index_name(job.weights)), [&](const WriteText& write) {
    write(formatted("{{\n  \"metadata\": {{\n    \"total_size\": {}\n  }},\n  \"weight_map\": {{", total));
    const char* before = "\n    ";
    for (const auto& [name, shard] : places) {
      write(before);
      write_quoted(name, write);
      write(formatted(": {}", Json(shard_name(job.weights, shard, job.shard_count)).dump()));
      before = ",\n    ";
    }
    write("\n  }\n}\n");
  });
}

void require_name(const std::string& path) {
  const std::string name = file_name_of(path);
  if (!name.empty() && name != "." && name != "..") return;
  throw Error(Status::kInvalidArg, formatted("{}: is no name that a folder can be given", path),
              "give the folder's own name", path);
}

// Neither could be replaced once all is made.
void require_renamable(const std::string& path) {
  struct stat here {
  }, around{};
  if (!is_folder(path)) {
    throw Error(Status::kIo, formatted("{}: is no folder", path), "choose another name for the output", path);
  }
  if (::stat(path.c_str(), &here) == 0 && ::stat(folder_of(path).c_str(), &around) == 0 &&
      here.st_dev != around.st_dev) {
    throw Error(Status::kIo, formatted("{}: is where a file system is mounted, and cannot be renamed", path),
                "name a folder in it", path);
  }
}

void require_free(const std::string& path, bool overwrite) {
  if (!path_exists(path)) return;
  require_renamable(path);
  if (!overwrite && !list_folder(path).empty()) {
    throw Error(Status::kIo, formatted("{}: is there already", path),
                "choose another name, or allow it to be replaced (overwrite=true)", path);
  }
}

// What makes the shards that are missing.
std::string advice_for_missing(const FolderJobFile& job, const std::vector<std::size_t>& missing) {
  if (job.part_count == 0) return "go on with the job (resume=true), which then makes the folder";
  std::set<std::size_t> parts;
  for (const std::size_t shard : missing) parts.insert(shard % job.part_count + 1);
  std::string names;
  for (const std::size_t part : parts) names += formatted("{}{}/{}", names.empty() ? "" : ", ", part, job.part_count);
  return "make first what is missing of the parts: " + names;
}

void require_shards(const std::string& work, const FolderJobFile& job, const IsCancelled& is_cancelled) {
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < job.shard_count; ++i) {
    if (!path_exists(join_path(work, shard_name(job.weights, i, job.shard_count)))) missing.push_back(i);
  }
  if (!missing.empty()) {
    const std::string name = shard_name(job.weights, missing.front(), job.shard_count);
    throw Error(Status::kState,
                formatted("{}: {} of {} shards are missing: {}{}", work, missing.size(), job.shard_count, name,
                          missing.size() > 1 ? " and more" : ""),
                advice_for_missing(job, missing), name);
  }
  for (std::size_t i = 0; i < job.shard_count; ++i) {
    if (is_cancelled()) throw Error(Status::kCancelled, formatted("cancelled: {} is as it was", work));
    const std::string name = shard_name(job.weights, i, job.shard_count);
    if (is_sound_shard(join_path(work, name), shard_mark(job.hash, i, job.shard_count))) continue;
    throw Error(Status::kFormat, formatted("{}: shard {} is of another job", work, name), "make that part again", name);
  }
}

// Checks the shards and writes what comes with them.
void complete(const std::string& work, const IsCancelled& is_cancelled) {
  FolderJobFile job = read_folder_job(work);
  require_shards(work, job, is_cancelled);
  if (job.shard_count > 1) write_index(work, job);
  if (!job.config.empty()) write_text(join_path(work, "config.json"), job.config);
  remove_dead_temporaries(AT_FDCWD, work.c_str());
  job.state = FolderState::kWhole;
  write_folder_job(work, job);
}

std::vector<std::string> without_empty(std::vector<std::string> notes) {
  std::erase(notes, "");
  return notes;
}

Temporary claim_folder(const std::string& path, std::string_view role) {
  Temporary claim(path, role, 0600);
  if (!claim.is_open()) fail_io(path, "cannot be created", errno);
  claim.require_alone();
  return claim;
}

}  // namespace

std::string work_folder(const std::string& path) { return target_of(path) + ".partial"; }

FolderOutput::FolderOutput(const std::string& path, const Format& format, const Companion* companion,
                           const FolderSettings& settings, std::function<bool()> is_cancelled)
    : path_(target_of(path)),
      work_(work_folder(path)),
      format_(format),
      companion_(companion),
      weights_(folder_loader(companion).weights),
      settings_(settings),
      is_cancelled_(std::move(is_cancelled)) {
  require_name(path_);
  claim_ = claim_folder(
      path_, settings.part_count > 0 ? makes_part(settings.part, settings.part_count) : std::string(kMakesFolder));
  note_ = finish_publishing(work_, path_);
  require_free(path_, settings.overwrite);
}

FolderOutput::~FolderOutput() {
  if (is_ours_ && !is_whole_ && !is_kept()) remove_work();
}

// It loses its name first: of what is half removed nothing is taken for a folder in the making.
bool FolderOutput::remove_work() const noexcept {
  return ::rename(work_.c_str(), claim_.folder().c_str()) == 0 && remove_tree(claim_.folder());
}

// Nothing is removed but what a job was making.
void FolderOutput::clear_work() {
  if (!is_ours_) {
    if (!path_exists(work_) || is_kept()) return;
    if (is_folder(work_) && list_folder(work_).empty()) return;  // make_work takes its place
    if (!settings_.overwrite) {
      throw Error(Status::kState, formatted("{}: is there: a job has not ended", work_),
                  "go on with it (resume=true), or start over (overwrite=true)", work_);
    }
    read_folder_job(work_);
  }
  if (!remove_work()) fail_io(work_, "cannot be removed", errno);
  is_ours_ = false;
}

// Under another name until its job file is in it. Owner-only where it is to replace a folder, whose permissions it gets
// at the end.
void FolderOutput::make_work() {
  if (path_exists(join_path(work_, kFolderJobFile))) return;
  const std::string& folder = claim_.folder();
  if (::mkdir(folder.c_str(), path_exists(path_) ? 0700 : 0777) != 0) fail_io(work_, "cannot be created", errno);
  try {
    std::vector<std::string> files;
    if (companion_ != nullptr)
      std::ranges::transform(companion_->files, std::back_inserter(files), &CompanionFile::name);
    write_folder_job(folder, {hash_, hash_of(job_.input), job_.shard_count, job_.shard_size, settings_.part_count,
                              job_.config, files, FolderState::kMaking, weights_});
    is_ours_ = ::rename(folder.c_str(), work_.c_str()) == 0;
    if (!is_ours_ && errno != ENOTEMPTY && errno != EEXIST) fail_io(work_, "cannot be created", errno);
  } catch (...) {
    remove_tree(folder);
    throw;
  }
  if (!is_ours_) remove_tree(folder);  // another part was first, or it is not ours
}

std::string FolderOutput::config() const {
  if (companion_ != nullptr && !companion_->config.empty()) return companion_->config;
  std::string text;
  try {
    InputFolder former(path_);
    read_config(former, text);
  } catch (const Error& error) {
    if (error.status() != Status::kNotFound) throw;  // it might say what the output would lose
    return "";
  }
  return text.empty() ? text : with_member(text, "quantization", nullptr);
}

std::optional<std::uint64_t> FolderOutput::begun_shard_size() const {
  if (!is_kept() || !path_exists(join_path(work_, kFolderJobFile))) return std::nullopt;
  return read_folder_job(work_).shard_size;
}

void FolderOutput::start(const FolderJob& job, const std::function<void(const WriteText&)>& describe) {
  job_ = job;
  hash_ = hash_of([&](const WriteText& write) {
    write(formatted("{}\n{}\n{}\n{}\n{}\n", kVersion, format_.name, job.shard_count, job.config, job.input));
    describe(write);
  });
  clear_work();
  make_work();
  const FolderJobFile begun = read_folder_job(work_);
  if (begun.input != hash_of(job.input)) {
    throw Error(
        Status::kState, formatted("{}: was begun with another input, or the input was changed since", work_),
        "give the input as it was, or remove the folder to start over; a copy of a large input must keep the times "
        "of its files (cp -a, rsync -a)",
        work_);
  }
  if (begun.hash != hash_) {
    throw Error(Status::kState, formatted("{}: is of another job: of other settings or another version", work_),
                "give the same settings as before, or remove it", work_);
  }
}

bool FolderOutput::is_mine(std::size_t shard) const {
  return settings_.part_count == 0 || shard % settings_.part_count == settings_.part;
}

bool FolderOutput::is_done(std::size_t shard) const {
  if (!is_kept()) return false;
  try {
    return is_sound_shard(join_path(work_, shard_name(weights_, shard, job_.shard_count)), mark(shard).second);
  } catch (const Error&) {
    return false;  // made again
  }
}

std::pair<std::string, std::string> FolderOutput::mark(std::size_t shard) const {
  return {std::string(kFolderJobKey), shard_mark(hash_, shard, job_.shard_count)};
}

std::pair<std::string, std::string> FolderOutput::mark_like(std::size_t shard, std::size_t shard_count) {
  return {std::string(kFolderJobKey), shard_mark(hash_of(""), shard, shard_count)};
}

std::unique_ptr<TensorSink> FolderOutput::open_shard(std::size_t shard, const SinkRequest& request) {
  const std::string path = join_path(work_, shard_name(weights_, shard, job_.shard_count));
  return format_.open_sink(request, file_bytes(path, true, is_cancelled_, Claim::kHeld));
}

void FolderOutput::copy_companion_files() const {
  if (companion_ == nullptr) return;
  for (const auto& [name, bytes] : companion_->files) {
    for (std::size_t slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
      make_folder(join_path(work_, name.substr(0, slash)));
    }
    copy_file(*bytes, join_path(work_, name), is_cancelled_);
  }
}

std::vector<std::string> FolderOutput::finish() {
  copy_companion_files();
  if (settings_.part_count > 0) return without_empty({note_});
  complete(work_, is_cancelled_);
  is_whole_ = true;
  return without_empty({note_, publish_folder(work_, path_, settings_.overwrite)});
}

std::vector<std::string> merge_folder(const std::string& path, bool overwrite,
                                      const std::function<bool()>& is_cancelled) {
  const std::string target = target_of(path), work = work_folder(path);
  require_name(target);
  const Temporary claim = claim_folder(target, kMakesFolder);
  const std::string note = finish_publishing(work, target);
  if (!is_folder(work)) {
    throw Error(Status::kNotFound, formatted("{}: is not there: no part of {} was made", work, target),
                "make the parts first: quantize IN -o OUT --shard 1/2, and so on", work);
  }
  require_free(target, overwrite);
  complete(work, is_cancelled);
  return without_empty({note, publish_folder(work, target, overwrite)});
}

}  // namespace mnq
