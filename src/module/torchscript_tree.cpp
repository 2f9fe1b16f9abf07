#include "module/torchscript_tree.h"

#include <algorithm>
#include <unordered_set>

#include "containers/pickle/pickle_fields.h"
#include "module/listing.h"

namespace mnq {
namespace {

std::string qualified(std::string_view module, std::string_view name) {
  return std::string(module) + "." + std::string(name);
}

// Attributes that are no tensors or objects are gone over, too, once for each place where their object hangs.
constexpr std::size_t kMostSteps = 4 * kMostPlaces;

ScriptClass read_class(const ScriptProgram::Definition& definition, std::string name) {
  const ScriptCode& code = *definition.code;
  ScriptClass result;
  result.name = std::move(name);
  result.is_module = definition.base() == "Module";
  for (const ScriptNode& member : code.parts(*definition.node)) {
    switch (member.kind) {
      case ScriptKind::kField:
        result.attributes.push_back(member.text);
        result.names.insert(member.text);
        break;
      case ScriptKind::kConstant:
        result.names.insert(member.text);
        break;
      case ScriptKind::kFunction:
        if (result.code.emplace(member.text, ScriptFunction{&code, &member}).second) {
          result.methods.push_back(member.text);
        }
        result.names.insert(member.text);
        break;
      case ScriptKind::kNames:
        if (!member.text.starts_with("__forward")) break;
        for (const ScriptNode& hook : code.parts(member)) result.hooks.insert(hook.text);
        break;
      default:
        break;
    }
  }
  return result;
}

}  // namespace

ScriptTree::ScriptTree(const Pickle& data, const Pickle& constants, const ScriptProgram& program)
    : data_(data), constants_(constants) {
  for (const auto& [name, definition] : program.definitions()) {
    if (definition.is_class()) classes_.emplace(name, read_class(definition, name));
  }
  std::unordered_set<PickleIndex> states;
  for (PickleIndex i = 0; i < constants.values().size(); ++i) read_tensor(constants, i, constant_tensors_);
  for (PickleIndex i = 0; i < data.values().size(); ++i) {
    const PickleValue& value = data.at(i);
    if (read_tensor(data, i, data_tensors_) || value.kind != PickleKind::kCall || !value.is_new_object) continue;
    const PickleValue& global = data.at(value.function);
    const auto type = classes_.find(qualified(global.module, global.text));
    if (type == classes_.end() || value.state == kNoPickleValue) continue;
    objects_.emplace(i, &type->second);
    if (!states.insert(value.state).second) continue;  // one may be that of many
    for (const auto& [key, attribute] : data.pairs(data.at(value.state))) {
      attributes_[{value.state, pickle_text(data, key, "an attribute's name")}] = attribute;
    }
  }
  find_holders();
  walk(root(), "");
}

// From the tensors up; values are nested no deeper than check_torchscript lets them be.
void ScriptTree::find_holders() {
  enum : char { kUnknown, kNo, kYes };
  std::vector<char> known(data_.values().size(), kUnknown);
  const auto find = [&](const auto& self, PickleIndex index) -> bool {
    if (known[index] != kUnknown) return known[index] == kYes;
    bool holds = data_tensors_.contains(index);
    if (!holds) {
      data_.for_each_part(data_.at(index), [&](PickleIndex part) { holds = self(self, part) || holds; });
    }
    known[index] = holds ? kYes : kNo;
    return holds;
  };
  for (PickleIndex i = 0; i < known.size(); ++i) holds_tensors_.push_back(find(find, i));
}

// As LibTorch rebuilds it: (storage, offset, size, stride, requires_grad, hooks[, metadata]).
std::optional<ScriptTree::TensorIndex> ScriptTree::read_tensor(const Pickle& pickle, PickleIndex value,
                                                               std::unordered_map<PickleIndex, TensorIndex>& known) {
  if (!pickle.is_call(pickle.at(value), "torch._utils", "_rebuild_tensor_v2")) return std::nullopt;
  const auto items = pickle.items(pickle.at(pickle.at(value).arguments));
  const auto id = pickle.items(pickle.at(pickle.at(items[0]).function));
  ScriptTensor tensor;
  tensor.storage = items[0];
  tensor.type = find_torch_storage_type(pickle.at(id[1]));
  tensor.key = pickle_text(pickle, id[2], "a storage's name");
  tensor.storage_count = pickle_integer(pickle, id[4], "a storage's size");
  tensor.offset = pickle_integer(pickle, items[1], "a tensor's offset");
  tensor.sizes = pickle_integers(pickle, items[2], "a tensor's size");
  tensor.strides = pickle_integers(pickle, items[3], "a tensor's stride");
  tensor.is_math_view = items.size() > 6 && !pickle.pairs(pickle.at(items[6])).empty();
  const auto [same, is_new] =
      by_view_.try_emplace({&pickle == &data_, tensor.storage, tensor.offset, tensor.sizes, tensor.strides},
                           static_cast<TensorIndex>(tensors_.size()));
  if (is_new) tensors_.push_back(std::move(tensor));
  known.emplace(value, same->second);
  return same->second;
}

const ScriptClass* ScriptTree::class_of(PickleIndex value) const {
  const auto found = objects_.find(value);
  return found == objects_.end() ? nullptr : found->second;
}

std::optional<ScriptTree::Attribute> ScriptTree::attribute(PickleIndex object, std::string_view name) const {
  const auto found = attributes_.find({data_.at(object).state, name});
  if (found == attributes_.end()) return std::nullopt;
  Attribute result;
  result.value = found->second;
  const auto tensor = data_tensors_.find(result.value);
  if (tensor != data_tensors_.end()) result.tensor = tensor->second;
  result.is_object = objects_.contains(result.value);
  return result;
}

std::optional<ScriptTree::TensorIndex> ScriptTree::constant(std::size_t index) const {
  const auto items = constants_.items(constants_.root());
  if (index >= items.size()) return std::nullopt;
  const auto found = constant_tensors_.find(items[index]);
  return found == constant_tensors_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<ScriptTree::TensorIndex> ScriptTree::tensors_in(PickleIndex value) const {
  std::vector<TensorIndex> tensors;
  std::vector<PickleIndex> work{value};
  std::unordered_set<PickleIndex> seen;  // a list may hang in another more than once, and so on
  while (!work.empty()) {
    const PickleIndex index = work.back();
    work.pop_back();
    if (!holds_tensors_[index] || !seen.insert(index).second) continue;
    const auto tensor = data_tensors_.find(index);
    if (tensor != data_tensors_.end()) {
      tensors.push_back(tensor->second);
    } else {
      std::vector<PickleIndex> parts;
      data_.for_each_part(data_.at(index), [&](PickleIndex part) { parts.push_back(part); });
      work.insert(work.end(), parts.rbegin(), parts.rend());
    }
  }
  return tensors;
}

void ScriptTree::count_places(std::size_t count) {
  place_count_ += count;
  if (place_count_ > kMostPlaces || step_count_ > kMostSteps) fail_too_many_places();
}

// A module that hangs at two places has its tensors under two names.
void ScriptTree::walk(PickleIndex object, const std::string& name) {
  const bool is_new = names_.emplace(object, name).second;
  const ScriptClass* type = class_of(object);
  if (type == nullptr) return;
  step_count_ += type->attributes.size();
  count_places(1);
  Members members;
  for (const std::string_view attribute_name : type->attributes) {
    const std::optional<Attribute> held = attribute(object, attribute_name);
    if (!held || !holds_tensors_[held->value]) continue;
    ScriptPlace place{object, attribute_name,
                      name.empty() ? std::string(attribute_name) : qualified(name, attribute_name)};
    if (held->is_object && class_of(held->value)->is_module) {
      walk(held->value, place.name);
    } else if (held->tensor) {
      count_places(1);
      const auto [at, is_first] = listed_at_.try_emplace(*held->tensor, listed_.size());
      if (is_first) listed_.push_back({*held->tensor, {}});
      listed_[at->second].places.push_back(std::move(place));
    } else if (is_new) {
      add_container(held->value, std::move(place), members);
    }
  }
}

void ScriptTree::add_container(PickleIndex value, ScriptPlace place, Members& members) {
  std::vector<TensorIndex> tensors = tensors_in(value);
  count_places(tensors.size());
  if (is_list_of_members(value, place.object, members)) return;
  containers_.push_back({std::move(place), std::move(tensors)});
}

bool ScriptTree::is_list_of_members(PickleIndex value, PickleIndex object, Members& members) const {
  // restore_type_tag(list, "List[Tensor]"), or build_tensorlist(list)
  const PickleValue* list = &data_.at(value);
  if (list->kind == PickleKind::kCall) {
    const auto arguments = data_.items(data_.at(list->arguments));
    if (list->is_new_object || arguments.empty()) return false;
    list = &data_.at(arguments[0]);
  }
  if (list->kind != PickleKind::kList) return false;
  if (!members) {
    members.emplace();
    for (const std::string_view name : class_of(object)->attributes) {
      const auto held = attribute(object, name);
      if (held && held->tensor) members->insert(*held->tensor);
    }
  }
  return std::ranges::all_of(data_.items(*list), [&](PickleIndex element) {
    const auto tensor = data_tensors_.find(element);
    return tensor != data_tensors_.end() && members->contains(tensor->second);
  });
}

}  // namespace mnq
