// How large a method gets once its calls are inlined: LibTorch inlines whatever it runs, and a few methods that each
// call the next one twice are more than any memory holds.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "torch/libtorch.h"

namespace mnq::libtorch {

/// Real modules of a thousand layers have some ten thousand nodes; LibTorch takes about 1 KB for each.
inline constexpr std::uint64_t kMostInlinedNodes = 1'000'000;

class InlinedSize {
 public:
  /// Nodes, at most kMostInlinedNodes + 1.
  std::uint64_t of(const jit::Graph& graph) { return of(*graph.block()); }

 private:
  std::uint64_t of(const jit::Block& block);
  std::uint64_t of_callee(const jit::Node& node);

  std::unordered_map<const jit::Function*, std::uint64_t> known_;
};

}  // namespace mnq::libtorch
