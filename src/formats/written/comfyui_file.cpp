// ComfyUI's files: one safetensors file, whose metadata says which layers are floats of 8 bits, with one scale each.
// It is recognised and read as the safetensors file that it is.
// Source: ComfyUI/QUANTIZATION.md
#include "base/text/json.h"
#include "formats/safetensors/safetensors.h"
#include "formats/written/linear_layers.h"
#include "formats/written/written_formats.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

constexpr std::string_view kTitle = "ComfyUI";

WeightRule rule_of_comfyui(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  return {.leaves_for = reason_to_stay_float(kTitle, request)};
}

// As PyTorch calls it.
Json format_of(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return Json{{"format", std::string(scheme.name) + (scheme.code_dtype == DType::kF8E4M3 ? "fn" : "")}};
}

std::unique_ptr<TensorSink> open_file(const SinkRequest& request, const OpenByteSink& open) {
  Json layers = Json::object();
  for (std::size_t item = 0; item < request.plan.size(); ++item) {
    const PlannedTensor& planned = request.plan.tensor(item);
    if (!has_codes(planned, request.plan.logical(item))) continue;
    layers.add(std::string(planned.layer.name.name), format_of(planned.spec));
  }
  Metadata metadata = request.metadata;
  const Json text{{"format_version", "1.0"}, {"layers", std::move(layers)}};
  metadata.insert_or_assign("_quantization_metadata", text.dump());
  return open_plain_safetensors_sink(request.plan, metadata, open);
}

}  // namespace

const Format kComfyFormat{
    .name = "comfyui",
    .recognises = [](std::span<const std::byte>, const std::shared_ptr<const ByteSource>&) { return false; },
    .open_source = open_safetensors_source,
    .open_sink = open_file,
    .storage = {.title = kTitle,
                .advice = "leave the key unset, or write safetensors",
                .layout = &kComfyLayout,
                .rule = rule_of_comfyui},
    .is_for_codes = true,
};

}  // namespace mnq
