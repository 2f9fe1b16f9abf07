// What the jobs share: time, names, sizes, and values that are not finite.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quantize/loop/blocks.h"
#include "quantize/loop/weight_reader.h"

namespace mnq {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

using TensorByName = std::map<std::string_view, const LogicalTensor*>;
TensorByName index_by_name(const std::vector<LogicalTensor>& tensors);

/// Bits of a stored code or value, scales that lie with them included.
std::uint64_t stored_bits(const TensorSource& source, const LogicalTensor& tensor);

/// Bytes of all parts.
std::uint64_t stored_bytes(const TensorSource& source, const LogicalTensor& tensor);

/// See QuantizedSpec; 0 for floats.
inline std::int64_t stacked_axes(const LogicalTensor& tensor) { return tensor.spec ? tensor.spec->stacked_axes : 0; }

std::uint64_t total_source_bytes(const std::vector<Block>& blocks);

/// What the largest block needs at most: its values read, as float32 twice, as codes and as stored, with some scales
/// and sums.
std::uint64_t token_bytes(const std::vector<Block>& blocks);

/// Sums of `reference` against `other`, both [count] and finite, for what float32 cannot hold. A square that vanishes
/// is the smallest number there is, so that nothing that was lost is called exact.
kernels::ErrorSums error_sums_double(const double* reference, const double* other, std::uint64_t count);

/// "[0, 3]": the place of a value in a tensor.
std::string element_text(const Shape& shape, std::uint64_t element);

}  // namespace mnq
