// What is known of a quantized weight besides its data: how its codes become weights again.
#pragma once

#include <string>

#include "base/tensor.h"

namespace mnq {

enum class Granularity { kTensor, kChannel, kGroup };

/// Everything that decodes a quantized weight, and what it was before.
struct QuantizedSpec {
  std::string scheme;  ///< a row of the scheme table
  Granularity granularity = Granularity::kChannel;
  bool symmetric = true;
  std::uint64_t group_size = 0;   ///< kGroup only: consecutive input elements that share a scale
  std::uint64_t group_rows = 1;   ///< kGroup only: rows that share their groups' scales: 128 in blocks of 128 x 128
  std::int64_t channel_axis = 0;  ///< in [0, rank)
  DType weight_dtype = DType::kF32;
  Shape shape;                       ///< of the weight
  DType scale_dtype = DType::kF32;   ///< scales, and minima, have values of this dtype
  std::int32_t activation_bits = 0;  ///< 8: meant to be run with activations quantized for each row as the model runs
  bool has_free_scales = false;      ///< scales may be 0 or negative: an encoder that searches makes them so
  bool has_group_order = false;      ///< kGroup only: columns of a group need not follow each other, a table says which
                                     ///< ones they are (ScaleTables::group_of_column)
  std::int64_t stacked_axes = 0;  ///< leading axes, at most channel_axis, behind each index of which is a matrix with
                                  ///< channels of its own: 1 for the weights of all experts in one tensor

  bool operator==(const QuantizedSpec&) const = default;
};

/// One matrix [out, in] of a stack of them.
inline QuantizedSpec matrix_of_stack(const QuantizedSpec& stack) {
  QuantizedSpec matrix = stack;
  matrix.shape.erase(matrix.shape.begin());
  --matrix.channel_axis;
  --matrix.stacked_axes;
  return matrix;
}

/// A weight [.., channels, ..] seen as a matrix. Rows are what lies behind one index of the channel axis and all axes
/// before it; row r belongs to channel r mod channel_count.
struct RowView {
  std::uint64_t row_count = 0;
  std::uint64_t row_length = 0;
  std::uint64_t channel_count = 0;
};

inline RowView row_view(const Shape& shape, std::int64_t channel_axis) {
  RowView view{1, 1, 1};
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const auto size = static_cast<std::uint64_t>(shape[axis]);
    const auto channel = static_cast<std::size_t>(channel_axis);
    if (axis <= channel) view.row_count *= size;
    if (axis == channel) view.channel_count = size;
    if (axis > channel) view.row_length *= size;
  }
  return view;
}

}  // namespace mnq
