// What the rows of its layouts cannot say of compressed-tensors: it holds Linear layers only, and some models need
// another layout.
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "formats/written/linear_layers.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {

WeightRule rule_of_compressed_tensors(const WeightRequest& request) {
  if (!is_coded(request.wanted)) return {};
  return {.leaves_for = reason_to_stay_float(kCompressedTensorsFormat.name, request)};
}

const Layout& layout_for_model(const QuantizedSpec& spec, const Companion* companion) {
  const Scheme& scheme = scheme_of(spec);  // of floats of 8 bits its readers know E4M3 alone
  if (scheme.floats != nullptr && scheme.code_dtype == DType::kF8E4M3) return kFloatQuantizedLayout;
  return integer_layout(spec, needs_plain_weights(companion));
}

}  // namespace mnq
