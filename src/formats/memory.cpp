#include "formats/memory.h"

#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/utf8.h"

namespace mnq {
namespace {

class MemorySource final : public DescribedSource {
 public:
  MemorySource(std::vector<NamedTensor> tensors, Metadata metadata, std::optional<OwnMetadata> own) {
    metadata_ = std::move(metadata);
    own_ = std::move(own);
    for (NamedTensor& named : tensors) {
      size_bytes_ += named.tensor.size_bytes;
      tensors_.push_back({std::move(named.name), named.tensor.dtype, named.tensor.shape, named.tensor.size_bytes});
      data_.push_back(std::move(named.tensor.data));
      hints_.push_back(std::move(named.hint));
      ties_.push_back(std::move(named.ties));
    }
  }

  std::string_view format() const override { return "memory"; }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    if (!into.empty()) std::memcpy(into.data(), data_[tensor].get() + offset, into.size());
  }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override { return data_[tensor]; }
  const LayerHint* hint(std::size_t tensor) const override { return hints_[tensor] ? &*hints_[tensor] : nullptr; }
  std::vector<std::string> ties(std::size_t tensor) const override { return ties_[tensor]; }

 private:
  std::vector<std::shared_ptr<const std::byte>> data_;
  std::vector<std::optional<LayerHint>> hints_;
  std::vector<std::vector<std::string>> ties_;
  std::uint64_t size_bytes_ = 0;
};

class MemorySink final : public TensorSink {
 public:
  MemorySink(const SinkRequest& request, std::shared_ptr<const TensorSource>& model)
      : plan_(request.plan), metadata_(request.metadata), tensors_(plan_.outputs()), model_(model) {
    for (const TensorInfo* info : tensors_) data_.push_back(allocate_bytes(info->size_bytes));
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (!bytes.empty()) std::memcpy(data_[tensor].get() + offset, bytes.data(), bytes.size());
  }

  void commit(std::span<const double> sqnr_db) override {
    std::vector<NamedTensor> tensors;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const TensorInfo& info = *tensors_[i];
      tensors.push_back({info.name, {info.dtype, info.shape, std::move(data_[i]), info.size_bytes}});
    }
    tell_layers(tensors);
    model_ = std::make_shared<MemorySource>(std::move(tensors), metadata_, own_metadata_of(plan_, sqnr_db));
  }

 private:
  // A weight's first tensor tells of its layer what the source knew, in whatever layout the weight is now.
  void tell_layers(std::vector<NamedTensor>& tensors) const {
    std::size_t first = 0;
    for (std::size_t item = 0; item < plan_.size(); ++item) {
      if (plan_.tensor(item).outputs.empty()) continue;
      if (const LayerHint* hint = plan_.logical(item).hint) tensors[first].hint = *hint;
      first += plan_.tensor(item).outputs.size();
    }
  }

  PlanSlice plan_;
  Metadata metadata_;
  std::vector<const TensorInfo*> tensors_;
  std::vector<std::shared_ptr<std::byte>> data_;
  std::shared_ptr<const TensorSource>& model_;
};

void require_name(const std::string& name, std::size_t index) {
  if (name.empty()) throw Error(Status::kInvalidArg, "a tensor has an empty name");
  if (!is_utf8(name)) {
    throw Error(Status::kInvalidArg, formatted("the name of tensor {} is not UTF-8", index),
                "pass names as UTF-8: files could not hold it", "names");
  }
  if (name == "__metadata__") {
    throw Error(Status::kInvalidArg, "__metadata__ cannot be the name of a tensor", "rename it", name);
  }
}

}  // namespace

std::shared_ptr<const TensorSource> make_memory_source(std::vector<NamedTensor> tensors, Metadata metadata,
                                                       std::optional<OwnMetadata> own) {
  std::unordered_set<std::string_view> names;
  const auto take = [&](const std::string& name, std::size_t index) {
    require_name(name, index);
    if (names.insert(name).second) return;
    throw Error(Status::kInvalidArg, formatted("two tensors are called {}", name), "", name);
  };
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    take(tensors[i].name, i);
    for (const std::string& tie : tensors[i].ties) take(tie, i);
  }
  return std::make_shared<MemorySource>(std::move(tensors), std::move(metadata), std::move(own));
}

std::unique_ptr<TensorSink> open_memory_sink(const SinkRequest& request, std::shared_ptr<const TensorSource>& model) {
  return std::make_unique<MemorySink>(request, model);
}

}  // namespace mnq
