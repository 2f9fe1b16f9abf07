// Tensors of LibTorch and ours, without copies.
#pragma once

#include <optional>

#include "base/tensor.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {

/// Empty where the other side has no such type.
std::optional<DType> dtype_of(at::ScalarType type);
std::optional<at::ScalarType> scalar_type_of(DType dtype);

/// Whether a tensor is plain data: strided, on the CPU, of a dtype of ours.
bool is_plain(const at::Tensor& tensor);

/// A plain tensor, sharing its memory; copied where it is not contiguous.
Tensor from_torch(const at::Tensor& tensor);

/// Shares the memory, which must not be written to.
at::Tensor to_torch(const Tensor& tensor);

}  // namespace mnq::libtorch
