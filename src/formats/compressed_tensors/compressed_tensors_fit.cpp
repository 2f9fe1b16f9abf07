// What compressed-tensors can hold of quantized weights.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/format.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

bool is_for_layers(const FoundValue& found) { return found.source >= ValueSource::kConfigLayers; }

bool is_head(const FitRequest& request) {
  const auto heads = output_heads(request.companion);
  return request.layer.is_sensitive ||
         std::ranges::any_of(heads, [&](const std::string& head) { return is_module(request.layer.name.name, head); });
}

// Why the layer stays float; empty where it may be quantized.
std::string reason_against(const FitRequest& request) {
  const Layer& layer = request.layer;
  const std::string_view kind = layer.kind == nullptr ? "" : layer.kind->name;
  if (kind == "Conv1D") return "compressed-tensors holds Linear layers only, and in this model it is a Conv1D";
  if (kind == "Experts") return "compressed-tensors holds Linear layers only, and this is all experts in one tensor";
  if (kind != "Linear" || !layer.name.tensor.ends_with(".weight") || request.wanted.shape.size() != 2) {
    return "compressed-tensors holds Linear layers only";
  }
  if (layer.is_router) return "compressed-tensors holds Linear layers only, and the router of experts is none";
  if (is_head(request) && !request.is_selected && !request.is_stored) {
    const std::string& name = layer.name.name;
    return formatted("compressed-tensors leaves {} as it is unless it is selected", name.substr(name.rfind('.') + 1));
  }
  return "";
}

[[noreturn]] void fail(const FitRequest& request, const char* key, const std::string& what) {
  throw Error(Status::kConfig, formatted("layer {}: {}", request.layer.name.name, what),
              "leave the key unset, or write safetensors", key);
}

// Changes what the format has no place for, and says so.
std::string fit_scales(const FitRequest& request, QuantizedSpec& spec) {
  std::string reason;
  if (scheme_of(spec).has_minima) {
    spec.scheme = find_scheme_of_bits(code_bits(spec))->name;
    spec.symmetric = false;
    reason = "quantized anew: compressed-tensors has no float minima";
  }
  if (spec.granularity == Granularity::kTensor) {
    if (!request.is_stored) {
      fail(request, "per_channel", "compressed-tensors is written with a scale for each channel or group");
    }
    spec.granularity = Granularity::kChannel;
    reason = "quantized anew, per channel: compressed-tensors has no other scale";
  }
  if (spec.channel_axis != 0) {
    if (!request.is_stored) fail(request, "channel_axis", "compressed-tensors has its channels on axis 0");
    spec.channel_axis = 0;
    reason = "quantized anew: compressed-tensors has its channels on axis 0";
  }
  const std::uint64_t columns = static_cast<std::uint64_t>(spec.shape[1]);
  if (spec.granularity == Granularity::kGroup && columns % spec.group_size != 0) {
    reason = formatted("per channel: groups of {} do not divide {} columns", spec.group_size, columns);
    spec.granularity = Granularity::kChannel;
    spec.group_size = 0;
  }
  return reason;
}

// Whether this layer differs from what was asked for all: then activation_bits for all may pass it by.
bool has_own_scheme(const FitRequest& request) {
  return std::ranges::any_of(std::array{"dtype", "bits", "symmetric", "group_size"}, [&](const char* key) {
    return is_for_layers(request.config.find(key, request.layer.name));
  });
}

void fit_activations(const FitRequest& request, QuantizedSpec& spec, std::string& reason) {
  const FoundValue wanted = request.config.find("activation_bits", request.layer.name);
  if (wanted.value != "8") return;
  if (may_run_in_integers(spec)) {
    spec.activation_bits = 8;
  } else if (!request.is_stored && (is_for_layers(wanted) || !has_own_scheme(request))) {
    fail(request, "activation_bits", "activations of 8 bits need int8 weights, symmetric and per channel");
  } else if (reason.empty()) {
    reason = "activations stay float: 8 bits need int8 weights, symmetric and per channel";
  }
}

// What its readers look for beside a weight, whatever its scheme.
constexpr std::array kSuffixes{compressed_tensors::kPackedSuffix, compressed_tensors::kScaleSuffix,
                               compressed_tensors::kZeroPointSuffix, compressed_tensors::kShapeSuffix};

}  // namespace

Fit fit_compressed_tensors(const FitRequest& request) {
  QuantizedSpec spec = request.wanted;
  if (!is_coded(spec)) return {spec, ""};
  if (std::string reason = reason_against(request); !reason.empty()) return {std::nullopt, std::move(reason)};
  std::string reason = fit_scales(request, spec);
  if (!request.is_stored || !reason.empty()) {
    spec.has_free_scales = false;
    spec.scale_dtype = spec.weight_dtype == DType::kF64 ? DType::kF32 : spec.weight_dtype;
    fit_activations(request, spec, reason);
  }
  return {spec, reason, &integer_layout(spec, needs_plain_weights(request.companion)), nullptr, kSuffixes};
}

}  // namespace mnq
