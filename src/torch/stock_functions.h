// The functions that quantized modules call: TorchScript of stock operators, which travels in the archive with the
// module, so that any LibTorch runs it. Each use of a quantized weight is a call of one of them, and so they are also
// how a quantized use is found again.
//
// What keeps weights small: freezing folds all that depends on constants alone, and would fold codes into floats. So a
// dtype that is known only when the module runs (of the input, or anchored to it) stands in front of every conversion.
#pragma once

#include <string_view>

#include "torch/libtorch.h"

namespace mnq::libtorch {

enum class StockFunction {
  kAnchored,          ///< (dtype: int, like: Tensor) -> int
  kLinearChannel,     ///< (x, codes, scale, zero_point?, bias?)
  kWeightChannel,     ///< (codes, scale, zero_point?, axis: int, dtype: int)
  kWeightGroup,       ///< (codes, scale, zero_point?, group_size: int, dtype: int)
  kWeightInt4,        ///< (packed, scale, zero_point?, shape: int[], group_size: int, dtype: int)
  kWeightCast,        ///< (values, dtype: int)
  kEmbeddingChannel,  ///< (indices, codes, scale, zero_point?, padding_idx: int, dtype: int)
  kEmbeddingGroup,    ///< (indices, codes, scale, zero_point?, padding_idx: int, group_size: int, dtype: int)
  kEmbeddingInt4,     ///< (indices, packed, scale, zero_point?, padding_idx: int, shape: int[], group_size, dtype)
  kEmbeddingCast,     ///< (indices, values, padding_idx: int, dtype: int)
  kCount
};

/// The function in this unit; all of them are defined where they are not there yet.
jit::Function& stock_function(jit::CompilationUnit& unit, StockFunction function);

/// Which one a prim::CallFunction calls; kCount for another.
StockFunction called_stock_function(const jit::Node& call);

/// A call at the graph's insert point. arguments: without the function.
jit::Value* insert_stock_call(jit::Graph& graph, jit::CompilationUnit& unit, StockFunction function,
                              at::ArrayRef<jit::Value*> arguments);

}  // namespace mnq::libtorch
