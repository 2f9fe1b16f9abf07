#include "formats/gguf/gguf_types.h"

#include <array>

namespace mnq {

std::span<const GgufType> all_gguf_types() {
  static const std::array kTypes{
      GgufType{.id = 0, .name = "F32", .dtype = DType::kF32},
      GgufType{.id = 1, .name = "F16", .dtype = DType::kF16, .file_type = 1},
      GgufType{.id = 30, .name = "BF16", .dtype = DType::kBF16, .file_type = 32},
      GgufType{.id = 28, .name = "F64", .dtype = DType::kF64},
      GgufType{.id = 24, .name = "I8", .dtype = DType::kI8},
      GgufType{.id = 25, .name = "I16", .dtype = DType::kI16},
      GgufType{.id = 26, .name = "I32", .dtype = DType::kI32},
      GgufType{.id = 27, .name = "I64", .dtype = DType::kI64},
      GgufType{.id = 8, .name = "Q8_0", .file_type = 7, .block = find_ggml_block("Q8_0")},
      GgufType{.id = 2, .name = "Q4_0", .file_type = 2, .block = find_ggml_block("Q4_0")},
      GgufType{.id = 3, .name = "Q4_1", .file_type = 3, .block = find_ggml_block("Q4_1")},
      GgufType{.id = 12, .name = "Q4_K", .file_type = 15, .block = find_ggml_block("Q4_K")},
  };
  return kTypes;
}

bool has_whole_rows(const GgufType& type, const Shape& shape) {
  if (type.block == nullptr) return true;
  return shape.size() >= 2 && shape.back() % static_cast<std::int64_t>(type.block->elements) == 0;
}

}  // namespace mnq
