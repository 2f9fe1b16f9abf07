// From weights as files have them to panels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "linear/linear_kernels.h"

namespace mnq::linear {

/// Weights [output_count, row_length] as files have them.
struct LinearWeights {
  std::size_t output_count = 0;
  std::size_t row_length = 0;
  bool has_nibbles = false;                  ///< codes are -8..7, else -128..127
  std::size_t group_size = 0;                ///< a multiple of 32; 0, or no less than the row: whole rows
  const float* scales = nullptr;             ///< [output_count, groups()], finite, of any sign
  const std::int8_t* zero_points = nullptr;  ///< as scales; null: all zero
  const float* bias = nullptr;               ///< [output_count]; null: none

  /// Codes [count, row_length], one a byte, of the rows from `first` on; they lie there until the next call.
  std::function<const std::int8_t*(std::size_t first, std::size_t count)> codes;

  std::size_t groups() const;
};

struct PackedPanels {
  Panels panels;
  std::shared_ptr<const std::byte> memory;  ///< where they lie
  std::size_t size_bytes = 0;
};

/// Longer groups are cut into some of this size, all with their scale, so that no sum leaves 32 bits.
constexpr std::size_t kLongestGroup = 32768;

/// columns: of a panel, as the kernel takes them. Errors: kInvalidArg for scales that are not finite, and codes or zero
/// points that are none; kUnsupported for groups of another size; kShape where it does not fit in memory.
PackedPanels pack_panels(const LinearWeights& weights, std::size_t columns);

}  // namespace mnq::linear
