// Where values are not finite.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "kernels/kernel_table.h"

namespace mnq {

/// The index of the first value that is not finite; empty where all are.
inline std::optional<std::uint64_t> find_not_finite(const float* values, std::uint64_t count) {
  constexpr std::uint32_t kInfinityBits = 0x7f800000;
  if (kernels::kernel_table().range(values, count).max_abs_bits < kInfinityBits) return std::nullopt;
  const float* bad = std::find_if(values, values + count, [](float value) { return !std::isfinite(value); });
  return static_cast<std::uint64_t>(bad - values);
}

inline std::optional<std::uint64_t> find_not_finite(const double* values, std::uint64_t count) {
  const double* bad = std::find_if(values, values + count, [](double value) { return !std::isfinite(value); });
  if (bad == values + count) return std::nullopt;
  return static_cast<std::uint64_t>(bad - values);
}

}  // namespace mnq
