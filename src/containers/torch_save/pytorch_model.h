// Which of the dicts, lists and tuples of a checkpoint is the model: the one that was asked for, or the likeliest.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "containers/torch_save/pytorch_dicts.h"
#include "containers/torch_save/pytorch_tensors.h"

namespace mnq {

struct PytorchModel {
  /// A branch above the model's, and which of its entries leads there.
  struct Step {
    PickleIndex branch;
    const DictEntry* next;
  };

  PickleIndex branch = kNoPickleValue;
  std::vector<Step> steps;  ///< from the root to it
  std::string path;         ///< of its keys
};

class PytorchModelFinder {
 public:
  /// What it is given must outlive it.
  PytorchModelFinder(PickleIndex root, PytorchDicts& dicts, const PytorchTensors& tensors)
      : root_(root), dicts_(dicts), tensors_(tensors) {}

  /// A dict that holds weights itself is the model; else the likeliest of those below.
  PytorchModel find_likeliest();

  /// Errors: kNotFound, with the keys that there are.
  PytorchModel find_at(const std::string& wanted_key, const std::string& title);

  bool has_matrices(PickleIndex index, std::size_t depth = 0);

 private:
  const DictEntry* model_below(PickleIndex branch);
  bool is_model(PickleIndex value);
  [[noreturn]] void fail_wanted(const std::string& wanted, const std::string& title, PickleIndex branch);

  const PickleIndex root_;
  PytorchDicts& dicts_;
  const PytorchTensors& tensors_;
  std::unordered_map<PickleIndex, bool> has_matrices_;
};

/// Whether a training run keeps something of its own under the key.
bool is_optimizer_key(std::string_view key);

/// Whether the entry holds an optimizer. Schedulers, scalers and callbacks are of a run as well, but small.
bool holds_optimizer(PytorchDicts& dicts, const DictEntry& entry);

std::string dotted(std::string_view prefix, std::string_view key);

}  // namespace mnq
