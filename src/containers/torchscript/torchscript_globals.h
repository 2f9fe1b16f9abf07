// The functions that the pickles of a TorchScript file may name: what LibTorch's unpickler knows and a float
// module needs, beside the storages.  Source: torch/csrc/jit/serialization/unpickler.cpp, Unpickler::readGlobal
#pragma once

#include "containers/pickle/pickle.h"
#include "containers/torch_save/torch_dtypes.h"

namespace mnq {

struct TorchFunction {
  std::string_view module, name;
  std::size_t least_arguments, most_arguments;
};

/// Null where a global is none of them.
const TorchFunction* find_torch_function(const PickleValue& global);

/// Whether it names a class that the file's own code defines.
bool is_torchscript_class(const PickleValue& global);

}  // namespace mnq
