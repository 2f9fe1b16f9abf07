// What PyTorch calls the dtypes: by themselves, and by the classes of their storages.
#pragma once

#include <optional>

#include "base/dtype.h"
#include "containers/pickle/pickle.h"

namespace mnq {

struct TorchDType {
  std::optional<DType>
      dtype;  ///< empty for one that no tensor of ours can have: such tensors stay what they are in a .pt
  std::uint64_t item_bytes;
  std::string_view name;            ///< "float32"
  std::string_view storage;         ///< "FloatStorage"; empty where no class has it
  bool is_python;                   ///< whether torch.load knows the class: the rest are LibTorch's alone
  std::optional<DType> codes = {};  ///< of what PyTorch quantized: what its storage holds
  std::int32_t code_bits = 0;       ///< likewise; below 8 the first code of a byte is the lowest bits

  bool is_quantized() const { return codes.has_value(); }
};

/// By the global torch.NAME of a storage's class, or of the dtype itself. Null where it is none of them.
const TorchDType* find_torch_storage_type(const PickleValue& global);
const TorchDType* find_torch_dtype(const PickleValue& global);

/// Null where PyTorch has none.
const TorchDType* find_torch_dtype(DType dtype);

}  // namespace mnq
