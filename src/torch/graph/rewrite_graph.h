// The code of a cloned module, made to use changed weights: each use of a weight becomes a call of a stock function
// with its codes, or such a call becomes the stock operator with a float weight again.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "module/backend.h"
#include "torch/module_tree.h"

namespace mnq::libtorch {

/// A weight of one module type that changes.
struct AttributeEdit {
  std::string base;  ///< the attribute's name as a float weight: "weight"
  const WeightChange* change = nullptr;
};

/// What changes in one module type.
struct TypeEdits {
  std::map<std::string, AttributeEdit> reads;  ///< by the attribute whose reads are rewritten: the weight, or its codes
  std::vector<TensorList> lists;               ///< that go away: some of their members change
};

/// The attribute that holds a part: "weight" and "_scale" make "weight_scale".
inline std::string part_attribute(const std::string& base, std::string_view suffix) {
  return base + std::string(suffix);
}

struct RewriteContext {
  jit::CompilationUnit& unit;  ///< of the clone
  /// The edits of a type of the clone; null for another type.
  std::function<const TypeEdits*(const c10::ClassType&)> edits_of;
};

/// Rewrites a copied method. self: the clone's type. Errors: kUnsupported.
void rewrite_graph(jit::Graph& graph, const c10::ClassTypePtr& self, const RewriteContext& context);

}  // namespace mnq::libtorch
