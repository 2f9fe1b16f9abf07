// kernels.hpp - part of mono_quant.hpp: the kernels on the caller's own memory.
#ifndef MONO_QUANT_KERNELS_HPP
#define MONO_QUANT_KERNELS_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "error.hpp"
#include "handle.hpp"
#include "mono_quant.h"

namespace mono_quant {

/// The kernels on the caller's own memory: one thread, no allocation. A span of a size that does not fit throws Error
/// (SHAPE).
namespace kernels {

/// Rows of weights, row-major, and how many of them share a scale; group_size 0: one scale a row.
struct Rows {
  std::size_t row_count = 0;
  std::size_t row_length = 0;
  std::size_t group_size = 0;

  std::size_t elements() const noexcept { return row_count * row_length; }
  std::size_t scales() const noexcept {
    const std::size_t size = group_size == 0 ? row_length : group_size;
    return row_length == 0 ? 0 : row_count * (row_length / size + (row_length % size == 0 ? 0 : 1));
  }
};

namespace detail {

inline void require_size(std::size_t size, std::size_t wanted, const char* name) {
  if (size == wanted) return;
  throw Error(MNQ_E_SHAPE,
              std::string(name) + " has " + std::to_string(size) + " elements, not " + std::to_string(wanted), "",
              name);
}

}  // namespace detail

/// minimum, maximum: [row_count], written. group_size plays no part.
inline void ranges(std::span<const float> weights, const Rows& rows, std::span<float> minimum,
                   std::span<float> maximum) {
  detail::require_size(weights.size(), rows.elements(), "weights");
  detail::require_size(minimum.size(), rows.row_count, "minimum");
  detail::require_size(maximum.size(), rows.row_count, "maximum");
  mono_quant::detail::call(mnq_kernel_ranges, weights.data(), rows.row_count, rows.row_length, minimum.data(),
                           maximum.data());
}

/// bits: 8 or 4. Writes scales [scales()] and codes [elements()], one a byte, and zero_points [scales()], which may be
/// empty where symmetric. sqnr_db: one number for all, where it is not null.
inline void quantize(std::span<const float> weights, const Rows& rows, int bits, bool symmetric,
                     std::span<float> scales, std::span<std::int8_t> zero_points, std::span<std::int8_t> codes,
                     double* sqnr_db = nullptr) {
  detail::require_size(weights.size(), rows.elements(), "weights");
  detail::require_size(scales.size(), rows.scales(), "scales");
  if (!symmetric || !zero_points.empty()) detail::require_size(zero_points.size(), rows.scales(), "zero_points");
  detail::require_size(codes.size(), rows.elements(), "codes");
  mono_quant::detail::call(mnq_kernel_quantize, weights.data(), rows.row_count, rows.row_length, bits,
                           symmetric ? 1 : 0, rows.group_size, scales.data(),
                           zero_points.empty() ? nullptr : zero_points.data(), codes.data(), sqnr_db);
}

/// weights = (code - zero_point) * scale, written; zero_points may be empty: all zero.
inline void dequantize(std::span<const std::int8_t> codes, const Rows& rows, std::span<const float> scales,
                       std::span<const std::int8_t> zero_points, std::span<float> weights) {
  detail::require_size(codes.size(), rows.elements(), "codes");
  detail::require_size(scales.size(), rows.scales(), "scales");
  if (!zero_points.empty()) detail::require_size(zero_points.size(), rows.scales(), "zero_points");
  detail::require_size(weights.size(), rows.elements(), "weights");
  mono_quant::detail::call(mnq_kernel_dequantize, codes.data(), rows.row_count, rows.row_length, rows.group_size,
                           scales.data(), zero_points.empty() ? nullptr : zero_points.data(), weights.data());
}

/// codes in -8..7; packed [(codes + 1) / 2]: two codes a byte, low nibble first, stored as code + 8.
inline void pack_int4(std::span<const std::int8_t> codes, std::span<std::uint8_t> packed) {
  detail::require_size(packed.size(), codes.size() / 2 + codes.size() % 2, "packed");
  mono_quant::detail::call(mnq_kernel_pack_int4, codes.data(), codes.size(), packed.data());
}
inline void unpack_int4(std::span<const std::uint8_t> packed, std::span<std::int8_t> codes) {
  detail::require_size(packed.size(), codes.size() / 2 + codes.size() % 2, "packed");
  mono_quant::detail::call(mnq_kernel_unpack_int4, packed.data(), codes.size(), codes.data());
}

/// In dB; +infinity where they are equal.
inline double sqnr_db(std::span<const float> reference, std::span<const float> other) {
  detail::require_size(other.size(), reference.size(), "other");
  double value = 0;
  mono_quant::detail::call(mnq_kernel_sqnr, reference.data(), other.data(), reference.size(), &value);
  return value;
}

}  // namespace kernels

}  // namespace mono_quant

#endif  // MONO_QUANT_KERNELS_HPP
