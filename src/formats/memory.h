// Models that live in memory: named tensors as a source, and the sink that makes one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/tensor_source.h"

namespace mnq {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// Errors: kInvalidArg for a name that is empty, not UTF-8 or there twice.
std::shared_ptr<const TensorSource> make_memory_source(std::vector<NamedTensor> tensors, Metadata metadata);

/// A sink whose tensors become `model` at commit.
std::unique_ptr<TensorSink> open_memory_sink(const std::vector<TensorInfo>& tensors,
                                             std::shared_ptr<const TensorSource>& model);

}  // namespace mnq
