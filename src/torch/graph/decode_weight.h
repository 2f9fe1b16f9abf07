// The uses of one weight in a graph: each becomes a call of a stock function with the weight's codes, or such a call
// becomes the stock operator with a float weight again.
#pragma once

#include "torch/graph/rewrite_graph.h"

namespace mnq::libtorch {

/// Where a graph reads an attribute that changes.
struct WeightRead {
  jit::Graph& graph;
  jit::CompilationUnit& unit;
  const jit::Node& node;
  const AttributeEdit& edit;
};

/// At the graph's insert point, which is the use: an operator that takes codes as they are, or the weight decoded.
void use_codes(const WeightRead& read, const jit::Use& use);

/// The inverse. Errors: kUnsupported for a use that quantizing has not put there.
void use_values(const WeightRead& read, const jit::Use& use);

/// The weight as floats, right before its use.
jit::Value* decode_whole(const WeightRead& read, const jit::Use& use);

/// A node's output is another value from here on.
void replace_node(jit::Node& node, jit::Value* result);

}  // namespace mnq::libtorch
