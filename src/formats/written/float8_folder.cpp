// Folders of floats of 8 bits as DeepSeek has them, quant_method fp8: a scale for each block of 128 x 128.
// Source: transformers/utils/quantization_config.py, FineGrainedFP8Config; integrations/finegrained_fp8.py, 5.24
#include <algorithm>

#include "base/text/format.h"
#include "formats/experts/expert_models.h"
#include "formats/folder/quantization_methods.h"
#include "formats/written/linear_layers.h"
#include "formats/written/written_formats.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::string_view kTitle = "fp8";

// A weight of one block has one scale, which may be that of a tensor.
bool has_own_blocks(const QuantizedSpec& spec) {
  const HeldKind& kind = kFloat8InverseLayout.holds.front();
  if (spec.granularity == Granularity::kGroup) {
    return spec.group_size == kind.group_size && spec.group_rows == kind.group_rows;
  }
  return spec.granularity == Granularity::kTensor && spec.shape[0] <= static_cast<std::int64_t>(kind.group_rows) &&
         spec.shape[1] <= static_cast<std::int64_t>(kind.group_size);
}

// transformers cuts rows and columns into as many blocks of one size, where it decodes them on a CPU.
bool has_odd_blocks(const Shape& shape) {
  constexpr std::int64_t kBlock = 128;
  return std::ranges::any_of(shape, [](std::int64_t size) { return size > kBlock && size % kBlock != 0; });
}

WeightRule rule_of_float8(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  std::string reason = reason_to_stay_float(kTitle, request);
  if (reason.empty()) reason = reason_against_split(request);
  if (reason.empty() && request.is_held && !has_own_blocks(request.wanted)) {
    reason = formatted("fp8 has blocks of 128x128 only, and this is {}", scheme_text(request.wanted));
  }
  if (reason.empty() && !request.is_stored && has_odd_blocks(request.wanted.shape)) {
    reason = formatted("transformers decodes whole blocks of 128x128 only, and this has {}",
                       shape_text(request.wanted.shape));
  }
  return {.leaves_for = std::move(reason)};
}

FolderQuantization describe(const Plan& plan, const Companion* companion) {
  const LinearLayers layers = find_linear_layers(plan);
  if (layers.coded.empty()) return {};
  const HeldKind& kind = kFloat8InverseLayout.holds.front();
  FolderQuantization result;
  add_note_on_experts(result.notes, plan, companion);
  const ExpertModel* model = find_expert_model(companion);
  const bool has_expert =
      std::ranges::any_of(layers.coded, [](const CodedLayer& layer) { return is_of_one_expert(layer.name); });
  if (has_expert && model != nullptr && model->is_apart_as_codes) {
    result.notes.push_back(formatted(
        "the experts of a {} lie one by one, which transformers loads of compressed-tensors alone", model->type));
  }
  result.config = Json{{"quant_method", kFloat8Format.name},
                       {"fmt", "e4m3"},
                       {"activation_scheme", "dynamic"},
                       {"weight_block_size", std::vector<std::uint64_t>{kind.group_rows, kind.group_size}},
                       {"modules_to_not_convert", names_left(layers, companion)}};
  return result;
}

const QuantizationMethod kMethod{.quant_method = "fp8", .describe = describe};

}  // namespace

const Format kFloat8Format{
    .name = "fp8",
    .open_sink = open_foreign_shard,
    .storage = {.title = kTitle,
                .advice = "leave the key unset, or write safetensors",
                .layout = &kFloat8InverseLayout,
                .rule = rule_of_float8,
                .experts = ExpertForm::kApart},
    .is_folder = true,
    .is_for_codes = true,
    .quantization = &kMethod,
};

}  // namespace mnq
