#include "formats/safetensors/safetensors.h"
#include "formats/written/written_formats.h"

namespace mnq {

std::unique_ptr<TensorSink> open_foreign_shard(const SinkRequest& request, const OpenByteSink& open) {
  return open_plain_safetensors_sink(request.plan, request.metadata, open);
}

}  // namespace mnq
