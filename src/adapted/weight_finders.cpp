#include "adapted/weight_finders.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "adapted/left_layers.h"
#include "adapted/missing_parts.h"
#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "layouts/stored_specs.h"

namespace mnq {
namespace {

constexpr std::array<WeightFinder, 6> kFinders{find_gptq_weight,        find_bitsandbytes_weight, find_mlx_weight,
                                               find_small_float_weight, find_gpt_oss_weight,      find_float8_weight};

constexpr std::array<std::string_view, 9> kActivationScales{".input_scale",       ".input_zero_point", ".output_scale",
                                                            ".output_zero_point", ".scale_input",      ".qscale_act",
                                                            ".activation_scale",  ".k_scale",          ".v_scale"};

constexpr const char* kComfyKey = "_quantization_metadata";

// Of the model, or of its part that has the words.
std::optional<DType> dtype_of_config(const Companion* companion) {
  if (companion == nullptr || companion->config.empty()) return std::nullopt;
  const Json config = parse_python_json(companion->config);
  if (!config.is_object()) return std::nullopt;
  const Json* part = config.find("text_config");
  for (const Json* each : {&config, part}) {
    if (each == nullptr || !each->is_object()) continue;
    for (const char* key : {"dtype", "torch_dtype"}) {
      if (const auto dtype = find_float_dtype(text_in(*each, key))) return dtype;
    }
  }
  return std::nullopt;
}

// The layers that ComfyUI's metadata names; none where that is damaged.
std::set<std::string> layers_of_metadata(const TensorSource& source) {
  std::set<std::string> names;
  const auto found = source.metadata().find(kComfyKey);
  if (found == source.metadata().end()) return names;
  try {
    const Json metadata = parse_json(found->second);
    const Json* layers = metadata.is_object() ? metadata.find("layers") : nullptr;
    if (layers == nullptr || !layers->is_object()) return names;
    for (const auto& [name, format] : layers->members()) names.insert(name);
  } catch (const Error& error) {
    if (error.status() != Status::kFormat) throw;
  }
  return names;
}

// Whether all of a method's weights are floats of 8 bits, but for those of layers that it leaves.
bool is_of_float8(const Json& config) {
  const std::string method = text_in(config, "quant_method");
  return method == "fp8" || method == "fbgemm_fp8" || method == mxfp8_scheme().name ||
         (method == "modelopt" && text_in(config, "quant_algo") == "FP8");
}

void require_comfy_parts(const NamedTensors& tensors, const AdaptedWeights& found) {
  constexpr std::string_view kScale = "_scale";
  const std::set<std::string> layers = layers_of_metadata(tensors.source());
  for (const std::string& layer : layers) {
    const std::string codes = layer + ".weight";
    if (tensors.find(codes + std::string(kScale)) && !tensors.find(codes)) {
      tensors.fail(codes, formatted("is missing, though {}{} is there", codes, kScale));
    }
  }
  require_scales(tensors, found.weights, kScale, "the metadata",
                 [&](const std::string& layer) { return layers.contains(layer); });
}

void require_parts(const NamedTensors& tensors, const Json& config, const AdaptedWeights& found) {
  require_comfy_parts(tensors, found);
  if (config.is_null()) return;
  const bool is_float8 = is_of_float8(config);
  if (is_float8 || text_in(config, "quant_method") == find_mx_scheme(4)->name) {
    require_known_codes(tensors, found.weights);
  }
  require_no_bare_codes(tensors, found.weights);
  if (!is_float8) return;
  require_scales(tensors, found.weights, config.contains("weight_block_size") ? "_scale_inv" : "_scale", "config.json",
                 [&](const std::string& layer) { return !may_leave(config, layer); });
}

void drop_activation_scales(const NamedTensors& tensors, AdaptedWeights& found) {
  const std::size_t before = found.dropped.size();
  for (const LogicalTensor& weight : found.weights) {
    for (const std::string_view suffix : kActivationScales) {
      if (const auto index = tensors.find(stem_of(weight.name) + std::string(suffix))) found.dropped.insert(*index);
    }
  }
  const std::size_t count = found.dropped.size() - before;
  if (count > 0) found.remarks.push_back(formatted("{} scales of activations are not carried on", count));
}

// The tensor by which ComfyUI marks a layer.
std::string comfy_mark_of(const std::string& weight) { return stem_of(weight) + ".comfy_quant"; }

void drop_marks(const NamedTensors& tensors, AdaptedWeights& found) {
  if (const auto marker = tensors.find("scaled_fp8")) found.dropped.insert(*marker);
  for (const LogicalTensor& weight : found.weights) {
    if (const auto marker = tensors.find(comfy_mark_of(weight.name))) found.dropped.insert(*marker);
  }
}

// Factors of what goes into a layer, which its weight was divided by.
void refuse_input_scales(const NamedTensors& tensors, const AdaptedWeights& found) {
  for (const LogicalTensor& weight : found.weights) {
    const std::string name = stem_of(weight.name) + ".pre_quant_scale";
    if (tensors.find(name)) tensors.refuse(name, "scales the inputs of its layer, which is not undone");
  }
}

}  // namespace

void refuse_swizzled(const FinderInput& input, const TensorInfo& codes) {
  if (input.tensors.source().metadata().contains(kComfyKey) || input.tensors.find(comfy_mark_of(codes.name))) {
    input.tensors.refuse(codes.name, "ComfyUI's scales of groups are in an order that is not read");
  }
}

std::int64_t number_in(const Json& config, std::string_view key, std::int64_t otherwise) {
  const Json* found = config.is_object() ? config.find(key) : nullptr;
  return found != nullptr && found->is_integer() ? found->get<std::int64_t>() : otherwise;
}

bool is_true_in(const Json& config, std::string_view key, bool otherwise) {
  const Json* found = config.is_object() ? config.find(key) : nullptr;
  return found != nullptr && found->is_boolean() ? found->get<bool>() : otherwise;
}

std::string text_in(const Json& config, std::string_view key) {
  const Json* found = config.is_object() ? config.find(key) : nullptr;
  return found != nullptr && found->is_string() ? found->text() : std::string();
}

// Scales say little of it: they are often wider.
DType model_dtype_of(const TensorSource& source) {
  if (const auto dtype = dtype_of_config(source.companion())) return *dtype;
  std::map<DType, std::size_t> counts;
  for (const TensorInfo& info : source.tensors()) {
    const bool is_scale = info.name.find("scale") != std::string::npos || info.name.find("absmax") != std::string::npos;
    if (is_weight_dtype(info.dtype) && !is_scale && element_count(info.shape) > 1) ++counts[info.dtype];
  }
  const auto most = std::ranges::max_element(counts, {}, [](const auto& row) { return row.second; });
  return most == counts.end() ? DType::kBF16 : most->first;
}

AdaptedWeights find_known_weights(const TensorSource& source, const Json& config, bool is_part) {
  AdaptedWeights found;
  const NamedTensors tensors(source);
  const FinderInput input{tensors, config, model_dtype_of(source), found.remarks, found.dropped, is_part};
  for (const TensorInfo& info : source.tensors()) {
    for (const WeightFinder finder : kFinders) {
      auto weight = finder(input, info);
      if (!weight) continue;
      found.weights.push_back(std::move(*weight));
      break;
    }
  }
  if (!is_part) require_parts(tensors, config, found);
  drop_activation_scales(tensors, found);
  drop_marks(tensors, found);
  refuse_input_scales(tensors, found);
  for (const LogicalTensor& weight : found.weights) {
    for (const std::size_t part : weight.parts) found.dropped.erase(part);
  }
  return found;
}

// What a config calls its method: a checkpoint of another may look alike, and mean something else.
bool is_known_method(std::string_view quant_method) {
  constexpr std::array<std::string_view, 8> kMethods{"fp8",          "fbgemm_fp8", "gptq", "awq",
                                                     "bitsandbytes", "modelopt",   "mlx",  "auto-round"};
  return std::ranges::find(kMethods, quant_method) != kMethods.end() || quant_method == find_mx_scheme(4)->name ||
         quant_method == mxfp8_scheme().name;
}

std::unique_ptr<TensorSource> adapt_known_weights(std::unique_ptr<TensorSource> source, const Json& config,
                                                  bool is_part) {
  AdaptedWeights found = find_known_weights(*source, config, is_part);
  if (found.weights.empty() && config.is_null()) return source;
  if (found.weights.empty()) {
    throw Error(
        Status::kUnsupported,
        formatted("{}: config.json says that it is quantized, but none of its tensors has such codes", source->title()),
        "fetch weights and config.json again, or pass the float checkpoint it was made from", source->title());
  }
  return show_weights(std::move(source), std::move(found), "", {kComfyKey},
                      {"hf_quant_config.json", "quantize_config.json", "quant_config.json"});
}

bool has_known_weights(const TensorSource& source) {
  constexpr std::array<std::string_view, 5> kSuffixes{".qweight", ".absmax", ".SCB", "_scale_inv", "_scale_2"};
  constexpr std::array kDTypes{DType::kF8E4M3, DType::kF8E5M2, DType::kF8E8M0};
  const auto has = [&](const TensorInfo& info) {
    const auto ends = [&](std::string_view suffix) { return info.name.ends_with(suffix); };
    return std::ranges::any_of(kSuffixes, ends) || std::ranges::find(kDTypes, info.dtype) != kDTypes.end() ||
           (info.dtype == DType::kU8 && (ends("_blocks") || ends("_scales") || ends("_packed"))) ||
           (info.dtype == DType::kU32 && ends(".weight"));
  };
  return source.metadata().contains(kComfyKey) || std::ranges::any_of(source.tensors(), has);
}

}  // namespace mnq
