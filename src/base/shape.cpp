#include "base/shape.h"

#include <limits>

#include "base/text/format.h"

namespace mnq {

std::optional<std::uint64_t> checked_element_count(const Shape& shape) {
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / kMostItemBytes);
  std::uint64_t count = 1;
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) empty = true;
    if (size != 0 && count > kLimit / static_cast<std::uint64_t>(size)) return std::nullopt;
    if (size != 0) count *= static_cast<std::uint64_t>(size);
  }
  return empty ? 0 : count;
}

std::optional<std::uint64_t> checked_size_bytes(DType dtype, const Shape& shape) {
  const auto count = checked_element_count(shape);
  const std::uint64_t bits = dtype_bits(dtype);
  if (!count || *count > std::numeric_limits<std::uint64_t>::max() / bits) return std::nullopt;
  if (*count * bits % 8 != 0) return std::nullopt;
  return *count * bits / 8;
}

std::uint64_t element_count(const Shape& shape) { return checked_element_count(shape).value_or(0); }

std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += formatted("{}{}", text.size() > 1 ? ", " : "", size);
  return text + "]";
}

}  // namespace mnq
