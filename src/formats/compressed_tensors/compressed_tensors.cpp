#include "formats/compressed_tensors/compressed_tensors.h"

#include <algorithm>
#include <array>
#include <set>

#include "adapted/adapted_source.h"
#include "adapted/left_layers.h"
#include "adapted/missing_parts.h"
#include "base/error.h"
#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors_groups.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "formats/compressed_tensors/compressed_tensors_weights.h"
#include "layouts/layouts.h"

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
    const std::string layer(layer_name_from(weight.name).name);
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

void require_float_scales(const NamedTensors& tensors, std::span<const LogicalTensor> found, const Json& config,
                          std::span<const CompressedGroup> groups) {
  require_scales(tensors, found, kScaleSuffix, "config.json", [&](const std::string& layer) {
    return !may_leave(config, layer) && all_groups_are(groups, layer, &CompressedGroup::has_floats);
  });
}

// compressed-tensors itself leaves the order out where none was found, and then reads columns as they lie.
void remark_on_order(const NamedTensors& tensors, std::span<const CompressedGroup> groups, AdaptedWeights& found) {
  const auto lacks_order = [&](const LogicalTensor& weight) {
    const bool has_integers = weight.layout == &kPackQuantizedLayout || weight.layout == &kIntQuantizedLayout;
    return has_integers && weight.spec->granularity == Granularity::kGroup &&
           !tensors.find(weight.name + std::string(kOrderSuffix)) &&
           all_groups_are(groups, std::string(layer_name_from(weight.name).name), &CompressedGroup::is_ordered);
  };
  const auto count = std::ranges::count_if(found.weights, lacks_order);
  if (count == 0) return;
  found.remarks.push_back(formatted(
      "weights whose columns are taken as they lie, since they have no {}, though config.json says actorder group: {}",
      kOrderSuffix.substr(1), count));
}

}  // namespace

std::unique_ptr<TensorSource> adapt_compressed_tensors(std::unique_ptr<TensorSource> source, const Json& config,
                                                       bool is_part) {
  AdaptedWeights found;
  const std::vector<CompressedGroup> groups = read_groups(source->title(), config, found.remarks);
  const NamedTensors tensors(*source);
  if (!is_part) require_codes(tensors);
  found.weights = find_compressed_weights(tensors, groups, is_part);
  if (!is_part) require_float_scales(tensors, found.weights, config, groups);
  if (!is_part) require_no_bare_codes(tensors, found.weights);
  remark_on_order(tensors, groups, found);
  found.dropped = find_activation_scales(tensors, found.weights, has_object(config, "kv_cache_scheme"));
  if (!found.dropped.empty()) {
    found.remarks.push_back(formatted("{} scales of activations are not carried on", found.dropped.size()));
  }
  return show_weights(std::move(source), std::move(found), kCompressedTensorsFormat.name,
                      {std::string(kFreeScalesKey)});
}

bool has_compressed_names(const TensorSource& source) {
  std::set<std::string_view> names;
  for (const TensorInfo& info : source.tensors()) names.insert(info.name);
  return std::ranges::any_of(source.tensors(), [&](const TensorInfo& info) {
    const bool is_codes = info.dtype == DType::kI8 && names.contains(info.name + std::string(kScaleSuffix));
    const bool is_packed = info.dtype == DType::kI32 || info.dtype == DType::kU8;
    return is_codes || (is_packed && info.name.ends_with(kPackedSuffix));
  });
}

const QuantizationMethod kCompressedTensorsMethod{
    .quant_method = "compressed-tensors",
    .adapt = adapt_compressed_tensors,
    .has_such_names = has_compressed_names,
    .describe = describe_compressed_tensors,
};

}  // namespace mnq
