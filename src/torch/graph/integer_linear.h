// Linear layers in integer arithmetic: our own operator, in place of the stock sequence, in memory only.
//   mono_quant::linear_dynamic(x, codes int8, scale, zero_point?, bias?) -> Tensor
// Weights are packed when they are first used; activations are quantized a row at a time.
#pragma once

#include "module/backend.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {

/// Registers the operator, once a process.
void register_integer_linear(const IntegerKernels& kernels);

c10::Symbol integer_linear_symbol();

}  // namespace mnq::libtorch
