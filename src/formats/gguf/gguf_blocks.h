// The types of GGUF tensors, and the blocks of 32 elements that the quantized ones consist of.
//   Q8_0  f16 scale, i8 codes [32]
//   Q4_0  f16 scale, u8 [16]: codes j low, j + 16 high, each 8 higher than ours
//   Q4_1  f16 scale, f16 minimum, u8 [16] likewise
#pragma once

#include <cstring>
#include <optional>
#include <string_view>

#include "base/quantized_weight.h"

namespace mnq {

struct GgufType {
  std::uint32_t id;
  std::string_view name;
  std::optional<DType> dtype;     ///< of plain ones
  std::uint64_t block_bytes = 0;  ///< of blocks
  std::string_view scheme;        ///< of blocks
  std::uint32_t file_type = 0;    ///< general.file_type of a file that is mostly this
};

inline constexpr GgufType kGgufTypes[] = {
    {0, "F32", DType::kF32, 0, "", 0},         {1, "F16", DType::kF16, 0, "", 1},
    {30, "BF16", DType::kBF16, 0, "", 32},     {28, "F64", DType::kF64, 0, "", 0},
    {24, "I8", DType::kI8, 0, "", 0},          {25, "I16", DType::kI16, 0, "", 0},
    {26, "I32", DType::kI32, 0, "", 0},        {27, "I64", DType::kI64, 0, "", 0},
    {8, "Q8_0", std::nullopt, 34, "qint8", 7}, {2, "Q4_0", std::nullopt, 18, "qint4", 2},
    {3, "Q4_1", std::nullopt, 20, "q4_1", 3},
};

/// The spec of a weight in such blocks.
inline QuantizedSpec gguf_spec(const GgufType& type, Shape shape) {
  QuantizedSpec spec;
  spec.scheme = type.scheme;
  spec.granularity = Granularity::kGroup;
  spec.group_size = 32;
  spec.symmetric = type.scheme != "q4_1";
  spec.weight_dtype = DType::kF32;
  spec.shape = std::move(shape);
  spec.scale_dtype = DType::kF16;
  spec.is_ggml = true;
  return spec;
}

inline bool has_bytes(const GgufType& type) { return type.block_bytes == 34; }
inline std::uint64_t codes_offset(const GgufType& type) { return type.block_bytes == 20 ? 4 : 2; }
inline std::uint64_t stored_code_bytes(const GgufType& type) { return has_bytes(type) ? 32 : 16; }

/// The codes of a block to our stored ones, 32 or 16 bytes, and back. Ours of 4 bits hold neighbours in a byte.
inline void codes_from_block(const GgufType& type, const std::byte* block, std::byte* codes) {
  const auto* from = reinterpret_cast<const unsigned char*>(block + codes_offset(type));
  if (has_bytes(type)) {
    std::memcpy(codes, from, 32);
    return;
  }
  for (std::size_t i = 0; i < 8; ++i) {
    codes[i] = static_cast<std::byte>((from[2 * i] & 15) | (from[2 * i + 1] & 15) << 4);
    codes[i + 8] = static_cast<std::byte>(from[2 * i] >> 4 | (from[2 * i + 1] >> 4) << 4);
  }
}

inline void codes_to_block(const GgufType& type, const std::byte* codes, std::byte* block) {
  auto* to = reinterpret_cast<unsigned char*>(block + codes_offset(type));
  if (has_bytes(type)) {
    std::memcpy(to, codes, 32);
    return;
  }
  const auto* from = reinterpret_cast<const unsigned char*>(codes);
  for (std::size_t i = 0; i < 8; ++i) {
    to[2 * i] = static_cast<unsigned char>((from[i] & 15) | (from[i + 8] & 15) << 4);
    to[2 * i + 1] = static_cast<unsigned char>(from[i] >> 4 | (from[i + 8] >> 4) << 4);
  }
}

}  // namespace mnq
