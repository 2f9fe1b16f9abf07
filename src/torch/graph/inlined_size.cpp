#include "torch/graph/inlined_size.h"

#include <algorithm>

namespace mnq::libtorch {
namespace {

jit::Function* called_function(const jit::Node& node) {
  if (node.kind() == c10::prim::CallFunction) {
    const auto type = node.input(0)->type()->cast<c10::FunctionType>();
    return type == nullptr ? nullptr : type->function();
  }
  if (node.kind() != c10::prim::CallMethod) return nullptr;
  const auto type = node.input(0)->type()->cast<c10::ClassType>();
  return type == nullptr ? nullptr : type->findMethod(node.s(c10::attr::name));
}

}  // namespace

std::uint64_t InlinedSize::of(const jit::Block& block) {
  std::uint64_t size = 0;
  for (const jit::Node* node : block.nodes()) {
    size += 1 + of_callee(*node);
    for (const jit::Block* inner : node->blocks()) size += of(*inner);
    if (node->hasAttribute(c10::attr::Subgraph)) size += of(*node->g(c10::attr::Subgraph));
    size = std::min(size, kMostInlinedNodes + 1);
  }
  return size;
}

std::uint64_t InlinedSize::of_callee(const jit::Node& node) {
  jit::Function* function = called_function(node);
  jit::GraphFunction* callee = function == nullptr ? nullptr : jit::tryToGraphFunction(*function);
  if (callee == nullptr) return 0;
  if (const auto done = known_.find(function); done != known_.end()) return done->second;
  const std::uint64_t size = of(*callee->graph());
  return known_.emplace(function, size).first->second;
}

}  // namespace mnq::libtorch
