// Names, dtypes and shapes without data, as a source: to find the quantized weights among what a sink is given.
#pragma once

#include "base/tensor_source.h"

namespace mnq {

class CollectedTensors final : public TensorSource {
 public:
  CollectedTensors(std::vector<TensorInfo> tensors, Metadata metadata) {
    tensors_ = std::move(tensors);
    metadata_ = std::move(metadata);
  }
  std::string_view format() const override { return "memory"; }
  std::uint64_t size_bytes() const override { return 0; }
  void read(std::size_t, std::uint64_t, std::span<std::byte>) const override {}
  std::shared_ptr<const std::byte> view(std::size_t) const override { return nullptr; }
};

}  // namespace mnq
