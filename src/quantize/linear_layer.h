// A Linear layer of a model, packed so that any program can run it: with the codes that it has, or quantized as the
// settings say.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/tensor_source.h"
#include "config/config.h"
#include "linear/linear.h"

namespace mnq {

struct LinearLayer {
  std::string name;           ///< empty: it came from codes
  std::string scheme;         ///< "int4 group 128"
  std::uint32_t threads = 0;  ///< 0: as many as jobs use
  linear::PackedLinear packed;

  /// Threads of a call now.
  std::uint32_t thread_count() const;

  /// As a JSON object.
  std::string describe() const;
};

/// The settings of packed layers, of a config and of a call; both may be null.
struct LinearSettings {
  const Settings* config = nullptr;
  const Settings* call = nullptr;
};

/// Errors: kNotFound for a layer that is none; kUnsupported for weights that cannot be packed, or that the settings
/// leave as they are; kConfig, kFormat, kIo, kShape; kValidation for weights that are not finite.
std::unique_ptr<LinearLayer> make_linear_layer(const TensorSource& source, const std::string& layer,
                                               const LinearSettings& settings);

/// A layer of floats; bias may be null. Errors: as above.
std::unique_ptr<LinearLayer> make_linear_layer(const Tensor& weight, const Tensor* bias,
                                               const LinearSettings& settings);

/// A layer of codes; scheme: what they are called. Errors: as linear::pack_panels.
std::unique_ptr<LinearLayer> make_linear_layer(const linear::LinearWeights& weights, std::string_view scheme,
                                               const LinearSettings& settings);

}  // namespace mnq
