// Shapes and sizes of tensors, with every product checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace mnq {

using Shape = std::vector<std::int64_t>;

/// The product of the sizes, 1 for rank 0; empty where a size is negative or the product does not fit in 63 bits.
std::optional<std::uint64_t> checked_element_count(const Shape& shape);

/// Bytes of a contiguous tensor; empty where the count overflows or its bits are not whole bytes.
std::optional<std::uint64_t> checked_size_bytes(DType dtype, const Shape& shape);

/// As checked_element_count, for a shape that was checked when it came in.
std::uint64_t element_count(const Shape& shape);

/// "[2, 3]"
std::string shape_text(const Shape& shape);

inline std::uint64_t ceil_div(std::uint64_t value, std::uint64_t divisor) {
  return value / divisor + (value % divisor != 0 ? 1 : 0);
}

}  // namespace mnq
