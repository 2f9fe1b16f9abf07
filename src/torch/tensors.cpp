#include "torch/tensors.h"

#include <array>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq::libtorch {
namespace {

constexpr std::array<std::pair<DType, at::ScalarType>, 19> kTypes{{
    {DType::kBool, at::kBool},
    {DType::kU8, at::kByte},
    {DType::kI8, at::kChar},
    {DType::kU16, at::ScalarType::UInt16},
    {DType::kI16, at::kShort},
    {DType::kU32, at::ScalarType::UInt32},
    {DType::kI32, at::kInt},
    {DType::kU64, at::ScalarType::UInt64},
    {DType::kI64, at::kLong},
    {DType::kF16, at::kHalf},
    {DType::kBF16, at::kBFloat16},
    {DType::kF32, at::kFloat},
    {DType::kF64, at::kDouble},
    {DType::kC64, at::kComplexFloat},
    {DType::kF8E4M3, at::ScalarType::Float8_e4m3fn},
    {DType::kF8E5M2, at::ScalarType::Float8_e5m2},
    {DType::kF8E8M0, at::ScalarType::Float8_e8m0fnu},
    {DType::kF8E4M3FNUZ, at::ScalarType::Float8_e4m3fnuz},
    {DType::kF8E5M2FNUZ, at::ScalarType::Float8_e5m2fnuz},
}};

}  // namespace

std::optional<DType> dtype_of(at::ScalarType type) {
  for (const auto& [dtype, scalar_type] : kTypes) {
    if (scalar_type == type) return dtype;
  }
  return std::nullopt;
}

std::optional<at::ScalarType> scalar_type_of(DType wanted) {
  for (const auto& [dtype, scalar_type] : kTypes) {
    if (dtype == wanted) return scalar_type;
  }
  return std::nullopt;
}

bool is_plain(const at::Tensor& tensor) {
  return tensor.defined() && tensor.layout() == at::kStrided && tensor.device().is_cpu() && !tensor.is_quantized() &&
         dtype_of(tensor.scalar_type()).has_value();
}

Tensor from_torch(const at::Tensor& tensor) {
  const at::Tensor data = tensor.detach().resolve_conj().resolve_neg().contiguous();
  Tensor result;
  result.dtype = *dtype_of(data.scalar_type());
  result.shape = data.sizes().vec();
  result.size_bytes = data.nbytes();
  const auto owner = std::make_shared<at::Tensor>(data);
  if (result.size_bytes != 0) result.data = {owner, static_cast<const std::byte*>(owner->const_data_ptr())};
  return result;
}

at::Tensor to_torch(const Tensor& tensor) {
  const auto type = scalar_type_of(tensor.dtype);
  if (!type) {
    throw Error(Status::kDType, formatted("LibTorch has no {}", dtype_name(tensor.dtype)), "convert the tensor first");
  }
  if (tensor.size_bytes == 0) return at::empty(tensor.shape, *type);
  return at::from_blob(
      const_cast<std::byte*>(tensor.data.get()), tensor.shape, [owner = tensor.data](void*) {}, *type);
}

}  // namespace mnq::libtorch
