// Tensors and storages as a pickle of torch.save says them, checked against each other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "containers/torch_save/pytorch_dicts.h"
#include "containers/torch_save/torch_dtypes.h"

namespace mnq {

/// A tensor as a view of a storage.
struct PytorchTensor {
  std::string name;
  std::vector<std::string> ties;  ///< other names of the same view
  DType dtype = DType::kF32;
  Shape shape;
  Shape strides;                     ///< in elements, as the offset
  std::int64_t offset = 0;           ///< of the first element in its storage
  std::int64_t end = 0;              ///< one past the last one
  std::string storage;               ///< key
  std::uint64_t storage_offset = 0;  ///< elements before the storage's view: the old form only
  std::string oddity;  ///< "is of torch.complex128": why it is none of ours; then nothing but the name is set
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

  /// The same when nothing is read any more.
  std::map<std::string, PytorchStorage> take_storages() { return std::move(storages_); }

  /// Sparse and quantized tensors, conjugate and negative views, dtypes that no other format has and more are odd.
  /// Errors: kFormat naming the tensor (inconsistent sizes, beyond its storage).
  PytorchTensor read(std::string name, const TensorCall& call) const;

  /// Whether its storage has much that it does not show: elements of other tensors.
  bool is_small_part(const TensorCall& call) const;

  /// Whether it may be a layer's weight: floats, and more than one of them, or a matrix of codes. What is odd may be
  /// one.
  bool may_be_weight(const TensorCall& call) const;

  /// The same with more than one axis.
  bool may_be_matrix(const TensorCall& call) const;

 private:
  struct Form;

  [[noreturn]] void refuse(const std::string& what, const std::string& suggestion) const;
  static const Form* form_of(const TensorCall& call);
  const PickleValue& said_dtype(const TensorCall& call, const Form& form) const;
  const TorchDType* row_of(const TensorCall& call, const Form& form) const;
  std::optional<DType> dtype_of(const TensorCall& call, const Form& form) const;
  PickleIndex sizes_of(PickleIndex index) const;
  std::string oddity_of(const TensorCall& call, const Form* form) const;
  std::size_t axis_count(const TensorCall& call) const;
  void check_extent(PytorchTensor& tensor, std::span<const PickleIndex> id) const;
  void read_storage(const PickleValue& persistent);

  const Pickle& pickle_;
  const std::string& title_;
  const std::string& record_;
  std::map<std::string, PytorchStorage> storages_;
};

}  // namespace mnq
