#include "module/uses/script_findings.h"

#include <algorithm>

#include "base/text/format.h"

namespace mnq {
namespace {

using TensorIndex = ScriptTree::TensorIndex;

bool is_float(const ScriptTensor& tensor) {
  const std::string_view name = tensor.type->name;
  return name.starts_with("float") || name.starts_with("bfloat");
}

// A name that one of the weight's parts would need; empty if all are free.
std::string find_taken_name(const ScriptTree& tree, const ScriptTree::Listed& listed) {
  for (const ScriptPlace& place : listed.places) {
    for (const std::string_view suffix : kPartSuffixes) {
      std::string name = std::string(place.attribute) + std::string(suffix);
      if (tree.class_of(place.object)->names.contains(name)) return name;
    }
  }
  return {};
}

}  // namespace

ScriptFindings::ScriptFindings(const ScriptTree& tree)
    : tree_(tree), uses_(tree.tensor_count(), {"", 0, std::string(kUnusedWeight)}) {}

void ScriptFindings::note_use(TensorIndex tensor, WeightUse use) {
  WeightUse& known = uses_[tensor];
  if (known.kind.empty() || use.kind == "Embedding") known = std::move(use);
}

void ScriptFindings::note_written(const ScriptValue& value, std::string_view by) {
  for (const ScriptAlias& alias : value.aliases) written_.emplace(storage_of(alias.tensor), by);
  for (const PickleIndex container : value.containers) note_container_written(container, by);
}

void ScriptFindings::note_container_written(PickleIndex container, std::string_view by) {
  if (!written_containers_.insert(container).second) return;
  for (const TensorIndex tensor : tree_.tensors_in(container)) written_.emplace(storage_of(tensor), by);
}

void ScriptFindings::note_kept(const ScriptValue& value) {
  for (const ScriptAlias& alias : value.aliases) written_.emplace(storage_of(alias.tensor), "an assignment");
  if (value.items == nullptr) return;
  for (const ScriptValue& item : *value.items) note_kept(item);
}

void ScriptFindings::lose(const ScriptValue& value) {
  for (const ScriptAlias& alias : value.aliases) note_use(alias.tensor, {"", 0, std::string(kUnknownUse)});
  if (value.object != kNoPickleValue) lost_objects_.insert(value.object);
  if (value.items == nullptr) return;
  for (const ScriptValue& item : *value.items) lose(item);
}

void ScriptFindings::note_constant(TensorIndex tensor, std::string_view method) {
  if (constants_.try_emplace(tensor, method).second) constant_order_.push_back(tensor);
}

ScriptUses ScriptFindings::conclude(bool is_lost) {
  let_types_say();
  ScriptUses result;
  for (const ScriptTree::Listed& listed : tree_.listed()) result.uses.push_back(use_of(listed, is_lost));
  result.constants = weights_among_constants();
  return result;
}

// The type of the module says what its weight is, whether or not a method of the root comes by it, and knows better
// than the operators: a traced LSTMCell is made of linear ones.
void ScriptFindings::let_types_say() {
  for (const ScriptTree::Listed& listed : tree_.listed()) {
    WeightUse of_type;
    for (const ScriptPlace& place : listed.places) {
      const auto use = use_by_type(tree_.class_of(place.object)->name, place.attribute, rank_of(listed.tensor));
      if (use) merge_use(of_type, *use);
    }
    WeightUse& known = uses_[listed.tensor];
    if (!of_type.kind.empty() && known.kind != "Embedding") known = std::move(of_type);
  }
}

WeightUse ScriptFindings::use_of(const ScriptTree::Listed& listed, bool is_lost) const {
  const auto written = written_.find(storage_of(listed.tensor));
  if (written != written_.end()) return {"", 0, written_reason(written->second)};
  const WeightUse& use = uses_[listed.tensor];
  if (use.kind.empty()) {
    is_lost = is_lost || std::ranges::any_of(listed.places, [&](const ScriptPlace& place) {
                return lost_objects_.contains(place.object);
              });
    return is_lost && use.reason == kUnusedWeight ? WeightUse{"", 0, std::string(kUnknownUse)} : use;
  }
  if (!is_float(tree_.tensor(listed.tensor))) return use;
  const std::string taken = find_taken_name(tree_, listed);
  return taken.empty() ? use : WeightUse{"", 0, taken_name_reason(taken)};
}

// In LibTorch's order.
std::vector<ScriptConstantWeight> ScriptFindings::weights_among_constants() {
  std::vector<ScriptConstantWeight> found;
  for (const TensorIndex tensor : constant_order_) {
    WeightUse& use = uses_[tensor];
    if (use.kind.empty() || rank_of(tensor) < 2) continue;
    use.reason = frozen_reason(constants_.at(tensor), use.kind);
    use.kind.clear();
    found.push_back({formatted("constants.{}", found.size()), tensor, use});
  }
  return found;
}

}  // namespace mnq
