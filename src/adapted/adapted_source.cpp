#include "adapted/adapted_source.h"

#include <optional>

#include "base/text/json_text.h"

namespace mnq {
namespace {

class AdaptedSource final : public TensorSource {
 public:
  AdaptedSource(std::unique_ptr<TensorSource> inner, AdaptedWeights found, std::string_view format)
      : inner_(std::move(inner)),
        format_(format.empty() ? inner_->format() : format),
        weights_(std::move(found.weights)) {
    metadata_ = inner_->metadata();
    remarks_ = inner_->remarks();
    inputs_ = inner_->inputs();
    remarks_.insert(remarks_.end(), found.remarks.begin(), found.remarks.end());
    show_all_but(std::move(found.dropped));
  }

  std::string_view format() const override { return format_; }
  std::string path() const override { return inner_->path(); }
  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
  std::vector<std::string> ties(std::size_t tensor) const override { return inner_->ties(stored_[tensor]); }
  const Companion* companion() const override { return companion_ ? &*companion_ : inner_->companion(); }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override { return inner_->view(stored_[tensor]); }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    inner_->read(stored_[tensor], offset, into);
  }

  // While it is being made.
  void hide(const std::set<std::string>& keys, const std::set<std::string>& files) {
    for (const std::string& key : keys) metadata_.erase(key);
    if (files.empty() || inner_->companion() == nullptr) return;
    companion_ = *inner_->companion();
    std::erase_if(companion_->files, [&](const CompanionFile& file) { return files.contains(file.name); });
    if (!companion_->config.empty()) companion_->config = with_member(companion_->config, "quantization", nullptr);
  }

 private:
  LogicalTensors find_weights() const override { return complete({weights_, {}}); }

  void show_all_but(std::set<std::size_t> shown) {
    const auto show = [&](std::size_t index) {
      shown.insert(index);
      stored_.push_back(index);
      tensors_.push_back(inner_->tensors()[index]);
      return stored_.size() - 1;
    };
    for (LogicalTensor& weight : weights_) {
      for (std::size_t& part : weight.parts) part = show(part);
    }
    for (std::size_t i = 0; i < inner_->tensors().size(); ++i) {
      if (!shown.contains(i)) show(i);
    }
  }

  std::unique_ptr<TensorSource> inner_;
  std::string_view format_;
  std::vector<LogicalTensor> weights_;  // those that are quantized
  std::vector<std::size_t> stored_;     // of each tensor, the index in inner_
  std::optional<Companion> companion_;
};

}  // namespace

std::unique_ptr<TensorSource> show_weights(std::unique_ptr<TensorSource> source, AdaptedWeights found,
                                           std::string_view format, const std::set<std::string>& keys,
                                           const std::set<std::string>& files) {
  auto adapted = std::make_unique<AdaptedSource>(std::move(source), std::move(found), format);
  adapted->hide(keys, files);
  return adapted;
}

}  // namespace mnq
