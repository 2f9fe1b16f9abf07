// A copy of a module with its own tensors, types and code, in which weights may be changed. The original, its types and
// its code are only read: LibTorch's own copies share them. Ties, shared submodules, attributes, constants, hooks and
// all methods are kept.
#pragma once

#include <unordered_map>
#include <vector>

#include "torch/graph/rewrite_graph.h"
#include "torch/module_tree.h"

namespace mnq::libtorch {

struct CloneRequest {
  const std::vector<WeightChange>* changes = nullptr;
  bool share_tensors = false;   ///< for a private copy that only reads them
  bool integer_linear = false;  ///< layers call our own operators, which never go into a file
};

struct ClonedModule {
  ObjectPtr root;
  UnitPtr unit;  ///< of its code
};

/// Errors: kNotFound for a change of a weight that is not there; kUnsupported.
ClonedModule clone_module(const ObjectPtr& root, const ModuleTree& tree, const CloneRequest& request);

}  // namespace mnq::libtorch
