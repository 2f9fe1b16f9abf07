// One shard of a compressed-tensors folder: a safetensors file without our metadata, which its config.json stands for.
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "formats/safetensors/safetensors.h"

namespace mnq {

std::unique_ptr<TensorSink> open_compressed_tensors_sink(const SinkRequest& request, const OpenByteSink& open) {
  Metadata metadata = request.metadata;
  for (std::size_t item = 0; item < request.plan.size(); ++item) {
    const PlannedTensor& planned = request.plan.tensor(item);
    if (has_codes(planned, request.plan.logical(item)) && planned.spec.has_free_scales) {
      metadata.insert_or_assign(std::string(compressed_tensors::kFreeScalesKey), "true");
    }
  }
  return open_plain_safetensors_sink(request.plan, metadata, open);
}

}  // namespace mnq
