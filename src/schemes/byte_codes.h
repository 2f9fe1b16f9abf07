// What int8 and uint8 share: a code is a byte, stored in the shape of the weight, and so is a zero point.
#pragma once

#include "schemes/scheme.h"

namespace mnq {

/// X (codes), X_scale F32 and, where asymmetric, X_zero_point. The latter two are broadcast over X, so that whoever reads
/// them multiplies: [1] per tensor, [1, channels, 1] where the channels are the middle one of three axes. Per group they
/// are [rows, groups].
std::vector<StoredPart> byte_code_parts(const QuantizedSpec& spec, DType codes_dtype);

inline std::uint64_t byte_code_bytes(std::uint64_t count) { return count; }

/// A zero point is stored as the code that means 0: with the same code_xor as codes.
template <std::uint8_t kCodeXor>
std::vector<std::byte> store_byte_zero_points(std::span<const std::int8_t> zero_points, ScaleShape) {
  std::vector<std::byte> stored(zero_points.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    stored[i] = static_cast<std::byte>(static_cast<std::uint8_t>(zero_points[i]) ^ kCodeXor);
  }
  return stored;
}

template <std::uint8_t kCodeXor>
std::int8_t load_byte_zero_point(std::span<const std::byte> stored, ScaleShape shape, std::uint64_t row,
                                 std::uint64_t group) {
  return static_cast<std::int8_t>(static_cast<std::uint8_t>(stored[row * shape.groups + group]) ^ kCodeXor);
}

}  // namespace mnq
