// Any logical tensor as float32, a piece at a time: float tensors are converted, quantized ones are decoded.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/quantized_weight.h"
#include "base/tensor_source.h"
#include "kernels/float_conversions.h"
#include "quantize/scratch.h"
#include "schemes/scheme.h"

namespace mnq {

/// Bytes of a stored tensor: where they lie, or read into `buffer`. Aligned for its dtype.
const std::byte* fetch(const TensorSource& source, std::size_t stored, std::uint64_t offset, std::uint64_t size,
                       Buffer& buffer);

/// Converts `count` values of a float dtype to float32: into `converted`, or in place where they are float32 already.
const float* to_float32(const kernels::KernelTable& kernels, DType dtype, const std::byte* values, std::uint64_t count,
                        Buffer& converted);

/// The inverse; F32 stays where it is.
const std::byte* from_float32(const kernels::KernelTable& kernels, DType dtype, const float* values,
                              std::uint64_t count, Buffer& converted);

/// Codes of groups of group_size to weights [count]; minima may be null, else weight = (code + 8) · scale + minimum.
void decode_groups(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t count,
                   std::uint64_t group_size, const float* scales, const float* minima, float* weights);

/// Reads one logical tensor of a weight dtype. Holds its scales, not its codes.
class WeightReader {
 public:
  /// Reads the scales and zero points of a quantized weight. Errors: kIo.
  WeightReader(const TensorSource& source, const LogicalTensor& tensor);

  /// Elements [begin, begin + count), flat; valid until the buffers are used again. Where begin lies inside a row, it
  /// is a multiple of 8 elements into it. From several threads, with a scratch each. Errors: kIo.
  const float* read(const kernels::KernelTable& kernels, std::uint64_t begin, std::uint64_t count, Buffer& raw,
                    Buffer& codes, Buffer& weights) const;

  /// As read, in double precision: what float32 cannot hold stays as it is.
  const double* read_double(const kernels::KernelTable& kernels, std::uint64_t begin, std::uint64_t count, Buffer& raw,
                            Buffer& codes, Buffer& weights, Buffer& doubles) const;

  /// Whether read() rounds: the values are stored as F64.
  bool is_double() const { return source_.tensors()[tensor_.parts.front()].dtype == DType::kF64; }

  const std::vector<float>& scales() const { return scales_; }

 private:
  void decode_rows(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t first_row,
                   std::uint64_t row_count, float* weights) const;
  void decode_numbers(const std::int8_t* codes, std::uint64_t first_row, std::uint64_t row_count, float* weights) const;
  void decode_piece(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t row,
                    std::uint64_t column, std::uint64_t count, float* weights) const;

  const TensorSource& source_;
  const LogicalTensor& tensor_;
  RowView rows_;
  ScaleShape scale_shape_;
  std::vector<float> scales_;             // [scale_shape]
  std::vector<float> minima_;             // [scale_shape]; empty: there are none
  std::vector<std::int8_t> zero_points_;  // [scale_shape]; empty: all zero
};

}  // namespace mnq
