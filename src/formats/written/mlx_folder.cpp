// MLX's folders, as mlx-lm loads them: config.json has one number of bits and one size of groups for all, and those of
// each layer that has others under its name. What has scales is quantized, whatever layer it is.
// Source: mlx_lm/utils.py, load_model; mlx/nn/layers/quantized.py
#include <algorithm>
#include <map>

#include "base/text/format.h"
#include "formats/folder/quantization_methods.h"
#include "formats/safetensors/safetensors.h"
#include "formats/written/written_formats.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::string_view kTitle = "MLX";
constexpr std::int64_t kWord = 32;

WeightRule rule_of_mlx(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  const Layer& layer = request.layer;
  const Shape& shape = request.wanted.shape;
  const std::string_view kind = layer.kind == nullptr ? "" : layer.kind->name;
  const bool is_held = (kind == "Linear" || kind == "Embedding") && layer.name.tensor.ends_with(".weight");
  if (!is_held || shape.size() != 2) return {.leaves_for = "MLX holds Linear layers and embeddings only"};
  if (layer.is_router && !request.is_stored) return {.leaves_for = "MLX leaves the router of experts as it is"};
  if (shape[1] % kWord == 0) return {};
  return {.leaves_for = formatted("MLX holds rows of multiples of {}, and this has {}", kWord, shape_text(shape))};
}

Json settings_of(const QuantizedSpec& spec) {
  return Json{{"group_size", spec.group_size}, {"bits", code_bits(spec)}, {"mode", "affine"}};
}

FolderQuantization describe(const Plan& plan, const Companion*) {
  std::vector<std::pair<std::string, Json>> layers;
  std::map<std::string, std::size_t> counts;
  for (const PlannedTensor& planned : plan.tensors) {
    if (!has_codes(planned, plan.logical[planned.logical])) continue;
    layers.emplace_back(planned.layer.name.name, settings_of(planned.spec));
    ++counts[layers.back().second.dump()];
  }
  if (layers.empty()) return {};
  const auto most = std::ranges::max_element(counts, {}, [](const auto& row) { return row.second; });
  FolderQuantization result{parse_json(most->first), {}, "quantization"};
  const Json all = result.config;
  for (auto& [name, settings] : layers) {
    if (settings != all) result.config.add(std::move(name), std::move(settings));
  }
  return result;
}

const QuantizationMethod kMethod{.describe = describe};

std::unique_ptr<TensorSink> open_shard(const SinkRequest& request, const OpenByteSink& open) {
  Metadata metadata = request.metadata;
  metadata.insert_or_assign("format", std::string(kMlxFormat.name));
  return open_plain_safetensors_sink(request.plan, metadata, open);
}

}  // namespace

const Format kMlxFormat{
    .name = "mlx",
    .open_sink = open_shard,
    .storage = {.title = kTitle,
                .advice = "leave the key unset, or write safetensors",
                .layout = &kMlxLayout,
                .method = &kSearchMethod,
                .rule = rule_of_mlx},
    .is_folder = true,
    .quantization = &kMethod,
};

}  // namespace mnq
