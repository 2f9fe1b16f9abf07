// The element types that a tensor of a checkpoint can have, and what they are called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mnq {

// The values are those of MNQ_DTYPE_* in mono_quant.h and are never renumbered.
enum class DType : std::int32_t {
  kBool = 1,
  kU8 = 2,
  kI8 = 3,
  kU16 = 4,
  kI16 = 5,
  kU32 = 6,
  kI32 = 7,
  kU64 = 8,
  kI64 = 9,
  kF16 = 10,
  kBF16 = 11,
  kF32 = 12,
  kF64 = 13,
  kC64 = 14,
  kF8E4M3 = 15,
  kF8E5M2 = 16,
  kF8E8M0 = 17,
  kF6E2M3 = 18,
  kF6E3M2 = 19,
  kF4 = 20,
  kF8E4M3FNUZ = 21,
  kF8E5M2FNUZ = 22,
};

/// Bits of one element: 4, 6, 8, 16, 32 or 64.
std::size_t dtype_bits(DType dtype);

/// The name safetensors uses: "F32", "BF16", "I8", "F8_E4M3".
std::string_view dtype_name(DType dtype);

/// The inverse of dtype_name; empty for a name that is none.
std::optional<DType> find_dtype(std::string_view name);

/// The dtype with this number, as it comes through the C ABI; empty for a number that is none.
std::optional<DType> find_dtype(std::int32_t value);

/// That of weights as frameworks and settings call it: "float32"; empty for a name that is none.
std::optional<DType> find_float_dtype(std::string_view name);

/// Whether weights of this dtype can be quantized: F16, BF16, F32 and F64.
bool is_weight_dtype(DType dtype);

}  // namespace mnq
