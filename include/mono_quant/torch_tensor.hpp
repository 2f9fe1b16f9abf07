// torch_tensor.hpp - part of torch.hpp: tensors of LibTorch as tensors of this library, and back.
#ifndef MONO_QUANT_TORCH_TENSOR_HPP
#define MONO_QUANT_TORCH_TENSOR_HPP

#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mono_quant.hpp"

namespace mono_quant::libtorch {

/// A tensor of LibTorch, without a copy; its memory must stay unchanged while the result lives. Throws Error:
/// UNSUPPORTED for one that is not dense, contiguous and on the CPU; DTYPE for an element type that only LibTorch has.
Tensor from_torch(const at::Tensor& tensor);

/// The inverse, without a copy. Must not be written to: tensors of this library are immutable.
at::Tensor to_torch(Tensor tensor);

namespace detail {

struct DTypePair {
  mnq_dtype dtype;
  at::ScalarType type;
};
inline constexpr DTypePair kDTypes[] = {
    {MNQ_DTYPE_BOOL, at::kBool},
    {MNQ_DTYPE_U8, at::kByte},
    {MNQ_DTYPE_I8, at::kChar},
    {MNQ_DTYPE_U16, at::ScalarType::UInt16},
    {MNQ_DTYPE_I16, at::kShort},
    {MNQ_DTYPE_U32, at::ScalarType::UInt32},
    {MNQ_DTYPE_I32, at::kInt},
    {MNQ_DTYPE_U64, at::ScalarType::UInt64},
    {MNQ_DTYPE_I64, at::kLong},
    {MNQ_DTYPE_F16, at::kHalf},
    {MNQ_DTYPE_BF16, at::kBFloat16},
    {MNQ_DTYPE_F32, at::kFloat},
    {MNQ_DTYPE_F64, at::kDouble},
    {MNQ_DTYPE_C64, at::kComplexFloat},
    {MNQ_DTYPE_F8_E4M3, at::ScalarType::Float8_e4m3fn},
    {MNQ_DTYPE_F8_E5M2, at::ScalarType::Float8_e5m2},
};

}  // namespace detail

inline Tensor from_torch(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided || !tensor.device().is_cpu() || tensor.is_quantized() ||
      !tensor.is_contiguous() || tensor.is_neg()) {
    throw Error(MNQ_E_UNSUPPORTED, "the tensor is not dense, contiguous and on the CPU",
                "pass tensor.cpu().contiguous()", "");
  }
  for (const auto& [dtype, type] : detail::kDTypes) {
    if (type != tensor.scalar_type()) continue;
    const auto owner = std::make_shared<at::Tensor>(tensor.detach());
    const auto* data = static_cast<const std::byte*>(owner->const_data_ptr());
    return Tensor::wrap(dtype, {tensor.sizes().data(), tensor.sizes().size()}, {data, tensor.nbytes()}, owner);
  }
  throw Error(MNQ_E_DTYPE, std::string("elements of ") + c10::toString(tensor.scalar_type()) + " are not known here",
              "convert the tensor first", "");
}

inline at::Tensor to_torch(Tensor tensor) {
  for (const auto& [dtype, type] : detail::kDTypes) {
    if (dtype != tensor.dtype()) continue;
    const std::vector<std::int64_t> shape(tensor.shape().begin(), tensor.shape().end());
    if (tensor.bytes().empty()) return at::empty(shape, type);
    const auto owner = std::make_shared<Tensor>(std::move(tensor));
    return at::from_blob(
        const_cast<std::byte*>(owner->bytes().data()), shape, [owner](void*) {}, type);
  }
  throw Error(MNQ_E_DTYPE, std::string("LibTorch has no ") + mnq_dtype_name(tensor.dtype()), "", "");
}

}  // namespace mono_quant::libtorch

#endif  // MONO_QUANT_TORCH_TENSOR_HPP
