// Convolutions whose outputs are sums over several places, in integers by LibTorch's own oneDNN, where its sums are
// exact.
#pragma once

#include <optional>

#include "torch/graph/packed_weights.h"

namespace mnq::libtorch {

/// x [n, channels, places...] float32 or bfloat16, each example of which is quantized by itself, to [n, outputs,
/// places...]. None where oneDNN does not take it: for other weights than symmetric int8 with a scale a row or one in
/// all, few products, values that are not finite, and on CPUs whose products of bytes saturate (none of AVX-VNNI,
/// AVX-512 VNNI and AMX).
/// layer: sound, with its convolution.
std::optional<at::Tensor> convolve_places(const IntegerKernels& kernels, const at::Tensor& x,
                                          const LayerTensors& layer);

}  // namespace mnq::libtorch
