// MLX's folders, as mlx-lm loads them: config.json has one number of bits and one size of groups for all, and those of
// each layer that has others under its name. What has scales is quantized, whatever layer it is.
// Source: mlx_lm/utils.py, load_model; mlx/nn/layers/quantized.py
#include <algorithm>
#include <array>

#include "adapted/weight_finders.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "formats/experts/expert_models.h"
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

std::string reason_for_one_tensor_of_all(const Companion* companion) {
  return formatted("MLX holds Linear layers and embeddings only, and this is all experts in one tensor, {}",
                   reason_for_one_tensor(companion));
}

// Experts that were not joined.
std::string reason_for_one_expert(const Companion* companion) {
  if (companion == nullptr || companion->model_types.empty()) {
    return "MLX has the weights of all experts in one tensor, and no config.json says of which model these are";
  }
  if (stacked_module(*companion).empty()) {
    return formatted("mlx-lm has experts one by one as floats only in a {}", companion->model_types.front());
  }
  return "MLX has the weights of all experts in one tensor, and these are not alike";
}

// Weights that mlx-lm renames, splits or turns when it loads them, and not their codes, or those by coding them anew.
// Source: sanitize() of mlx_lm/models/*.py, 0.32
struct Changed {
  std::string_view type, part;  // in config.json; in the layer's name, empty: all
};
constexpr auto kChanged = std::to_array<Changed>({
    {"bailing_hybrid", ".kv_b_proj"},
    {"bailing_moe_v3", ".kv_b_proj"},
    {"deepseek_v3", ".kv_b_proj"},
    {"deepseek_v32", ".kv_b_proj"},
    {"falcon_h1", ""},
    {"glm4_moe_lite", ".kv_b_proj"},
    {"glm_moe_dsa", ".kv_b_proj"},
    {"joyai_llm_flash", ".kv_b_proj"},
    {"kimi_k2", ".kv_b_proj"},
    {"kimi_k3", ".kv_b_proj"},
    {"kimi_linear", ".kv_b_proj"},
    {"kimi_linear", ".shared_experts."},
    {"lfm2_moe", ".feed_forward.w1"},
    {"lfm2_moe", ".feed_forward.w2"},
    {"lfm2_moe", ".feed_forward.w3"},
    {"longcat_flash", ".kv_b_proj"},
    {"mistral4", ".kv_b_proj"},
});
constexpr std::string_view kHybrid = "granitemoehybrid", kSharedPart = ".shared_mlp.";  // without experts

bool is_changed(const Companion* companion, std::string_view layer) {
  if (layer.find(kSharedPart) != std::string_view::npos && has_model_type(companion, {&kHybrid, 1})) {
    return number_in(parse_json(companion->config), "num_local_experts", 1) == 0;
  }
  return std::ranges::any_of(kChanged, [&](const Changed& changed) {
    return layer.find(changed.part) != std::string_view::npos && has_model_type(companion, {&changed.type, 1});
  });
}

WeightRule rule_of_mlx(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  const Layer& layer = request.layer;
  const Shape& shape = request.wanted.shape;
  const std::string_view kind = layer.kind == nullptr ? "" : layer.kind->name;
  const std::string_view tensor = layer.name.tensor;
  if (kind == "Experts" && !(shape.size() == 3 && is_stack_in_mlx(tensor)))
    return {.leaves_for = reason_for_one_tensor_of_all(request.companion)};
  const bool is_matrix = (kind == "Linear" || kind == "Embedding") && tensor.ends_with(".weight") && shape.size() == 2;
  if (!is_matrix && kind != "Experts") return {.leaves_for = "MLX holds Linear layers and embeddings only"};
  if (is_of_one_expert(layer.name.name)) return {.leaves_for = reason_for_one_expert(request.companion)};
  if (!request.is_held && is_changed(request.companion, layer.name.name)) {
    return {.leaves_for = "mlx-lm changes this weight when it loads it, and not its codes"};
  }
  if (layer.is_router && !request.is_stored) return {.leaves_for = "MLX leaves the router of experts as it is"};
  if (shape.back() % kWord == 0) return {};
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
                .rule = rule_of_mlx,
                .experts = ExpertForm::kStacked},
    .is_folder = true,
    .is_for_codes = true,
    .quantization = &kMethod,
};

}  // namespace mnq
