// MLX's folders, as mlx-lm loads them: config.json has one number of bits and one size of groups for all, and those of
// each layer that has others under its name. What has scales is quantized, whatever layer it is.
// Source: mlx_lm/utils.py, load_model; mlx/nn/layers/quantized.py
#include "base/text/format.h"
#include "formats/folder/quantization_methods.h"
#include "formats/safetensors/safetensors.h"
#include "formats/written/linear_layers.h"
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
  const LinearLayers layers = find_linear_layers(plan);  // and embeddings: all that has codes
  if (layers.coded.empty()) return {};
  std::vector<Json> settings;
  for (const CodedLayer& layer : layers.coded) settings.push_back(settings_of(layer.spec()));
  const Json most = most_frequent(settings);
  FolderQuantization result{most, {}, "quantization"};
  for (std::size_t i = 0; i < settings.size(); ++i) {
    if (settings[i] != most) result.config.add(layers.coded[i].name, std::move(settings[i]));
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
