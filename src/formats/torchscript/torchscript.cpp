#include "formats/torchscript/torchscript.h"

#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/utf8.h"
#include "layouts/layout.h"
#include "schemes/decode_in_torchscript.h"

namespace mnq {
namespace {

class LoadedSource final : public ModuleSource {
 public:
  LoadedSource(std::shared_ptr<const Module> module, std::shared_ptr<const ByteSource> bytes,
               std::vector<std::string> remarks)
      : module_(std::move(module)), bytes_(std::move(bytes)) {
    remarks_ = std::move(remarks);
    if (bytes_ != nullptr) inputs_ = {bytes_};
    Metadata metadata;
    for (const auto& [name, text] : module_->extra_files()) {
      if (is_utf8(text)) metadata.emplace(name, text);
    }
    set_metadata(std::move(metadata));
    for (const ModuleTensor& tensor : module_->tensors()) tensors_.push_back(tensor.info);
    show_words();
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

ScriptDecoder require_script_decoder(const WeightChange& change) {
  if (auto decoder = find_script_decoder(change.spec)) return *std::move(decoder);
  throw Error(Status::kUnsupported, formatted("{}: {}", change.name, find_script_obstacle(change.spec)),
              "choose another dtype for it, or skip it", change.name);
}

class ModuleSink final : public TensorSink {
 public:
  ModuleSink(const SinkRequest& request, TakeModule take)
      : module_(request.source->as_module()->module()), plan_(request.plan), take_(std::move(take)) {
    for (std::size_t item = 0; item < plan_.size(); ++item) {
      for (const PlannedOutput& output : plan_.tensor(item).outputs) {
        data_.push_back(is_changed(item) ? allocate_bytes(output.info.size_bytes) : nullptr);
      }
    }
  }

  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (data_[tensor] != nullptr && !bytes.empty())
      std::memcpy(data_[tensor].get() + offset, bytes.data(), bytes.size());
  }

  void commit(std::span<const double> sqnr_db) override {
    std::vector<WeightChange> changes;
    std::size_t output = 0;
    for (std::size_t item = 0; item < plan_.size(); ++item) {
      if (is_changed(item)) changes.push_back(make_change(item, output));
      output += plan_.tensor(item).outputs.size();
    }
    std::map<std::string, std::string> files = module_->extra_files();
    files.erase(std::string(kMetadataKey));
    if (has_own_metadata(plan_)) {
      std::string& ours = files[std::string(kMetadataKey)];
      write_own_metadata(plan_, sqnr_db, [&](std::string_view piece) { ours += piece; });
    }
    take_(module_->change(changes, std::move(files)));
  }

 private:
  bool is_changed(std::size_t item) const { return plan_.tensor(item).action != Action::kCopy; }

  // output: the first one of the weight.
  WeightChange make_change(std::size_t item, std::size_t output) {
    const PlannedTensor& planned = plan_.tensor(item);
    const LogicalTensor& tensor = plan_.logical(item);
    WeightChange change;
    change.name = tensor.name;
    change.quantized = planned.action != Action::kDequantize;
    change.spec = planned.spec;
    change.decoder = require_script_decoder(change);
    for (const PlannedOutput& part : planned.outputs) {
      change.parts.push_back({part.info.name.substr(tensor.name.size()),
                              {part.info.dtype, part.info.shape, std::move(data_[output++]), part.info.size_bytes}});
    }
    if (change.quantized) return change;
    for (const StoredPart& part : tensor.layout->parts(*tensor.spec)) change.old_suffixes.emplace_back(part.suffix);
    return change;
  }

  std::shared_ptr<const Module> module_;
  PlanSlice plan_;
  TakeModule take_;
  std::vector<std::shared_ptr<std::byte>> data_;  // of each output; null for tensors that stay as they are
};

}  // namespace

void ModuleSource::show_words() {
  if (!own_) return;
  std::unordered_map<std::string, TensorInfo*> by_name;
  for (TensorInfo& info : tensors_) by_name.emplace(info.name, &info);
  for (const QuantizedEntry& entry : own_->entries) {
    for (const StoredPart& part : layout_->parts(entry.spec)) {
      const auto found = by_name.find(entry.name + std::string(part.suffix));
      if (found == by_name.end() || part.dtype != DType::kI32 || found->second->dtype != DType::kU8) continue;
      Shape bytes = part.shape;
      bytes.back() *= sizeof(std::int32_t);
      if (found->second->shape != bytes) continue;
      found->second->dtype = part.dtype;
      found->second->shape = part.shape;
    }
  }
}

std::shared_ptr<const ModuleSource> make_module_source(std::shared_ptr<const Module> module,
                                                       std::shared_ptr<const ByteSource> bytes,
                                                       std::vector<std::string> remarks) {
  return std::make_shared<LoadedSource>(std::move(module), std::move(bytes), std::move(remarks));
}

std::unique_ptr<TensorSink> open_module_sink(const SinkRequest& request, const TakeModule& take) {
  return std::make_unique<ModuleSink>(request, take);
}

TakeModule write_torchscript(const OpenByteSink& open, std::function<bool()> is_cancelled) {
  // Opened now, so that a file that is in the way is known before the work.
  return [sink = std::shared_ptr<ByteSink>(open(0)),
          is_cancelled = std::move(is_cancelled)](const std::shared_ptr<const Module>& module) {
    const auto throw_if_cancelled = [&] {
      if (is_cancelled && is_cancelled()) throw Error(Status::kCancelled, "cancelled while the module was being saved");
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

std::unique_ptr<TensorSink> open_torchscript_sink(const SinkRequest& request, const OpenByteSink& open) {
  return open_module_sink(request, write_torchscript(open, request.is_cancelled));
}

}  // namespace mnq
