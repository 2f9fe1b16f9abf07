// Models that live in memory: named tensors as a source, and the sink that makes one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/format.h"
#include "plan/own_metadata.h"

namespace mnq {

struct NamedTensor {
  std::string name;
  Tensor tensor;
  std::optional<LayerHint> hint = {};  ///< where its layer is known
  std::vector<std::string> ties = {};  ///< other names of it
};

/// own: what the tensors are of quantized weights; none. Errors: kInvalidArg for a name that is empty, not UTF-8 or
/// there twice.
std::shared_ptr<const TensorSource> make_memory_source(std::vector<NamedTensor> tensors, Metadata metadata,
                                                       std::optional<OwnMetadata> own = std::nullopt);

/// A sink whose tensors become `model` at commit. What the source knows of layers, the model knows.
std::unique_ptr<TensorSink> open_memory_sink(const SinkRequest& request, std::shared_ptr<const TensorSource>& model);

}  // namespace mnq
