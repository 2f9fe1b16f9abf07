// Tensors and storages as a pickle of torch.save says them, checked against each other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "formats/pytorch_dicts.h"

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

class PytorchTensors {
 public:
  /// Reads all storages. What it is given must outlive it. Errors: kFormat, kUnsupported.
  PytorchTensors(const Pickle& pickle, const std::string& title, const std::string& record);

  const std::map<std::string, PytorchStorage>& storages() const { return storages_; }

  /// Errors: kFormat naming the tensor (inconsistent sizes, beyond its storage); kUnsupported naming it (sparse and
  /// quantized tensors, conjugate and negative views, dtypes that are not known, more than 64 axes).
  PytorchTensor read(std::string name, const TensorCall& call) const;

  /// Whether it may be a layer's weight: floats, and more than one of them. What read would refuse may be one.
  bool may_be_weight(const TensorCall& call) const;

 private:
  struct Form;

  [[noreturn]] void refuse(const std::string& what, const std::string& suggestion) const;
  static const Form* form_of(const TensorCall& call);
  const PickleValue& said_dtype(const TensorCall& call, const Form& form) const;
  std::optional<DType> dtype_of(const TensorCall& call, const Form& form) const;
  PickleIndex sizes_of(PickleIndex index) const;
  std::vector<std::int64_t> read_sizes(const std::string& name, PickleIndex index, const char* what) const;
  void check_flags(const std::string& name, const TensorCall& call, const Form& form) const;
  void check_extent(PytorchTensor& tensor, std::span<const PickleIndex> id) const;
  void read_storage(const PickleValue& persistent);

  const Pickle& pickle_;
  const std::string& title_;
  const std::string& record_;
  std::map<std::string, PytorchStorage> storages_;
};

}  // namespace mnq
