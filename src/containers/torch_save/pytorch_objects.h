// What torch.save wrote, read as values: which dict, list or tuple holds the model's tensors, where each lies, and what
// stands around them. Nothing is imported or called; objects of other classes beside the tensors are named and left
// out. Source: torch/serialization.py, torch/_utils.py, 2.13
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "containers/torch_save/pytorch_frame.h"
#include "containers/torch_save/pytorch_tensors.h"

namespace mnq {

struct PytorchObjects {
  std::vector<PytorchTensor> tensors;
  std::map<std::string, PytorchStorage> storages;  ///< all that the pickle names, by key
  std::vector<std::string> remarks;                ///< the key that was used, and what was left out
  bool has_packed = false;                         ///< whether any came out of packed parameters
  std::vector<std::string> members;                ///< names of what is no tensor of ours and is kept in the frame
  PytorchFrame frame;                              ///< without the bytes of its storages, whose keys are these:
  std::vector<std::string> carried;
};

struct PytorchRequest {
  /// Dotted path of the dict whose tensors are wanted, "" for the root; none: the one that holds the model's.
  std::optional<std::string> wanted_key;
  bool carries_storages = true;  ///< whether the file's bytes are such that a frame can hold storages
};

/// Memory is bounded by a multiple of the pickle's size.
/// Errors: kFormat naming the record (inconsistent sizes, beyond a storage); kUnsupported naming the global or the
/// tensor (another object than a dict of tensors, none but odd ones, two of one name); kNotFound for a wanted_key that
/// is none, with those there are.
PytorchObjects read_pytorch_objects(const Pickle& pickle, const std::string& title, const std::string& record,
                                    const PytorchRequest& request);

/// Of those that were found: the scales that only quantized layers need are left out, with a remark, cells of recurrent
/// layers are named as PyTorch does, and what has several names becomes one. Errors: kUnsupported for two of one name.
void settle_tensors(PytorchObjects& objects, const std::string& title, const std::string& record);

}  // namespace mnq
