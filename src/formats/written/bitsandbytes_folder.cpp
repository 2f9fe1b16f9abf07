// bitsandbytes' folders: 4 bits in blocks of 64.
// Source: transformers/utils/quantization_config.py, BitsAndBytesConfig, 5.24; bitsandbytes/nn/modules.py, 0.50
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/format.h"
#include "formats/folder/quantization_methods.h"
#include "formats/written/linear_layers.h"
#include "formats/written/written_formats.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::string_view kTitle = "bitsandbytes";
constexpr std::int64_t kBlock = 64;

// Linear layers that transformers does not make those of bitsandbytes: such as stay float32 in the model, and one in a
// MultiheadAttention. Source: _keep_in_fp32_modules of models/*/modeling_*.py, 5.24
struct Unconverted {
  std::string_view type, end;  // in config.json, empty: of any; of the layer's name
};
constexpr auto kUnconverted = std::to_array<Unconverted>({
    {"", "head.attention.out_proj"},
    {"aria", ".multihead_attn.out_proj"},
    {"axk2", ".indexer.weights_proj"},
    {"deepseek_v32", ".indexer.weights_proj"},
    {"falcon", ""},  // its layers are a class of their own
    {"glm_moe_dsa", ".indexer.weights_proj"},
    {"higgs_audio_v2", "audio_lm_head"},
    {"ibert", ""},
    {"mt5", ".wo"},
    {"pop2piano", ".wo"},
    {"t5", ".wo"},
    {"udop", ".wo"},
    {"umt5", ".wo"},
    {"wavlm", "_proj"},
});

bool is_converted(const WeightRequest& request) {
  return std::ranges::none_of(kUnconverted, [&](const Unconverted& each) {
    const bool is_of = each.type.empty() || has_model_type(request.companion, {&each.type, 1});
    return is_of && request.layer.name.name.ends_with(each.end);
  });
}

std::string reason_of_transformers(const WeightRequest& request) {
  if (is_of_one_expert(request.layer.name.name)) {
    return "bitsandbytes holds Linear layers only, and transformers has all experts of a layer in one tensor";
  }
  return is_converted(request) ? "" : "transformers makes no layer of bitsandbytes of it";
}

// Blocks may reach over the ends of rows there; here they are not made so.
WeightRule rule_of_bitsandbytes(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  std::string reason = reason_to_stay_float(kTitle, request);
  if (reason.empty()) reason = reason_against_split(request);
  if (reason.empty() && !request.is_held) reason = reason_of_transformers(request);
  const Shape& shape = request.wanted.shape;
  if (reason.empty() && shape[1] % kBlock != 0) {
    reason = formatted("bitsandbytes' blocks of {} do not divide {} columns", kBlock, shape[1]);
  }
  return {.leaves_for = std::move(reason)};
}

void require_one_kind(const std::vector<CodedLayer>& layers) {
  const std::string& kind = layers.front().spec().scheme;
  const auto other = std::ranges::find_if(layers, [&](const CodedLayer& layer) { return layer.spec().scheme != kind; });
  if (other == layers.end()) return;
  throw Error(Status::kUnsupported,
              formatted("layer {}: bitsandbytes has one kind of 4 bits for all layers, and {} is {}", other->name,
                        layers.front().name, kind),
              "give all layers one dtype", other->name);
}

std::string compute_dtype(const QuantizedSpec& spec) {
  const bool is_double = spec.weight_dtype == DType::kF64;
  const DType dtype = is_double ? DType::kF32 : spec.weight_dtype;
  return formatted("{}{}", dtype == DType::kBF16 ? "bfloat" : "float", dtype_bits(dtype));
}

FolderQuantization describe(const Plan& plan, const Companion* companion) {
  const LinearLayers layers = find_linear_layers(plan);
  if (layers.coded.empty()) return {};
  require_one_kind(layers.coded);
  const QuantizedSpec& spec = layers.coded.front().spec();
  FolderQuantization result;
  result.config = Json{{"quant_method", kBitsandbytesFormat.name},
                       {"load_in_4bit", true},
                       {"load_in_8bit", false},
                       {"bnb_4bit_quant_type", spec.scheme},
                       {"bnb_4bit_use_double_quant", false},
                       {"bnb_4bit_compute_dtype", compute_dtype(spec)},
                       {"bnb_4bit_quant_storage", "uint8"},
                       {"llm_int8_skip_modules", names_left(layers, companion)}};
  return result;
}

const QuantizationMethod kMethod{.quant_method = "bitsandbytes", .describe = describe};

}  // namespace

const Format kBitsandbytesFormat{
    .name = "bitsandbytes",
    .open_sink = open_foreign_shard,
    .storage = {.title = kTitle,
                .advice = "leave the key unset, or write safetensors",
                .layout = &kBitsandbytes4Layout,
                .rule = rule_of_bitsandbytes},
    .is_folder = true,
    .is_for_codes = true,
    .quantization = &kMethod,
};

}  // namespace mnq
