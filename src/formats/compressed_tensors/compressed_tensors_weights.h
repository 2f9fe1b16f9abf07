// The quantized weights of a compressed-tensors folder: names find their parts, and the shapes of the parts say, with
// the groups of config.json, how each is quantized.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "adapted/named_tensors.h"
#include "base/tensor_source.h"
#include "formats/compressed_tensors/compressed_tensors_groups.h"

namespace mnq {

/// In the order of their codes; parts are indices of the source's tensors. is_part: of a checkpoint, so that zero
/// points may lie in its other files. Errors: kFormat; kUnsupported.
std::vector<LogicalTensor> find_compressed_weights(const NamedTensors& tensors, std::span<const CompressedGroup> groups,
                                                   bool is_part);

}  // namespace mnq
