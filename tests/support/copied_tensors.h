// A plan that copies tensors as they are listed, for tests of sinks alone.
#pragma once

#include <memory>
#include <vector>

#include "formats/format.h"

namespace mnq::test {

/// A tensor, or a quantized weight that a sink gets in its own layout.
struct CopiedWeight {
  std::string name;
  std::optional<QuantizedSpec> spec = {};
  const Layout* layout = nullptr;
  std::optional<double> sqnr_db = {};
};

class CopiedTensors {
 public:
  explicit CopiedTensors(const std::vector<TensorInfo>& tensors, Metadata metadata = {})
      : metadata_(std::move(metadata)) {
    for (const TensorInfo& info : tensors) {
      logical_.push_back({info.name, info.dtype, info.shape, {logical_.size()}, {}, nullptr, {}, {}, {}});
      add().outputs.push_back({info, logical_.size() - 1});
    }
    finish();
  }

  /// Weights that stay quantized as they are, and floats of one element.
  explicit CopiedTensors(const std::vector<CopiedWeight>& weights) {
    for (const CopiedWeight& weight : weights) {
      LogicalTensor& tensor = logical_.emplace_back();
      tensor.name = weight.name;
      tensor.spec = weight.spec;
      tensor.layout = weight.layout;
      tensor.sqnr_db = weight.sqnr_db;
      if (weight.spec) tensor.shape = weight.spec->shape;
      PlannedTensor& planned = add();
      if (!weight.spec) {
        planned.outputs.push_back({{weight.name, DType::kF32, {1}, 4}});
        continue;
      }
      planned.spec = *weight.spec;
      planned.layout = weight.layout;
      for (const StoredPart& part : weight.layout->parts(*weight.spec)) {
        planned.outputs.push_back({{weight.name + std::string(part.suffix), part.dtype, part.shape,
                                    *checked_size_bytes(part.dtype, part.shape)}});
      }
    }
    finish();
  }

  SinkRequest request(const Companion* companion = nullptr) const { return {PlanSlice(plan_), metadata_, companion}; }
  PlanSlice slice() const { return PlanSlice(plan_); }
  std::vector<double> no_sqnr() const { return std::vector<double>(plan_.tensors.size()); }

 private:
  PlannedTensor& add() {
    PlannedTensor& planned = plan_.tensors.emplace_back();
    planned.logical = plan_.tensors.size() - 1;
    return planned;
  }

  void finish() {
    plan_.logical = logical_;
    for (PlannedTensor& planned : plan_.tensors) {
      const std::string& name = logical_[planned.logical].name;
      planned.layer.name = {name, name};
    }
  }

  Metadata metadata_;
  std::vector<LogicalTensor> logical_;
  Plan plan_;
};

}  // namespace mnq::test
