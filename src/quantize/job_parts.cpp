#include "quantize/job_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mnq {

TensorByName index_by_name(const std::vector<LogicalTensor>& tensors) {
  TensorByName index;
  for (const LogicalTensor& tensor : tensors) index.emplace(tensor.name, &tensor);
  return index;
}

std::uint64_t stored_bits(const TensorSource& source, const LogicalTensor& tensor) {
  const std::uint64_t count = element_count(tensor.shape);
  const std::uint64_t codes = std::max<std::uint64_t>(tensor.stack_size, 1);
  return count == 0 ? 0 : ceil_div(source.tensors()[tensor.parts.front()].size_bytes * 8 * codes, count);
}

std::uint64_t stored_bytes(const TensorSource& source, const LogicalTensor& tensor) {
  std::uint64_t bytes = 0;
  for (const std::size_t part : tensor.parts) bytes += source.tensors()[part].size_bytes;
  return bytes;
}

std::uint64_t total_source_bytes(const std::vector<Block>& blocks) {
  std::uint64_t total = 0;
  for (const Block& block : blocks) total += block.source_bytes;
  return total;
}

std::uint64_t token_bytes(const std::vector<Block>& blocks) {
  constexpr std::uint64_t kBytesPerValue = 24;
  std::uint64_t largest = kBlockBytes;
  for (const Block& block : blocks) largest = std::max(largest, block.row_count * block.column_count * kBytesPerValue);
  return largest;
}

kernels::ErrorSums error_sums_double(const double* reference, const double* other, std::uint64_t count) {
  const auto square = [](double value) {
    return value == 0 ? 0 : std::max(value * value, std::numeric_limits<double>::denorm_min());
  };
  kernels::ErrorSums sums{};
  for (std::uint64_t i = 0; i < count; ++i) {
    const double lost = std::abs(reference[i] - other[i]);
    sums.signal += square(reference[i]);
    sums.error += square(lost);
    sums.max_error = std::max(sums.max_error, lost);
  }
  return sums;
}

std::string element_text(const Shape& shape, std::uint64_t element) {
  Shape position(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    position[axis] = static_cast<std::int64_t>(element % static_cast<std::uint64_t>(shape[axis]));
    element /= static_cast<std::uint64_t>(shape[axis]);
  }
  return shape_text(position);
}

}  // namespace mnq
