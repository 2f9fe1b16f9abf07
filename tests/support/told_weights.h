// A checkpoint whose quantized weights a test tells: for schemes and layouts that no format of its own has yet.
#pragma once

#include <memory>
#include <vector>

#include "base/tensor_source.h"
#include "layouts/layout.h"

namespace mnq::test {

struct ToldWeight {
  std::string name;
  QuantizedSpec spec;
  const Layout* layout = nullptr;
};

/// Tensors of another source; the parts of each weight are found by their names.
class ToldWeights final : public TensorSource {
 public:
  ToldWeights(std::shared_ptr<const TensorSource> inner, std::vector<ToldWeight> weights)
      : inner_(std::move(inner)), told_(std::move(weights)) {
    tensors_ = inner_->tensors();
    metadata_ = inner_->metadata();
  }
  std::string_view format() const override { return inner_->format(); }
  std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
  std::shared_ptr<const std::byte> view(std::size_t tensor) const override { return inner_->view(tensor); }
  void read(std::size_t tensor, std::uint64_t offset, std::span<std::byte> into) const override {
    inner_->read(tensor, offset, into);
  }

 private:
  LogicalTensors find_weights() const override {
    LogicalTensors found;
    for (const ToldWeight& told : told_) {
      LogicalTensor& weight = found.tensors.emplace_back();
      weight.name = told.name;
      weight.dtype = told.spec.weight_dtype;
      weight.shape = told.spec.shape;
      weight.spec = told.spec;
      weight.layout = told.layout;
      for (const StoredPart& part : told.layout->parts(told.spec)) {
        weight.parts.push_back(find(part_name(told.name, part)));
      }
    }
    return complete(std::move(found));
  }

  std::shared_ptr<const TensorSource> inner_;
  std::vector<ToldWeight> told_;
};

}  // namespace mnq::test
