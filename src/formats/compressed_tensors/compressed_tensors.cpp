#include "formats/compressed_tensors/compressed_tensors.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors_groups.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "formats/compressed_tensors/compressed_tensors_weights.h"

namespace mnq {
namespace {

using namespace compressed_tensors;

constexpr std::array<std::string_view, 6> kCacheScales{"k_scale",      "k_zero_point", "v_scale",
                                                       "v_zero_point", "q_scale",      "q_zero_point"};
constexpr std::array<std::string_view, 4> kActivationScales{"input_scale", "input_zero_point", "output_scale",
                                                            "output_zero_point"};

// What only running the model needs: nothing that is made from this has a place for it.
std::set<std::size_t> find_activation_scales(const NamedTensors& tensors, std::span<const LogicalTensor> weights,
                                             bool has_cache) {
  std::set<std::size_t> found;
  for (const LogicalTensor& weight : weights) {
    const std::string layer = layer_name_from(weight.name).name;
    for (const std::string_view part : kActivationScales) {
      if (const auto index = tensors.find(layer + "." + std::string(part))) found.insert(*index);
    }
  }
  for (const auto& [name, index] : tensors.by_name()) {
    const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
    if (has_cache && std::ranges::find(kCacheScales, last) != kCacheScales.end()) found.insert(index);
  }
  for (const LogicalTensor& weight : weights) {
    for (const std::size_t part : weight.parts) found.erase(part);
  }
  return found;
}

// A folder's tensors without those that only running needs, and with its weights as we know them.
class CompressedTensorsSource final : public TensorSource {
 public:
  CompressedTensorsSource(std::unique_ptr<TensorSource> inner, const Json& config) : inner_(std::move(inner)) {
    metadata_ = inner_->metadata();
    remarks_ = inner_->remarks();
    inputs_ = inner_->inputs();
    const std::vector<CompressedGroup> groups = read_groups(inner_->title(), config, remarks_);
    const NamedTensors tensors(*inner_);
    weights_ = find_compressed_weights(tensors, groups);
    const auto dropped = find_activation_scales(tensors, weights_, has_object(config, "kv_cache_scheme"));
    if (!dropped.empty()) remarks_.push_back(formatted("{} scales of activations are not carried on", dropped.size()));
    show_all_but(dropped);
    metadata_.erase(std::string(kFreeScalesKey));
  }

  std::string_view format() const override { return "compressed-tensors"; }
  std::string path() const override { return inner_->path(); }
  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
  std::vector<std::string> ties(std::size_t tensor) const override { return inner_->ties(stored_[tensor]); }
  const Companion* companion() const override { return inner_->companion(); }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override { return inner_->view(stored_[tensor]); }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    inner_->read(stored_[tensor], offset, into);
  }

 private:
  LogicalTensors find_weights() const override { return complete({weights_, {}}); }

  // Quantized weights come first, in the order of their codes.
  void show_all_but(const std::set<std::size_t>& dropped) {
    std::set<std::size_t> shown = dropped;
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
  std::vector<std::size_t> stored_;     // of each tensor, the index in inner_
  std::vector<LogicalTensor> weights_;  // those that are quantized
};

}  // namespace

std::unique_ptr<TensorSource> adapt_compressed_tensors(std::unique_ptr<TensorSource> source, const Json& config) {
  return std::make_unique<CompressedTensorsSource>(std::move(source), config);
}

bool has_compressed_names(const TensorSource& source) {
  std::set<std::string_view> names;
  for (const TensorInfo& info : source.tensors()) names.insert(info.name);
  return std::ranges::any_of(source.tensors(), [&](const TensorInfo& info) {
    const bool is_codes = info.dtype == DType::kI8 && names.contains(info.name + std::string(kScaleSuffix));
    return is_codes || (info.dtype == DType::kI32 && info.name.ends_with(kPackedSuffix));
  });
}

const QuantizationMethod kCompressedTensorsMethod{
    .quant_method = "compressed-tensors",
    .adapt = adapt_compressed_tensors,
    .has_such_names = has_compressed_names,
    .describe = describe_compressed_tensors,
};

}  // namespace mnq
