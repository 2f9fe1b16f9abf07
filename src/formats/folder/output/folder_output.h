// A folder as output: shards, their index, config.json and what else of the source goes with it. All is made in
// PATH.partial, where finished shards stay when a run ends early and may be resumed; the folder gets its name once it
// is whole. A PATH that is a symbolic link stays one: the folder it names is made or replaced. PATH.partial is never
// there without its job file: it gets its name with it, and loses it before it is removed. A run claims PATH with a
// temporary beside it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files/temporary.h"
#include "base/text/json_text.h"
#include "formats/folder/output/folder_job.h"
#include "formats/format.h"

namespace mnq {

/// The key of the metadata of a folder's shards that says which job made them.
inline constexpr std::string_view kFolderJobKey = "mono_quant_job";

/// Where the folder PATH is made.
std::string work_folder(const std::string& path);

struct FolderSettings {
  bool overwrite = false;
  bool is_resumed = false;       ///< goes on where PATH.partial ends
  std::uint32_t part = 0;        ///< of part_count; the shards i with i % part_count == part are made
  std::uint32_t part_count = 0;  ///< 0: all of them, and the folder is made whole
};

/// What a folder is to become: the same text for every part of one job.
struct FolderJob {
  std::string input;  ///< what it is known by again, as text
  std::size_t shard_count = 1;
  std::uint64_t shard_size = 0;  ///< the most bytes of a shard by which they were cut
  std::string config;            ///< of config.json; empty: none
};

class FolderOutput {
 public:
  /// Ends what a killed run began to publish. Errors: kIo where PATH is there already and may not be replaced, or is no
  /// folder that can be renamed; kInvalidArg where it ends in . or ..; kState where another run is at work on it.
  FolderOutput(const std::string& path, const Format& format, const Companion* companion,
               const FolderSettings& settings, std::function<bool()> is_cancelled);

  /// Removes what this run made, unless it is resumable.
  ~FolderOutput();
  FolderOutput(const FolderOutput&) = delete;
  FolderOutput& operator=(const FolderOutput&) = delete;

  const FolderSettings& settings() const { return settings_; }
  const Format& format() const { return format_; }
  const Companion* companion() const { return companion_; }

  /// What config.json is made from: that of the source, else that of the folder that is replaced, whose other files
  /// stay, too. Empty: there is none. Errors: kFormat, kIo of one that cannot be read.
  std::string config() const;

  /// PATH.partial, and whether what is done stays there when a run ends early.
  const std::string& work() const { return work_; }
  bool is_kept() const { return settings_.is_resumed || settings_.part_count > 0; }

  /// The shard_size of the job that this one goes on with; empty where there is none.
  std::optional<std::uint64_t> begun_shard_size() const;

  /// Makes PATH.partial, or finds it. Errors: kIo; kState where it is of another job or of none, or there and neither
  /// resumed nor replaced.
  /// describe: hands over settings and tensors, as text.
  void start(const FolderJob& job, const std::function<void(const WriteText&)>& describe);

  /// Whether this run makes that shard, and whether it is there already, whole and of this job.
  bool is_mine(std::size_t shard) const;
  bool is_done(std::size_t shard) const;

  /// Errors: as Format::open_sink.
  std::unique_ptr<TensorSink> open_shard(std::size_t shard, const SinkRequest& request);

  /// What the metadata of that shard says of the job.
  std::pair<std::string, std::string> mark(std::size_t shard) const;

  /// A mark of the same length, before the job is known.
  static std::pair<std::string, std::string> mark_like(std::size_t shard, std::size_t shard_count);

  /// After the shards: of a part, copies the other files; of the whole also as merge_folder. Returns what is to be said
  /// of it.
  std::vector<std::string> finish();

 private:
  void clear_work();
  void make_work();
  bool remove_work() const noexcept;
  void copy_companion_files() const;

  std::string path_;
  std::string work_;
  const Format& format_;
  const Companion* companion_;
  std::string weights_;  // the name of the files with the weights without its ending
  FolderSettings settings_;
  std::function<bool()> is_cancelled_;
  FolderJob job_;
  std::string hash_;
  Temporary claim_;
  std::string note_;       // of what an earlier run left; may be empty
  bool is_ours_ = false;   // made by this run
  bool is_whole_ = false;  // all is made: PATH.partial is not ours to remove any more, and may be what was replaced
};

/// Makes PATH of PATH.partial, whose shards are all there: checks them, writes the index and config.json, and gives the
/// folder its name. What it replaces: see publish_folder; what is to be said of that is returned. Errors: kNotFound
/// where there is none; kState naming the shard that is missing, or who is at work on it; kFormat for one that is
/// damaged or of another job; kIo; kCancelled.
std::vector<std::string> merge_folder(
    const std::string& path, bool overwrite, const std::function<bool()>& is_cancelled = [] { return false; });

}  // namespace mnq
