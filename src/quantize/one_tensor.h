// One tensor by itself, for programs that hold their weights on their own: quantized into the parts that a file would
// have, and back.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "formats/memory.h"
#include "quantize/loop/run_control.h"
#include "quantize/report.h"

namespace mnq {

/// The parts of a weight, codes first.
struct TensorParts {
  std::vector<NamedTensor> tensors;
  std::string description;  ///< what they are, as our own metadata has it; empty: floats
};

struct QuantizedTensor {
  TensorParts parts;
  Report report;
};

/// As a layer's weight, `kind` a row of the layer kinds; empty: the one of its rank. It need not be selected. Either of
/// the settings may be null. Errors: as quantize; kConfig where it would be left as it is.
QuantizedTensor quantize_tensor(const std::string& name, const Tensor& tensor, const std::string& kind,
                                const Settings* config, const Settings* call, RunControl& control);

/// The floats of one weight, in the dtype it came from. Errors: kFormat where parts do not fit together; kInvalidArg
/// where they are not of one weight.
Tensor dequantize_tensor(const TensorParts& parts, const Config& config, RunControl& control);

/// The weight of that name as floats; one that is not quantized as it is stored. Errors: kNotFound; as dequantize.
Tensor load_float(const TensorSource& source, const std::string& name, const Config& config, RunControl& control);

}  // namespace mnq
