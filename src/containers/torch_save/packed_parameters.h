// Where the quantized layers of PyTorch keep their weights: not in tensors of their own, but packed with the bias in a
// tuple or in an object of a C++ class, whose state is what it was packed of. None of it is made here: the tensors in
// it are found and called as those of a float layer are.
//   fc._packed_params._packed_params     (weight, bias), or LinearPackedParamsBase      fc.weight, fc.bias
//   emb._packed_params._packed_weight    the weight, or EmbeddingPackedParamsBase       emb.weight
//   conv._packed_params                  Conv2dPackedParamsBase                         conv.weight, conv.bias
//   lstm._all_weight_values.1.param      CellParamsBase                                 lstm.weight_ih_l1 and its kin
//   cell._packed_weight_ih               LinearPackedParamsBase                         cell.weight_ih, cell.bias_ih
// Source: torch/ao/nn/quantized, aten/src/ATen/native/quantized/cpu/fbgemm_utils.cpp, 2.13
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "containers/torch_save/pytorch_dicts.h"
#include "containers/torch_save/pytorch_tensors.h"

namespace mnq {

struct PackedTensor {
  std::string name;
  TensorCall call;
};

/// The dtype that quantized layers keep beside, which says nothing that their codes do not.
bool is_packed_dtype(std::string_view key);

class PackedParameters {
 public:
  /// What it is given must outlive it.
  PackedParameters(const Pickle& pickle, PytorchDicts& dicts, const PytorchTensors& tensors)
      : pickle_(pickle), dicts_(dicts), tensors_(tensors) {}

  /// Whether the value of a dict's entry is one.
  bool is_packed(std::string_view key, PickleIndex value);

  /// Weights and biases in it. name: its own. Errors: kFormat for what holds too much.
  std::vector<PackedTensor> tensors(const std::string& name, PickleIndex value) const;

  /// Whether any of its tensors is quantized. Errors: as above.
  bool holds_quantized(PickleIndex value) const;

 private:
  std::vector<TensorCall> leaves(PickleIndex value) const;

  const Pickle& pickle_;
  PytorchDicts& dicts_;
  const PytorchTensors& tensors_;
};

/// Cells of recurrent layers get the names that those have: by their numbers, and by which of them go backwards, as
/// their sizes tell. Where these do not they stay lstm._all_weight_values.0.weight_ih.
void name_cells(std::vector<PytorchTensor>& tensors);

}  // namespace mnq
