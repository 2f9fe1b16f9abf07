// What is known of a quantized weight besides its data: how its codes become weights again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/tensor_source.h"

namespace mnq {

enum class Granularity { kTensor, kChannel, kGroup };

/// Everything that decodes a quantized weight, and what it was before.
struct QuantizedSpec {
  std::string scheme;  ///< a row of the scheme table: "qint8"
  Granularity granularity = Granularity::kChannel;
  bool symmetric = true;
  std::uint64_t group_size = 0;   ///< kGroup only: consecutive input elements that share a scale
  std::int64_t channel_axis = 0;  ///< in [0, rank)
  DType weight_dtype = DType::kF32;
  Shape shape;                       ///< of the weight
  DType scale_dtype = DType::kF32;   ///< scales, and minima, have values of this dtype; they are stored as float32
  std::int32_t activation_bits = 0;  ///< 8: meant to be run with activations quantized for each row as the model runs
  bool is_ggml = false;  ///< from ggml's blocks: scales may be 0 or negative, and the weight's dtype is a guess
  bool is_rounded_as_ggml = false;  ///< to be quantized by the rules of ggml's reference; is not stored
  std::int64_t stacked_axes = 0;    ///< leading axes, at most channel_axis, behind each index of which is a matrix with
                                    ///< channels of its own: 1 for the weights of all experts in one tensor

  bool operator==(const QuantizedSpec&) const = default;
};

/// A tensor as the user thinks of it: a float tensor, or a quantized weight with all its parts.
struct LogicalTensor {
  std::string name;
  DType dtype = DType::kF32;  ///< of a quantized weight: before it was quantized
  Shape shape;
  std::vector<std::size_t>
      parts;  ///< of the source's stored tensors; for a quantized weight as Scheme::parts lists them
  std::optional<QuantizedSpec> spec;  ///< of a quantized weight
  std::optional<double> sqnr_db;      ///< of a quantized weight, where the file says
  std::optional<LayerHint> hint;      ///< where the source knows its layers
  std::vector<std::string> ties;      ///< other names of it
};

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
