// AWQ's folders, version GEMM: 4 bits, and one size of groups for all layers.
// Source: awq/models/_config.py; transformers/utils/quantization_config.py, AwqConfig, 5.24;
// gptqmodel/nn_modules/qlinear/torch_awq.py, 7.7
#include <algorithm>
#include <array>

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

constexpr std::string_view kTitle = "AWQ";
constexpr std::int64_t kOutputs = 8, kMostInputs = 1 << 17;
constexpr std::array<std::uint64_t, 4> kGroupSizes{16, 32, 64, 128};  // or whole rows

// Empty: there is none.
std::string reason_against_groups(const QuantizedSpec& wanted) {
  if (!has_integer_codes(wanted) || wanted.granularity != Granularity::kGroup) return "";
  if (std::ranges::find(kGroupSizes, wanted.group_size) == kGroupSizes.end()) {
    return formatted("AWQ has groups of 16, 32, 64 and 128, and none of {}", wanted.group_size);
  }
  if (static_cast<std::uint64_t>(wanted.shape[1]) % wanted.group_size == 0) return "";
  return formatted("AWQ has one size of groups for all layers, and {} do not divide {} columns", wanted.group_size,
                   wanted.shape[1]);
}

WeightRule rule_of_awq(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  std::string reason = reason_to_stay_float(kTitle, request);
  if (reason.empty()) reason = reason_against_split(request);
  const QuantizedSpec& wanted = request.wanted;
  if (!reason.empty()) return {.leaves_for = std::move(reason)};
  if (wanted.shape[0] % kOutputs != 0 || wanted.shape[1] > kMostInputs) {
    return {.leaves_for = formatted("AWQ holds multiples of {} rows of up to {} columns, and this has {}", kOutputs,
                                    kMostInputs, shape_text(wanted.shape))};
  }
  return {.leaves_for = reason_against_groups(wanted)};
}

std::int64_t group_size_of(const QuantizedSpec& spec) {
  return spec.granularity == Granularity::kGroup ? static_cast<std::int64_t>(spec.group_size) : -1;
}

void require_one_size(const std::vector<CodedLayer>& layers) {
  const std::int64_t size = group_size_of(layers.front().spec());
  const auto other =
      std::ranges::find_if(layers, [&](const CodedLayer& layer) { return group_size_of(layer.spec()) != size; });
  if (other == layers.end()) return;
  throw Error(Status::kUnsupported,
              formatted("layer {}: AWQ has one size of groups for all layers, and {} is {}", other->name,
                        layers.front().name, scheme_text(layers.front().spec())),
              "give all layers one group_size, or write gptq", other->name);
}

FolderQuantization describe(const Plan& plan, const Companion* companion) {
  const LinearLayers layers = find_linear_layers(plan);
  if (layers.coded.empty()) return {};
  require_one_size(layers.coded);
  const QuantizedSpec& spec = layers.coded.front().spec();
  FolderQuantization result;
  add_note_on_modules_of_experts(result.notes, plan, companion);
  add_note_on_heads(result.notes, layers, companion);
  add_note_on_plain_models(result.notes, companion);
  result.config = Json{{"quant_method", kAwqFormat.name},
                       {"bits", code_bits(spec)},
                       {"group_size", group_size_of(spec)},
                       {"zero_point", true},
                       {"version", "gemm"},
                       {"modules_to_not_convert", names_left(layers, companion)}};
  Json dynamic = Json::object();  // gptqmodel does not go by modules_to_not_convert
  add_rules_for_left(dynamic, layers, companion);
  if (!dynamic.members().empty()) result.config.add("dynamic", std::move(dynamic));
  return result;
}

const QuantizationMethod kMethod{.quant_method = "awq", .describe = describe};

}  // namespace

const Format kAwqFormat{
    .name = "awq",
    .open_sink = open_foreign_shard,
    .storage = {.title = kTitle,
                .advice = "leave the key unset, or write safetensors",
                .layout = &kAwqLayout,
                .rule = rule_of_awq,
                .experts = ExpertForm::kApart},
    .is_folder = true,
    .is_for_codes = true,
    .quantization = &kMethod,
};

}  // namespace mnq
