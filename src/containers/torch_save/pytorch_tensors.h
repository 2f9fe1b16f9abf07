// Tensors and storages as a pickle of torch.save says them, checked against each other.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/boxed.h"
#include "base/tensor.h"
#include "containers/torch_save/pytorch_dicts.h"
#include "containers/torch_save/torch_dtypes.h"

namespace mnq {

struct PytorchQuantizer;

/// A tensor as a view of a storage.
struct PytorchTensor {
  std::string name;
  std::vector<std::string> ties;  ///< other names of the same view
  DType dtype = DType::kF32;
  Shape shape;
  Shape strides;                      ///< in elements, as the offset
  std::int64_t offset = 0;            ///< of the first element in its storage
  std::int64_t end = 0;               ///< one past the last one
  std::string storage;                ///< key
  std::uint64_t storage_offset = 0;   ///< elements before the storage's view: the old form only
  Boxed<PytorchQuantizer> quantizer;  ///< of what PyTorch quantized: the tensor is that of the codes
  std::string oddity;  ///< "is of torch.complex128": why it is none of ours; then nothing but the name is set
};

/// How the codes of a tensor of torch.quantize_per_tensor and the like become values: (code - zero point) * scale.
struct PytorchQuantizer {
  std::string_view dtype;  ///< "qint32"
  std::int32_t code_bits = 8;
  Shape shape;  ///< of the weight; where a byte has several codes, their tensor is a row of bytes
  PickleIndex parameters = kNoPickleValue;  ///< tells it from others
  double scale = 1;                         ///< of the whole tensor
  std::int64_t zero_point = 0;              ///< likewise
  std::optional<std::int64_t> axis;         ///< in place of these two: each index of it has its own
  std::vector<PytorchTensor> tables;        ///< with an axis: scales, then zero points

  bool has_float_zero_points() const { return axis && is_weight_dtype(tables[1].dtype); }

  /// Zero points of integers lie in it.
  std::pair<std::int64_t, std::int64_t> code_range() const;
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

  /// Sparse tensors, conjugate and negative views, dtypes that no other format has and more are odd.
  /// Errors: kFormat naming the tensor (inconsistent sizes, beyond its storage); kUnsupported naming how it is
  /// quantized.
  PytorchTensor read(std::string name, const TensorCall& call) const;

  /// Whether it is a tensor of codes.
  static bool is_quantized(const TensorCall& call) { return call.function == "_rebuild_qtensor"; }

  /// Whether its storage has much that it does not show: elements of other tensors.
  bool is_small_part(const TensorCall& call) const;

  /// Whether it may be a layer's weight: floats, and more than one of them, or a matrix of codes. What is odd may be
  /// one.
  bool may_be_weight(const TensorCall& call) const;

  /// The same with more than one axis.
  bool may_be_matrix(const TensorCall& call) const;

  /// Whether it is a row of floats.
  bool may_be_bias(const TensorCall& call) const;

 private:
  struct Form;

  [[noreturn]] void refuse(const std::string& what, const std::string& suggestion) const;
  static const Form* form_of(const TensorCall& call);
  const PickleValue& said_dtype(const TensorCall& call, const Form& form) const;
  const TorchDType* row_of(const TensorCall& call, const Form& form) const;
  std::optional<DType> dtype_of(const TensorCall& call, const Form& form) const;
  PickleIndex sizes_of(PickleIndex index) const;
  std::string oddity_of(const TensorCall& call, const Form* form) const;
  void refuse_wrapped(const std::string& name, const TensorCall& call) const;
  void read_quantizer(PytorchTensor& tensor, Shape shape, const TensorCall& call) const;
  std::size_t axis_count(const TensorCall& call) const;
  void check_extent(PytorchTensor& tensor, std::span<const PickleIndex> id) const;
  void read_storage(const PickleValue& persistent);

  const Pickle& pickle_;
  const std::string& title_;
  const std::string& record_;
  std::map<std::string, PytorchStorage> storages_;
};

}  // namespace mnq
