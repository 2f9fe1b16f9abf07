// What torch.save wrote, read as values: which dict holds the model's tensors, and where each lies. Nothing is imported or
// called; objects of other classes beside the tensors are named and left out.
// Source: torch/serialization.py, torch/_utils.py, 2.13
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "formats/pickle.h"

namespace mnq {

/// A tensor as a view of a storage.
struct PytorchTensor {
  std::string name;
  std::vector<std::string> ties;  ///< other names of the same view
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<std::int64_t> strides;  ///< in elements, as the offset
  std::int64_t offset = 0;            ///< of the first element in its storage
  std::int64_t end = 0;               ///< one past the last one
  std::string storage;                ///< key
  std::uint64_t storage_offset = 0;   ///< elements before the storage's view: the old form only
};

/// A storage as its persistent id describes it.
struct PytorchStorage {
  std::uint64_t item_bytes = 1;
  std::uint64_t count = 0;  ///< items
};

struct PytorchObjects {
  std::vector<PytorchTensor> tensors;
  std::map<std::string, PytorchStorage> storages;  ///< all that the pickle names, by key
  std::vector<std::string> remarks;                ///< the key that was used, and what was left out
};

/// wanted_key: dotted path of the dict whose tensors are wanted; empty: the one that holds the model's.
/// Errors: kFormat naming the record (inconsistent sizes, beyond a storage); kUnsupported naming the global or the tensor
/// (another object than a dict of tensors, sparse or quantized tensors, dtypes that are not known); kNotFound for a
/// wanted_key that is none, with those there are.
PytorchObjects read_pytorch_objects(const Pickle& pickle, const std::string& title, const std::string& record,
                                    const std::string& wanted_key);

}  // namespace mnq
