#include "base/dtype.h"

#include <array>
#include <string>

namespace mnq {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t bits;
};

constexpr std::array kDTypes{
    DTypeRow{DType::kBool, "BOOL", 8},
    DTypeRow{DType::kU8, "U8", 8},
    DTypeRow{DType::kI8, "I8", 8},
    DTypeRow{DType::kU16, "U16", 16},
    DTypeRow{DType::kI16, "I16", 16},
    DTypeRow{DType::kU32, "U32", 32},
    DTypeRow{DType::kI32, "I32", 32},
    DTypeRow{DType::kU64, "U64", 64},
    DTypeRow{DType::kI64, "I64", 64},
    DTypeRow{DType::kF16, "F16", 16},
    DTypeRow{DType::kBF16, "BF16", 16},
    DTypeRow{DType::kF32, "F32", 32},
    DTypeRow{DType::kF64, "F64", 64},
    DTypeRow{DType::kC64, "C64", 64},
    DTypeRow{DType::kF8E4M3, "F8_E4M3", 8},
    DTypeRow{DType::kF8E5M2, "F8_E5M2", 8},
    DTypeRow{DType::kF8E8M0, "F8_E8M0", 8},
    DTypeRow{DType::kF6E2M3, "F6_E2M3", 6},
    DTypeRow{DType::kF6E3M2, "F6_E3M2", 6},
    DTypeRow{DType::kF4, "F4", 4},
    DTypeRow{DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8},
    DTypeRow{DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8},
};

const DTypeRow& row_of(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype) - 1]; }

}  // namespace

std::size_t dtype_bits(DType dtype) { return row_of(dtype).bits; }

std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }

std::optional<DType> find_dtype(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

std::optional<DType> find_dtype(std::int32_t value) {
  if (value < 1 || value > static_cast<std::int32_t>(kDTypes.size())) return std::nullopt;
  return kDTypes[static_cast<std::size_t>(value) - 1].dtype;
}

std::optional<DType> find_float_dtype(std::string_view name) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const std::string text = (dtype == DType::kBF16 ? "bfloat" : "float") + std::to_string(dtype_bits(dtype));
    if (name == text) return dtype;
  }
  return std::nullopt;
}

bool is_weight_dtype(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32 || dtype == DType::kF64;
}

}  // namespace mnq
