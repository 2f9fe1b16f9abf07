// Weights that were packed for the integer kernels when a module first ran, each for as long as a module has its codes.
#pragma once

#include <memory>
#include <optional>

#include "module/backend.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {

/// What the operators get of a layer.
struct LayerTensors {
  at::Tensor codes, scale;
  std::optional<at::Tensor> zero_point, bias;
  std::vector<std::int64_t> shape;  ///< of the weight
  bool has_nibbles = false;
  std::int64_t group_size = 0;  ///< 0: whole rows

  std::int64_t output_count() const { return shape.front(); }
  std::int64_t row_length() const { return c10::multiply_integers(shape.begin() + 1, shape.end()); }
  std::int64_t groups() const;

  /// Whether they are what their shape says, and of dtypes that are packed; bias: of that dtype.
  bool is_sound(at::ScalarType bias_type) const;
};

/// Null where they cannot be packed. layer: sound.
std::shared_ptr<const void> packed_weights(const IntegerKernels& kernels, const LayerTensors& layer);

/// Frees those of modules that are gone.
void forget_packed_weights();

}  // namespace mnq::libtorch
