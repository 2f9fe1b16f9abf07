// What torch.save wrote, read as values: which dict holds the model's tensors, and where each lies. Nothing is imported or
// called; objects of other classes beside the tensors are named and left out.
// Source: torch/serialization.py, torch/_utils.py, 2.13
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/pytorch_tensors.h"

namespace mnq {

struct PytorchObjects {
  std::vector<PytorchTensor> tensors;
  std::map<std::string, PytorchStorage> storages;  ///< all that the pickle names, by key
  std::vector<std::string> remarks;                ///< the key that was used, and what was left out
};

/// Memory is bounded by a multiple of the pickle's size.
/// wanted_key: dotted path of the dict whose tensors are wanted; empty: the one that holds the model's.
/// Errors: kFormat naming the record (inconsistent sizes, beyond a storage); kUnsupported naming the global or the tensor
/// (another object than a dict of tensors, what PytorchTensors does not read, two tensors of one name); kNotFound for a
/// wanted_key that is none, with those there are.
PytorchObjects read_pytorch_objects(const Pickle& pickle, const std::string& title, const std::string& record,
                                    const std::string& wanted_key);

}  // namespace mnq
