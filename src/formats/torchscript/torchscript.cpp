#include "formats/torchscript/torchscript.h"

#include <cstring>
#include <map>

#include "base/error.h"
#include "base/format.h"
#include "base/utf8.h"
#include "formats/collected_tensors.h"
#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

bool is_words_as_bytes(const TensorInfo& info) {
  return info.dtype == DType::kU8 && info.shape.size() == 2 && info.shape[1] % 4 == 0;
}

void pack_into_words(TensorInfo& info) {
  info.dtype = DType::kI32;
  info.shape.back() /= 4;
}

// TensorSource::find looks through all tensors each time.
using IndexByName = std::map<std::string, std::size_t, std::less<>>;
IndexByName index_tensors(const std::vector<TensorInfo>& tensors) {
  IndexByName index;
  for (std::size_t i = 0; i < tensors.size(); ++i) index.emplace(tensors[i].name, i);
  return index;
}

class LoadedSource final : public ModuleSource {
 public:
  LoadedSource(std::shared_ptr<const Module> module, std::shared_ptr<const ByteSource> bytes,
               std::vector<std::string> remarks)
      : module_(std::move(module)), bytes_(std::move(bytes)) {
    remarks_ = std::move(remarks);
    if (bytes_ != nullptr) inputs_ = {bytes_};
    for (const auto& [name, text] : module_->extra_files()) {
      if (is_utf8(text)) metadata_.emplace(name, text);
    }
    for (const ModuleTensor& tensor : module_->tensors()) tensors_.push_back(tensor.info);
    restore_words(tensors_, metadata_);
    for (const TensorInfo& info : tensors_) tensor_bytes_ += info.size_bytes;
    remarks_.insert(remarks_.begin(), module_->remarks().begin(), module_->remarks().end());
  }

  std::string_view format() const override { return "torchscript"; }
  std::string path() const override { return bytes_ == nullptr ? std::string() : bytes_->path(); }
  std::uint64_t size_bytes() const override { return bytes_ == nullptr ? tensor_bytes_ : bytes_->size(); }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    if (!into.empty()) std::memcpy(into.data(), module_->tensors()[tensor].data.get() + offset, into.size());
  }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override { return module_->tensors()[tensor].data; }
  const LayerHint* hint(std::size_t tensor) const override { return &module_->tensors()[tensor].hint; }
  std::vector<std::string> ties(std::size_t tensor) const override { return module_->tensors()[tensor].ties; }
  const std::shared_ptr<const Module>& module() const override { return module_; }
  const ModuleSource& loaded() const override { return *this; }

 private:
  std::shared_ptr<const Module> module_;
  std::shared_ptr<const ByteSource> bytes_;  // null for a module made in memory
  std::uint64_t tensor_bytes_ = 0;
};

class ModuleSink final : public TensorSink {
 public:
  ModuleSink(const ModuleSource& source, const std::vector<TensorInfo>& tensors, TakeModule take)
      : source_(source), tensors_(tensors), take_(std::move(take)), data_(tensors.size()) {
    const IndexByName kept = index_tensors(source.tensors());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const auto old = kept.find(tensors[i].name);
      const bool unchanged = old != kept.end() && source.tensors()[old->second].dtype == tensors[i].dtype &&
                             source.tensors()[old->second].shape == tensors[i].shape;
      if (!unchanged) data_[i] = allocate_bytes(tensors[i].size_bytes);
    }
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (data_[tensor] != nullptr && !bytes.empty())
      std::memcpy(data_[tensor].get() + offset, bytes.data(), bytes.size());
  }

  void commit(const Metadata& metadata) override {
    const CollectedTensors collected(tensors_, metadata);
    const std::vector<LogicalTensor> after = require_logical_tensors(collected);
    const std::vector<LogicalTensor> before = require_logical_tensors(source_);
    std::map<std::string_view, const LogicalTensor*> by_name;
    for (const LogicalTensor& tensor : before) by_name.emplace(tensor.name, &tensor);
    std::vector<WeightChange> changes;
    for (const LogicalTensor& tensor : after) {
      const auto old = by_name.find(tensor.name);
      if (old == by_name.end()) throw Error(Status::kInternal, formatted("{} came from nowhere", tensor.name));
      if (tensor.spec.has_value() != old->second->spec.has_value())
        changes.push_back(make_change(tensor, *old->second));
    }
    std::map<std::string, std::string> files = source_.module()->extra_files();
    files.erase(std::string(kMetadataKey));
    const auto ours = metadata.find(std::string(kMetadataKey));
    if (ours != metadata.end()) files.emplace(ours->first, ours->second);
    take_(source_.module()->change(changes, std::move(files)));
  }

 private:
  Tensor collected(std::size_t index) {
    return {tensors_[index].dtype, tensors_[index].shape, std::move(data_[index]), tensors_[index].size_bytes};
  }

  WeightChange make_change(const LogicalTensor& tensor, const LogicalTensor& old) {
    WeightChange change;
    change.name = tensor.name;
    change.quantized = tensor.spec.has_value();
    change.spec = change.quantized ? *tensor.spec : *old.spec;
    const Scheme& scheme = scheme_of(change.spec);
    change.bits = scheme.bits;
    const std::vector<StoredPart> parts = scheme.parts(change.spec);
    if (!change.quantized) {
      change.parts.push_back({"", collected(tensor.parts.front())});
      for (const StoredPart& part : parts) change.old_suffixes.emplace_back(part.suffix);
      return change;
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      change.parts.push_back({std::string(parts[i].suffix), collected(tensor.parts[i])});
    }
    return change;
  }

  const ModuleSource& source_;
  std::vector<TensorInfo> tensors_;
  TakeModule take_;
  std::vector<std::shared_ptr<std::byte>> data_;  // null for tensors that stay as they are
};

}  // namespace

void restore_words(std::vector<TensorInfo>& tensors, const Metadata& metadata) {
  if (!metadata.contains(std::string(kMetadataKey))) return;
  constexpr std::string_view kShape = "_shape";
  std::map<std::string, std::size_t> by_name;
  for (std::size_t i = 0; i < tensors.size(); ++i) by_name.emplace(tensors[i].name, i);
  for (const auto& [name, index] : by_name) {
    if (!name.ends_with(kShape)) continue;
    const std::string base = name.substr(0, name.size() - kShape.size());
    for (const char* suffix : {"_packed", "_zero_point"}) {
      const auto part = by_name.find(base + suffix);
      if (part != by_name.end() && is_words_as_bytes(tensors[part->second])) pack_into_words(tensors[part->second]);
    }
  }
}

std::shared_ptr<const ModuleSource> make_module_source(std::shared_ptr<const Module> module,
                                                       std::shared_ptr<const ByteSource> bytes,
                                                       std::vector<std::string> remarks) {
  return std::make_shared<LoadedSource>(std::move(module), std::move(bytes), std::move(remarks));
}

const ModuleSource* as_module_source(const TensorSource& source) { return dynamic_cast<const ModuleSource*>(&source); }

std::unique_ptr<TensorSink> open_module_sink(const ModuleSource& source, const std::vector<TensorInfo>& tensors,
                                             const TakeModule& take) {
  return std::make_unique<ModuleSink>(source, tensors, take);
}

TakeModule write_torchscript(const OpenByteSink& open, std::function<bool()> is_cancelled) {
  // Opened now, so that a file that is in the way is known before the work.
  return [sink = std::shared_ptr<ByteSink>(open(0)),
          is_cancelled = std::move(is_cancelled)](const std::shared_ptr<const Module>& module) {
    const auto throw_if_cancelled = [&] {
      if (is_cancelled()) throw Error(Status::kCancelled, "cancelled while the module was being saved");
    };
    throw_if_cancelled();
    std::uint64_t end = 0;
    module->save([&](std::span<const std::byte> bytes) {
      throw_if_cancelled();
      sink->write(end, bytes);
      end += bytes.size();
    });
    sink->commit();
  };
}

}  // namespace mnq
