// What the rows of its layouts cannot say of compressed-tensors: it holds Linear layers only, and some models need
// another layout.
#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/compressed_tensors/compressed_tensors_models.h"
#include "formats/written/linear_layers.h"
#include "layouts/layouts.h"
#include "schemes/scheme.h"

namespace mnq {

WeightRule rule_of_compressed_tensors(const WeightRequest& request) {
  const QuantizedSpec& wanted = request.wanted;
  if (!is_coded(wanted)) return {};
  std::string reason = reason_to_stay_float(kCompressedTensorsFormat.name, request);
  const bool needs_whole_groups = reason.empty() && scheme_of(wanted).has_fixed_groups && wanted.group_size != 0;
  if (needs_whole_groups && static_cast<std::uint64_t>(wanted.shape.back()) % wanted.group_size != 0) {
    reason = formatted("groups of {} do not divide {} columns", wanted.group_size, wanted.shape.back());
  }
  return {.leaves_for = std::move(reason)};
}

const Layout& layout_for_model(const QuantizedSpec& spec, const Companion* companion) {
  return compressed_layout(spec, needs_plain_weights(companion));
}

}  // namespace mnq
