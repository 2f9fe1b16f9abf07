// The weight of one layer, found by either of its names.
#pragma once

#include <string>

#include "base/tensor_source.h"

namespace mnq {

/// The weight of the layer "encoder.0.query", or the tensor "encoder.0.query.weight", among those of a model. Errors:
/// kNotFound, with the name that was most likely meant; kFormat where the model is not sound.
const LogicalTensor& weight_of_layer(const TensorSource& source, const std::string& layer);

/// The layer's bias: the stored tensor beside its weight; kNone where there is none.
std::size_t bias_of_weight(const TensorSource& source, const LogicalTensor& weight);

}  // namespace mnq
