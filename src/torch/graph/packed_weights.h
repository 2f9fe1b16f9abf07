// Weights that were packed for the integer kernels when a module first ran, each for as long as a module has its codes.
#pragma once

#include <memory>
#include <optional>

#include "module/backend.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {

/// How a convolution goes over its input; a list of one value is for all axes.
struct Convolution {
  std::vector<std::int64_t> stride, padding, dilation;
  std::int64_t groups = 1;

  bool operator==(const Convolution&) const = default;
};

/// What the operators get of a layer.
struct LayerTensors {
  at::Tensor codes, scale;
  std::optional<at::Tensor> zero_point, bias;
  std::vector<std::int64_t> shape;  ///< of the weight
  bool has_nibbles = false;
  std::int64_t group_size = 0;             ///< 0: whole rows
  std::optional<Convolution> convolution;  ///< of one that is no product of rows

  std::int64_t output_count() const { return shape.front(); }
  std::int64_t row_length() const { return c10::multiply_integers(shape.begin() + 1, shape.end()); }
  std::int64_t groups() const;

  /// Whether they are what their shape says, and of dtypes that are packed; bias: of that dtype.
  bool is_sound(at::ScalarType bias_type) const;
};

using Pack = std::shared_ptr<const void>(const IntegerKernels& kernels, const LayerTensors& layer);

/// For products of rows, by the integer kernels. Null where they cannot be packed. layer: sound.
Pack pack_rows;

/// What was packed of the layer, or is now.
std::shared_ptr<const void> packed_weights(const IntegerKernels& kernels, const LayerTensors& layer, Pack& pack);

/// Frees those of modules that are gone.
void forget_packed_weights();

}  // namespace mnq::libtorch
