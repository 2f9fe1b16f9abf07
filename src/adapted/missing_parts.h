// What a quantized weight lacks, where all of a checkpoint is there: without its codes it would be lost, and without
// its scales its codes would be taken for values.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "adapted/named_tensors.h"

namespace mnq {

/// Errors: kFormat for scales, zero points and the like whose codes are missing.
void require_codes(const NamedTensors& tensors);

/// Errors: kFormat for scales of codes that are integers of no weight that was found.
void require_known_codes(const NamedTensors& tensors, std::span<const LogicalTensor> found);

/// Errors: kFormat for bytes that are called a weight, and are of none that was found.
void require_no_bare_codes(const NamedTensors& tensors, std::span<const LogicalTensor> found);

/// Whether the weight of a layer is quantized.
using SaysQuantized = std::function<bool(const std::string& layer)>;

/// Errors: kFormat for floats of 8 bits in a quantized layer that are of no weight that was found. scale: what their
/// scales are called behind the weight's name; teller: who says that the layer is quantized.
void require_scales(const NamedTensors& tensors, std::span<const LogicalTensor> found, std::string_view scale,
                    std::string_view teller, const SaysQuantized& is_quantized);

}  // namespace mnq
