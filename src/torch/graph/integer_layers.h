// Layers in integer arithmetic: our own operators, in memory only.
//   mono_quant::integer_linear(x, codes, scale, zero_point?, bias?, shape?, group_size, takes_bfloat16) -> Tensor?
//   mono_quant::integer_convolution(the same, then stride, padding, dilation, groups) -> Tensor?
// shape: of a weight whose codes are nibbles. None where the kernels do not take what comes: the code of the file then
// stands beside them. Weights are packed when they are first used; activations are quantized a row at a time.
#pragma once

#include "module/backend.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {

/// Registers the operators, once a process.
void register_integer_layers(const IntegerKernels& kernels);

c10::Symbol integer_linear_symbol();
c10::Symbol integer_convolution_symbol();

}  // namespace mnq::libtorch
