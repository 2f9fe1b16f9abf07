// What a method writes to, by LibTorch's own analysis of which values may share memory: a write through a view, a list
// or a branch of code is seen where it lands.
#pragma once

#include <string>
#include <vector>

#include "torch/libtorch.h"

namespace mnq::libtorch {

struct MethodWrites {
  struct Attribute {
    jit::Node* read = nullptr;  ///< prim::GetAttr of a tensor, or of what holds tensors
    std::string by;             ///< the operator that writes to it
  };
  std::vector<Attribute> attributes;
  bool changes_state = false;  ///< attributes are written to, or assigned
  bool writes_inputs = false;  ///< a tensor that was given is written to, or kept
};

/// graph: of a method, its calls inlined; its inputs are replaced on the way.
MethodWrites find_writes(const std::shared_ptr<jit::Graph>& graph);

}  // namespace mnq::libtorch
