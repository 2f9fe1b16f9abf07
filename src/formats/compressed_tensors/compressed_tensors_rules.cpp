// What the rows of its layouts cannot say of compressed-tensors: it holds Linear layers only, and some models need
// another layout.
#include <algorithm>

#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

bool is_head(const WeightRequest& request) {
  const auto heads = output_heads(request.companion);
  return request.layer.is_sensitive ||
         std::ranges::any_of(heads, [&](const std::string& head) { return is_module(request.layer.name.name, head); });
}

// Why the layer stays float; empty where it may be quantized.
std::string reason_against(const WeightRequest& request) {
  const Layer& layer = request.layer;
  const std::string_view kind = layer.kind == nullptr ? "" : layer.kind->name;
  if (kind == "Conv1D") return "compressed-tensors holds Linear layers only, and in this model it is a Conv1D";
  if (kind == "Experts") return "compressed-tensors holds Linear layers only, and this is all experts in one tensor";
  if (kind != "Linear" || !layer.name.tensor.ends_with(".weight") || request.wanted.shape.size() != 2) {
    return "compressed-tensors holds Linear layers only";
  }
  if (layer.is_router) return "compressed-tensors holds Linear layers only, and the router of experts is none";
  if (is_head(request) && !request.is_selected && !request.is_stored) {
    const std::string_view name = layer.name.name;
    return formatted("compressed-tensors leaves {} as it is unless it is selected", name.substr(name.rfind('.') + 1));
  }
  return "";
}

}  // namespace

WeightRule rule_of_compressed_tensors(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  return {.leaves_for = reason_against(request)};
}

const Layout& layout_for_model(const QuantizedSpec& spec, const Companion* companion) {
  const Scheme& scheme = scheme_of(spec);  // of floats of 8 bits its readers know E4M3 alone
  if (scheme.floats != nullptr && scheme.code_dtype == DType::kF8E4M3) return kFloatQuantizedLayout;
  return integer_layout(spec, needs_plain_weights(companion));
}

}  // namespace mnq
