#include "formats/folder/sharded_source.h"

#include <set>
#include <unordered_set>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/text/format.h"
#include "containers/archive_error.h"
#include "plan/own_metadata.h"

namespace mnq {
namespace {

// Of any key the first one; where shards say different things, that is said.
Metadata merge_metadata(const Shards& shards, std::vector<std::string>& remarks) {
  Metadata merged;
  std::set<std::string> differing;
  for (const auto& shard : shards) {
    for (const auto& [key, value] : shard->metadata()) {
      if (merged.emplace(key, value).first->second != value) differing.insert(shown(key));
    }
  }
  if (!differing.empty()) {
    remarks.push_back(formatted("metadata that differs from shard to shard is the first one's: {}",
                                joined({differing.begin(), differing.end()})));
  }
  return merged;
}

// What all shards say of their weights; of one that several speak of, what the first says.
std::optional<OwnMetadata> merge_own_metadata(const Shards& shards) {
  std::optional<OwnMetadata> merged;
  std::unordered_set<std::string> names;
  for (const auto& shard : shards) {
    const OwnMetadata* own = shard->own_metadata();
    if (own == nullptr) continue;
    if (!merged) merged.emplace();
    for (const QuantizedEntry& entry : own->entries) {
      if (names.insert(entry.name).second) merged->entries.push_back(entry);
    }
    merged->problems.insert(merged->problems.end(), own->problems.begin(), own->problems.end());
  }
  return merged;
}

class ShardedSource final : public DescribedSource {
 public:
  ShardedSource(Shards shards, ShardsOrigin origin)
      : format_(origin.format),
        path_(std::move(origin.path)),
        shards_(std::move(shards)),
        companion_(std::move(origin.companion)) {
    remarks_ = std::move(origin.remarks);
    inputs_ = std::move(origin.inputs);
    require_distinct_names();
    for (std::size_t i = 0; i < shards_.size(); ++i) add_tensors(i);
    metadata_ = merge_metadata(shards_, remarks_);
    own_ = merge_own_metadata(shards_);
    adopt_members();
  }

  std::string_view format() const override { return format_; }
  std::string path() const override { return path_; }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    const auto [shard, index] = places_[tensor];
    shards_[shard]->read(index, offset, into);
  }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override {
    const auto [shard, index] = places_[tensor];
    return shards_[shard]->view(index);
  }
  std::vector<std::string> ties(std::size_t tensor) const override {
    const auto [shard, index] = places_[tensor];
    return shards_[shard]->ties(index);
  }
  const Companion* companion() const override { return companion_ ? &*companion_ : nullptr; }

 private:
  struct Place {
    std::size_t shard;
    std::size_t index;
  };

  void require_distinct_names() const {
    std::unordered_set<std::string_view> names;
    for (const auto& shard : shards_) {
      for (const TensorInfo& info : shard->tensors()) {
        if (names.insert(info.name).second) continue;
        throw Error(Status::kFormat,
                    formatted("{}: tensor {} is in another shard too", shard->title(), shown(info.name)),
                    "remove one of the two files, or fetch the checkpoint again", info.name);
      }
    }
  }

  void add_tensors(std::size_t index) {
    TensorSource& shard = *shards_[index];
    size_bytes_ += shard.size_bytes();
    std::size_t i = 0;
    for (TensorInfo& info : shard.take_tensors()) {
      tensors_.push_back(std::move(info));
      places_.push_back({index, i++});
    }
    for (const std::string& remark : shard.remarks()) {
      remarks_.push_back(shards_.size() == 1 ? remark : formatted("{}: {}", file_name_of(shard.path()), remark));
    }
  }

  // Of one shard its frame is carried on, too; of several no file can have them all.
  void adopt_members() {
    for (const auto& shard : shards_) {
      const Companion* of_shard = shard->companion();
      if (of_shard == nullptr) continue;
      if (!companion_) companion_.emplace();
      for (const std::string& member : of_shard->members) {
        companion_->members.push_back(shards_.size() == 1 ? member
                                                          : formatted("{} of {}", member, file_name_of(shard->path())));
      }
      if (shards_.size() == 1) companion_->pytorch = of_shard->pytorch;
    }
  }

  std::string_view format_;
  std::string path_;
  Shards shards_;
  std::vector<Place> places_;
  std::optional<Companion> companion_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace

std::unique_ptr<TensorSource> join_shards(Shards shards, ShardsOrigin origin) {
  return std::make_unique<ShardedSource>(std::move(shards), std::move(origin));
}

}  // namespace mnq
