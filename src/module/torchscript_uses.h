// What the code of a TorchScript file does with the tensors of its modules, found by following them through it: which
// operators take them, and which write to them. Nothing is run: each branch of code is gone through, loops until
// nothing new comes of it. What it finds is what torch/graph/weight_uses.cpp finds in LibTorch's graphs; where it loses
// sight of a tensor, it says so.
#pragma once

#include <string>
#include <vector>

#include "module/torchscript_tree.h"
#include "module/weight_kinds.h"

namespace mnq {

/// A constant of frozen code that is used as a weight.
struct ScriptConstantWeight {
  std::string name;
  ScriptTree::TensorIndex tensor = 0;
  WeightUse use;
};

struct ScriptUses {
  std::vector<WeightUse> uses;  ///< one for each of the tree's listed tensors
  std::vector<ScriptConstantWeight> constants;
};

/// What becomes of a tensor that goes where this cannot follow.
inline constexpr std::string_view kUnknownUse = "what the code does with it cannot be told without LibTorch";

ScriptUses find_script_uses(const ScriptTree& tree, const ScriptProgram& program);

}  // namespace mnq
