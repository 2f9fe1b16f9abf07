// Which tensors of a module are weights of layers, by the type of the module that holds them and by what the code does
// with them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "module/weight_kinds.h"
#include "torch/module_tree.h"

namespace mnq::libtorch {

/// A constant of frozen code that is used as a weight.
struct ConstantWeight {
  std::string name;
  at::Tensor tensor;
  WeightUse use;
};

struct WeightUses {
  std::vector<WeightUse> uses;  ///< one for each tensor of the tree
  std::vector<ConstantWeight> constants;
  bool is_stateful = false;    ///< a method writes to an attribute: two calls at once are not safe
  bool writes_inputs = false;  ///< a method writes to a tensor it was given
};

WeightUses find_weight_uses(const ObjectPtr& root, const ModuleTree& tree);

}  // namespace mnq::libtorch
