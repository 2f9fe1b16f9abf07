// Tensors that are no weights as they are, since another tool quantized or took them apart: GPTQ's codes, MLX's, the
// empty names of a ZeRO-3 part. Nothing here reads them as weights, and no job may take them for such. To add a kind: a
// row in foreign_tensors.cpp.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/quantized_weight.h"
#include "base/tensor_source.h"

namespace mnq {

struct ForeignTensors {
  std::string what;       ///< "is quantized by GPTQ"
  std::string advice;     ///< what to do instead
  std::string example;    ///< the name of one of them
  std::size_t count = 0;  ///< of weights
  bool is_part = false;   ///< of a checkpoint: most of it is not here

  /// "is quantized by GPTQ (224 weights, as model.layers.0.mlp.up_proj.qweight)"
  std::string text() const;
};

/// By names and dtypes of what our own metadata does not explain. Empty where all are weights or what comes with them.
std::optional<ForeignTensors> find_foreign_tensors(std::span<const LogicalTensor> logical);

/// Throws kUnsupported where there are some.
void refuse_foreign_tensors(const TensorSource& source, std::span<const LogicalTensor> logical);

}  // namespace mnq
