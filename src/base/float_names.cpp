#include "base/float_names.h"

#include <string>

namespace mnq {

std::optional<DType> find_float_dtype(std::string_view name) {
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const std::string text = (dtype == DType::kBF16 ? "bfloat" : "float") + std::to_string(dtype_bits(dtype));
    if (name == text) return dtype;
  }
  return std::nullopt;
}

}  // namespace mnq
