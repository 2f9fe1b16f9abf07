// GPTQ's folders: all Linear layers alike but for what `dynamic` says of some; gptqmodel, vLLM and transformers load
// them.
// Source: gptqmodel/quantization/config.py, 7.7
#include <algorithm>
#include <array>
#include <tuple>

#include "base/error.h"
#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "formats/experts/expert_models.h"
#include "formats/folder/quantization_methods.h"
#include "formats/written/linear_layers.h"
#include "formats/written/written_formats.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::string_view kTitle = "GPTQ";
constexpr std::int64_t kRun = 32;  // codes and zero points come in whole words

bool has_odd_groups(const QuantizedSpec& spec) {
  constexpr std::array<std::uint64_t, 7> kSizes{16, 32, 64, 128, 256, 512, 1024};
  const bool divides = spec.granularity == Granularity::kGroup && spec.group_rows == 1 &&
                       static_cast<std::uint64_t>(spec.shape.back()) % spec.group_size == 0;
  return divides && std::ranges::find(kSizes, spec.group_size) == kSizes.end();
}

WeightRule rule_of_gptq(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  std::string reason = reason_to_stay_float(kTitle, request);
  if (reason.empty()) reason = reason_against_split(request);
  const QuantizedSpec& wanted = request.wanted;
  if (reason.empty() && (wanted.shape[0] % kRun != 0 || wanted.shape[1] % kRun != 0)) {
    reason = formatted("GPTQ holds multiples of {} rows and columns, and this has {}", kRun, shape_text(wanted.shape));
  } else if (reason.empty() && has_odd_groups(wanted)) {
    reason = formatted("GPTQ has groups of 16, 32, 64 and so on to 1024, and none of {}", wanted.group_size);
  }
  return {.leaves_for = std::move(reason)};
}

// What config.json says of a layer.
Json settings_of(const QuantizedSpec& spec) {
  const auto group_size = static_cast<std::int64_t>(spec.group_size);
  return Json{{"bits", code_bits(spec)},
              {"group_size", spec.granularity == Granularity::kGroup ? group_size : -1},
              {"sym", spec.symmetric}};
}

// Zero points have one form in all layers.
void require_one_form(const std::vector<CodedLayer>& layers) {
  const auto other = std::ranges::find_if(
      layers, [&](const CodedLayer& layer) { return layer.planned->layout != layers.front().planned->layout; });
  if (other == layers.end()) return;
  throw Error(Status::kUnsupported,
              formatted("layer {}: GPTQ has zero points in all layers or in none, and {} is {}", other->name,
                        layers.front().name, scheme_text(layers.front().spec())),
              "give all layers one value of symmetric, or write safetensors", other->name);
}

// Layers that are not as most are.
Json dynamic_of(const LinearLayers& layers, const Json& most, const Companion* companion) {
  Json rules = Json::object();
  for (const CodedLayer& layer : layers.coded) {
    Json own = settings_of(layer.spec());
    if (own != most) rules.add("+:" + pattern_of_name(layer.name), std::move(own));
  }
  add_rules_for_left(rules, layers, companion);
  return rules;
}

// Whether a list of modules, "model.layers", has the layer.
bool is_in(std::string_view layer, std::string_view list) {
  return layer.starts_with(list) && layer.substr(list.size()).starts_with('.');
}

// transformers makes the layers of one list of modules those of GPTQ, and gives no values to codes of others. Source:
// optimum/gptq/constants.py, 2.1; transformers/quantizers/quantizer_gptq.py, 5.24
void add_note_on_blocks(std::vector<std::string>& notes, const LinearLayers& layers, const Companion* companion) {
  constexpr std::array<std::string_view, 8> kLists{"transformer.h",
                                                   "model.decoder.layers",
                                                   "gpt_neox.layers",
                                                   "model.layers",
                                                   "model.language_model.layers",
                                                   "h",
                                                   "decoder.layers",
                                                   "layers"};
  if (companion == nullptr || companion->model_types.empty() || renames_modules(companion)) return;
  const auto found = std::ranges::find_if(kLists, [&](std::string_view list) {
    return std::ranges::any_of(layers.coded, [&](const CodedLayer& layer) { return is_in(layer.name, list); });
  });
  if (found == kLists.end()) {
    notes.emplace_back("transformers loads no GPTQ of this model: gptqmodel may, and transformers loads awq");
    return;
  }
  const auto is_lost = [&](const CodedLayer& layer) {
    return !is_in(layer.name, *found) && !is_output_head(layer.name, companion);
  };
  const auto count = std::ranges::count_if(layers.coded, is_lost);
  if (count == 0) return;
  notes.push_back(formatted("transformers loads GPTQ's layers of {} only, and those are not, as {}: {}; it loads awq",
                            *found, std::ranges::find_if(layers.coded, is_lost)->name, count));
}

FolderQuantization describe(const Plan& plan, const Companion* companion) {
  const LinearLayers layers = find_linear_layers(plan);
  if (layers.coded.empty()) return {};
  require_one_form(layers.coded);
  std::vector<Json> settings;
  for (const CodedLayer& layer : layers.coded) settings.push_back(settings_of(layer.spec()));
  const Json most = most_frequent(settings);
  const bool has_head =
      std::ranges::any_of(layers.coded, [&](const CodedLayer& layer) { return is_output_head(layer.name, companion); });
  const bool is_first_form = layers.coded.front().planned->layout == &kGptqLayout;
  const bool has_order =
      std::ranges::any_of(layers.coded, [](const CodedLayer& layer) { return layer.spec().has_group_order; });
  FolderQuantization result;
  add_note_on_modules_of_experts(result.notes, plan, companion);
  add_note_on_heads(result.notes, layers, companion);
  add_note_on_plain_models(result.notes, companion);
  add_note_on_blocks(result.notes, layers, companion);
  result.config = Json{{"quant_method", kGptqFormat.name},
                       {"bits", most["bits"]},
                       {"group_size", most["group_size"]},
                       {"sym", most["sym"]},
                       {"desc_act", has_order},
                       {"lm_head", has_head},
                       {"checkpoint_format", is_first_form ? kGptqLayout.name : kGptqV2Layout.name},
                       {"pack_dtype", "int32"}};
  Json dynamic = dynamic_of(layers, most, companion);
  if (dynamic.members().empty()) return result;
  result.config.add("dynamic", std::move(dynamic));
  result.notes.emplace_back(
      "not all Linear layers are quantized alike, which config.json says with `dynamic`: gptqmodel and vLLM go by it, "
      "transformers does not");
  return result;
}

const QuantizationMethod kMethod{.quant_method = "gptq", .describe = describe};

}  // namespace

const Format kGptqFormat{
    .name = "gptq",
    .open_sink = open_foreign_shard,
    .storage = {.title = kTitle,
                .advice = "leave the key unset, or write safetensors",
                .layout = &kGptqLayout,
                .rule = rule_of_gptq,
                .choose_layout = [](const QuantizedSpec& spec, const Companion*) -> const Layout& {
                  return spec.symmetric ? kGptqLayout : kGptqV2Layout;
                },
                .experts = ExpertForm::kApart},
    .is_folder = true,
    .is_for_codes = true,
    .quantization = &kMethod,
};

}  // namespace mnq
