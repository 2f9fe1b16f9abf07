// What was found of the tensors of a file while its code was followed: their uses, what writes to them, and what went
// where it is not seen.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "module/torchscript_uses.h"
#include "module/uses/script_value.h"

namespace mnq {

class ScriptFindings {
 public:
  /// The tree must outlive it.
  explicit ScriptFindings(const ScriptTree& tree);

  void note_use(ScriptTree::TensorIndex tensor, WeightUse use);
  void note_written(const ScriptValue& value, std::string_view by);
  void note_container_written(PickleIndex container, std::string_view by);

  /// An attribute keeps what shares memory with it.
  void note_kept(const ScriptValue& value);

  /// It goes where its uses are not seen.
  void lose(const ScriptValue& value);

  /// A constant of frozen code, in the order in which methods of the root come by them.
  void note_constant(ScriptTree::TensorIndex tensor, std::string_view method);

  /// is_lost: not all of the code was followed.
  ScriptUses conclude(bool is_lost);

 private:
  PickleIndex storage_of(ScriptTree::TensorIndex tensor) const { return tree_.tensor(tensor).storage; }
  std::size_t rank_of(ScriptTree::TensorIndex tensor) const { return tree_.tensor(tensor).sizes.size(); }
  void let_types_say();
  WeightUse use_of(const ScriptTree::Listed& listed, bool is_lost) const;
  std::vector<ScriptConstantWeight> weights_among_constants();

  const ScriptTree& tree_;
  std::vector<WeightUse> uses_;                           // one for each tensor of the file
  std::unordered_map<PickleIndex, std::string> written_;  // storages, and the operator
  std::unordered_set<PickleIndex> written_containers_, lost_objects_;
  std::unordered_map<ScriptTree::TensorIndex, std::string_view> constants_;  // and the method that names it first
  std::vector<ScriptTree::TensorIndex> constant_order_;
};

}  // namespace mnq
