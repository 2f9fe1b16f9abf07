#include "formats/gguf/gguf_types.h"

#include <array>

namespace mnq {
namespace {

GgufType of_blocks(std::uint32_t id, std::string_view name, std::uint32_t file_type) {
  return {.id = id, .name = name, .file_type = file_type, .block = find_ggml_block(name)};
}

}  // namespace

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
      of_blocks(8, "Q8_0", 7),
      of_blocks(2, "Q4_0", 2),
      of_blocks(3, "Q4_1", 3),
      of_blocks(6, "Q5_0", 8),
      of_blocks(7, "Q5_1", 9),
      of_blocks(10, "Q2_K", 10),
      of_blocks(11, "Q3_K", 12),
      of_blocks(12, "Q4_K", 15),
      of_blocks(13, "Q5_K", 17),
      of_blocks(14, "Q6_K", 18),
      of_blocks(16, "IQ2_XXS", 19),
      of_blocks(17, "IQ2_XS", 20),
      of_blocks(18, "IQ3_XXS", 23),
      of_blocks(19, "IQ1_S", 24),
      of_blocks(20, "IQ4_NL", 25),
      of_blocks(21, "IQ3_S", 26),
      of_blocks(22, "IQ2_S", 28),
      of_blocks(23, "IQ4_XS", 30),
      of_blocks(29, "IQ1_M", 31),
      of_blocks(34, "TQ1_0", 36),
      of_blocks(35, "TQ2_0", 37),
      of_blocks(39, "MXFP4", 38),
      of_blocks(40, "NVFP4", 39),
      of_blocks(41, "Q1_0", 40),
      of_blocks(42, "Q2_0", 41),
  };
  return kTypes;
}

bool has_whole_rows(const GgufType& type, const Shape& shape) {
  if (type.block == nullptr) return true;
  return shape.size() >= 2 && shape.back() % static_cast<std::int64_t>(type.block->elements) == 0;
}

}  // namespace mnq
