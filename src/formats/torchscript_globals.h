// The functions and types that the pickles of a TorchScript file may name: what LibTorch's unpickler knows and a float
// module needs.  Source: torch/csrc/jit/serialization/unpickler.cpp, Unpickler::readGlobal
#pragma once

#include <optional>

#include "base/dtype.h"
#include "formats/pickle.h"

namespace mnq {

struct TorchStorageType {
  std::string_view name;
  std::uint64_t item_bytes;
  std::optional<DType> dtype;  ///< empty for one that no tensor of ours can have
};

struct TorchFunction {
  std::string_view module, name;
  std::size_t least_arguments, most_arguments;
};

/// Null where a global is none of them.
const TorchStorageType* find_torch_storage_type(const PickleValue& global);
const TorchFunction* find_torch_function(const PickleValue& global);

/// Whether it names a class that the file's own code defines.
bool is_torchscript_class(const PickleValue& global);

}  // namespace mnq
