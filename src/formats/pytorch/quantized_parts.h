// What is stored of a weight that PyTorch quantized besides its codes, as a container of ours would hold it: PyTorch
// says it in the pickle, or in tensors of other dtypes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/quantized_weight.h"
#include "containers/torch_save/pytorch_tensors.h"

namespace mnq {

struct Layout;  // layouts/layout.h

struct MadeTensor {
  TensorInfo info;
  std::vector<std::byte> bytes;
};

struct QuantizedParts {
  std::optional<QuantizedSpec> spec;  ///< empty: such codes are not read, and plan/foreign_tensors.cpp knows them
  const Layout* layout = nullptr;
  std::vector<MadeTensor> made;     ///< behind the codes
  bool has_rounded_scales = false;  ///< PyTorch multiplies by float64: values may differ by one rounding
};

/// All elements of a table, little-endian, one behind the other.
using ReadTable = std::function<std::vector<std::byte>(const PytorchTensor& table)>;

/// Errors: kFormat naming the tensor.
QuantizedParts make_quantized_parts(const TensorInfo& codes, const PytorchQuantizer& quantizer,
                                    const std::string& title, const ReadTable& read);

}  // namespace mnq
