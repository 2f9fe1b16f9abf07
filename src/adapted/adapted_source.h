// A checkpoint that another tool quantized, with its weights as we know them.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/tensor_source.h"

namespace mnq {

struct AdaptedWeights {
  std::vector<LogicalTensor> weights;  ///< quantized ones, parts by their indices in the source
  std::set<std::size_t> dropped;       ///< tensors that are not shown
  std::vector<std::string> remarks;
};

/// The source without what is dropped, its quantized weights first, in the order of their codes. format: empty: the
/// source's own. keys: of the metadata that are not shown; files: of the companion, likewise.
std::unique_ptr<TensorSource> show_weights(std::unique_ptr<TensorSource> source, AdaptedWeights found,
                                           std::string_view format, const std::set<std::string>& keys = {},
                                           const std::set<std::string>& files = {});

}  // namespace mnq
