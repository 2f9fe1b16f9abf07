#include "containers/torch_save/torch_dtypes.h"

#include <algorithm>

namespace mnq {
namespace {

constexpr TorchDType kTorchDTypes[] = {
    {DType::kF32, 4, "float32", "FloatStorage", true},
    {DType::kF64, 8, "float64", "DoubleStorage", true},
    {DType::kF16, 2, "float16", "HalfStorage", true},
    {DType::kBF16, 2, "bfloat16", "BFloat16Storage", true},
    {DType::kU8, 1, "uint8", "ByteStorage", true},
    {DType::kI8, 1, "int8", "CharStorage", true},
    {DType::kI16, 2, "int16", "ShortStorage", true},
    {DType::kI32, 4, "int32", "IntStorage", true},
    {DType::kI64, 8, "int64", "LongStorage", true},
    {DType::kBool, 1, "bool", "BoolStorage", true},
    {DType::kC64, 8, "complex64", "ComplexFloatStorage", true},
    {std::nullopt, 4, "complex32", "ComplexHalfStorage", false},
    {std::nullopt, 16, "complex128", "ComplexDoubleStorage", true},
    {DType::kU16, 2, "uint16", "UInt16Storage", false},
    {DType::kU32, 4, "uint32", "UInt32Storage", false},
    {DType::kU64, 8, "uint64", "UInt64Storage", false},
    {DType::kF8E4M3, 1, "float8_e4m3fn", "Float8_e4m3fnStorage", false},
    {DType::kF8E5M2, 1, "float8_e5m2", "Float8_e5m2Storage", false},
    {DType::kF8E8M0, 1, "float8_e8m0fnu", "", false},
    {DType::kF8E4M3FNUZ, 1, "float8_e4m3fnuz", "Float8_e4m3fnuzStorage", false},
    {DType::kF8E5M2FNUZ, 1, "float8_e5m2fnuz", "Float8_e5m2fnuzStorage", false},
    {std::nullopt, 1, "float4_e2m1fn_x2", "", false},
    {std::nullopt, 1, "bits8", "", false},
    {std::nullopt, 2, "bits16", "", false},
    {std::nullopt, 1, "bits1x8", "", false},
    {std::nullopt, 1, "bits2x4", "", false},
    {std::nullopt, 1, "bits4x2", "", false},
    {std::nullopt, 1, "qint8", "QInt8Storage", true, DType::kI8, 8},
    {std::nullopt, 1, "quint8", "QUInt8Storage", true, DType::kU8, 8},
    {std::nullopt, 4, "qint32", "QInt32Storage", true, DType::kI32, 32},
    {std::nullopt, 1, "quint4x2", "QUInt4x2Storage", true, DType::kU8, 4},
    {std::nullopt, 1, "quint2x4", "QUInt2x4Storage", true, DType::kU8, 2},
};

template <class Key>
const TorchDType* find_row(const Key& key, Key TorchDType::*column) {
  const auto* found = std::ranges::find(kTorchDTypes, key, column);
  return found == std::end(kTorchDTypes) ? nullptr : found;
}

const TorchDType* find_global(const PickleValue& global, std::string_view TorchDType::*column) {
  const bool is_torch = global.kind == PickleKind::kGlobal && global.module == "torch" && !global.text.empty();
  return is_torch ? find_row(global.text, column) : nullptr;
}

}  // namespace

const TorchDType* find_torch_storage_type(const PickleValue& global) {
  return find_global(global, &TorchDType::storage);
}

const TorchDType* find_torch_dtype(const PickleValue& global) { return find_global(global, &TorchDType::name); }

const TorchDType* find_torch_dtype(DType dtype) { return find_row(std::optional(dtype), &TorchDType::dtype); }

}  // namespace mnq
