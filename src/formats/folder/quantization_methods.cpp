#include "formats/folder/quantization_methods.h"

#include <algorithm>
#include <array>

#include "adapted/missing_parts.h"
#include "adapted/weight_finders.h"
#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json_text.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/folder/folder_loaders.h"

namespace mnq {
namespace {

constexpr std::array kMethods{&kCompressedTensorsMethod};

std::string list_methods() {
  std::string names;
  for (const QuantizationMethod* method : kMethods) {
    names += (names.empty() ? "" : ", ") + std::string(method->quant_method);
  }
  return names;
}

[[noreturn]] void refuse_method(const std::string& title, const std::string& name) {
  throw Error(
      Status::kUnsupported,
      formatted("{}: is quantized by {}, which is not supported, or has no such tensors; read are: {}, fp8, gptq, "
                "awq, bitsandbytes, modelopt and mlx",
                title, name, list_methods()),
      "pass the float checkpoint it was made from", title);
}

constexpr const char* kMlx = "mlx";

std::string method_name(const Json& quantization) {
  if (!quantization.is_object()) return "an unknown method";
  const Json* said = quantization.find("quant_method");
  if (said != nullptr && said->is_string()) return said->text();
  const bool is_mlx = quantization.find("group_size") != nullptr && quantization.find("bits") != nullptr;
  return is_mlx ? kMlx : "an unknown method";
}

// Older folders of compressed-tensors have another name for it.
constexpr std::array<const char*, 3> kMembers{"quantization_config", "quantization", "compression_config"};

const Json* find_member(const Json& config) {
  for (const char* key : kMembers) {
    const Json* found = config.find(key);
    if (found != nullptr && !found->is_null()) return found;
  }
  return nullptr;
}

// Of models of several parts it may be their text's alone.
const Json* find_text_part(const Json& config) {
  const Json* part = config.find("text_config");
  return part != nullptr && part->is_object() && find_member(*part) != nullptr ? part : nullptr;
}

// What a folder says of quantization; null: nothing. MLX goes by a member of its own, which has no name of its method.
const Json* find_quantization(const Json& config) {
  if (!config.is_object()) return nullptr;
  const Json* own = config.find("quantization");
  if (own != nullptr && method_name(*own) == kMlx) return own;
  if (const Json* found = find_member(config)) return found;
  const Json* part = find_text_part(config);
  return part == nullptr ? nullptr : find_member(*part);
}

bool has_known_tensors(const TensorSource& source) {
  return source.own_metadata() == nullptr && has_known_weights(source);
}

}  // namespace

std::unique_ptr<TensorSource> adapt_quantized_folder(std::unique_ptr<TensorSource> source, const Json& config,
                                                     bool is_part) {
  const Json* quantization = find_quantization(config);
  if (quantization == nullptr) {
    return has_known_tensors(*source) ? adapt_known_weights(std::move(source), nullptr, is_part) : std::move(source);
  }
  if (is_plain_folder(*quantization)) return source;  // its metadata says how
  const std::string name = method_name(*quantization);
  const auto method = std::ranges::find(kMethods, name, &QuantizationMethod::quant_method);
  if (method != kMethods.end()) return (*method)->adapt(std::move(source), *quantization, is_part);
  if (!is_known_method(name)) refuse_method(source->title(), name);
  if (!is_part) require_codes(NamedTensors(*source));
  if (!has_known_tensors(*source)) refuse_method(source->title(), name);
  return adapt_known_weights(std::move(source), *quantization, is_part);
}

std::string without_other_quantization(const std::string& text) {
  std::string rest = with_member(text, kMembers.back(), nullptr);
  const Json config = parse_python_json(text);
  const Json* part = config.is_object() ? find_text_part(config) : nullptr;
  if (part == nullptr) return rest;
  Json kept = Json::object();
  for (const auto& [key, value] : part->members()) {
    if (std::ranges::find(kMembers, std::string_view(key)) == kMembers.end()) kept.add(key, value);
  }
  return with_member(rest, "text_config", kept);
}

bool may_be_of_quantized_folder(const TensorSource& source) {
  if (source.own_metadata() != nullptr) return false;
  return has_known_weights(source) || std::ranges::any_of(kMethods, [&](const QuantizationMethod* method) {
           return method->has_such_names(source);
         });
}

}  // namespace mnq
