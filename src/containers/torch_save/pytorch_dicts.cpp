#include "containers/torch_save/pytorch_dicts.h"

#include <algorithm>
#include <array>

#include "base/text/format.h"
#include "containers/archive_error.h"

namespace mnq {

std::string global_name(const PickleValue& global) {
  return formatted("{}.{}", shown(global.module), shown(global.text));
}

bool PytorchDicts::is_dict(PickleIndex index) const {
  const PickleValue& value = pickle_.at(index);
  return value.kind == PickleKind::kDict || pickle_.is_call(value, "collections", "OrderedDict") ||
         pickle_.is_call(value, "collections", "defaultdict");
}

bool PytorchDicts::is_branch(PickleIndex index) const {
  const PickleKind kind = pickle_.at(index).kind;
  return kind == PickleKind::kList || kind == PickleKind::kTuple || is_dict(index);
}

// Its class is a global in the file of a module, and the second of its state in a state dict.
bool PytorchDicts::is_packed_object(PickleIndex index) const {
  constexpr std::array<std::string_view, 2> kModules{"__torch__.torch.classes.quantized",
                                                     "__torch__.torch.classes.rnn"};
  const PickleValue& value = pickle_.at(index);
  if (value.kind != PickleKind::kCall || !value.is_new_object || value.state == kNoPickleValue) return false;
  const PickleValue& type = pickle_.at(value.function);
  if (type.kind == PickleKind::kGlobal && std::ranges::find(kModules, type.module) != kModules.end()) return true;
  const auto state = pickle_.items(pickle_.at(value.state));
  if (!pickle_.is_global(type, "torch", "ScriptObject") || state.size() != 2) return false;
  const std::string_view name = pickle_.at(state[1]).text;
  return std::ranges::find(kModules, name.substr(0, name.rfind('.'))) != kModules.end();
}

// Filled like a dict, or OrderedDict([[key, value], ...]), as Python 2 wrote it.
std::vector<std::pair<PickleIndex, PickleIndex>> PytorchDicts::pairs(const PickleValue& dict) const {
  auto pairs = pickle_.pairs(dict);
  if (!pairs.empty() || dict.kind != PickleKind::kCall) return pairs;
  const auto arguments = pickle_.items(pickle_.at(dict.arguments));
  if (arguments.empty()) return pairs;
  for (const PickleIndex item : pickle_.items(pickle_.at(arguments.back()))) {
    const auto pair = pickle_.items(pickle_.at(item));
    if (pair.size() == 2) pairs.emplace_back(pair[0], pair[1]);
  }
  return pairs;
}

const PytorchDicts::Dict& PytorchDicts::dict_at(PickleIndex index) {
  const auto found = dicts_.find(index);
  if (found != dicts_.end()) return found->second;
  const PickleValue& value = pickle_.at(index);
  return dicts_.emplace(index, is_dict(index) ? make_dict(value) : make_elements(value)).first->second;
}

PytorchDicts::Dict PytorchDicts::make_elements(const PickleValue& list) {
  Dict elements;
  for (const PickleIndex item : pickle_.items(list)) {
    elements.entries.push_back({kept(std::to_string(elements.entries.size())), item});
  }
  return elements;
}

PytorchDicts::Dict PytorchDicts::make_dict(const PickleValue& value) {
  Dict dict;
  std::unordered_map<std::string_view, std::size_t> texts;
  std::unordered_map<std::int64_t, std::size_t> integers;
  for (const auto& [index, child] : pairs(value)) {
    const PickleValue& key = pickle_.at(index);
    const std::size_t next = dict.entries.size();
    std::size_t place = next;
    if (key.kind == PickleKind::kInt) {
      place = integers.emplace(key.integer, next).first->second;
    } else if (key.kind == PickleKind::kText && !key.text.empty() && key.text.size() <= kMostNameBytes) {
      place = texts.emplace(key.text, next).first->second;
    } else {
      dict.nameless.push_back({kept(shown_key(index, 0)), child, index});
      continue;
    }
    if (place < next) {
      dict.entries[place].value = child;
    } else {
      const auto text = key.kind == PickleKind::kText ? key.text : kept(std::to_string(key.integer));
      dict.entries.push_back({text, child, index});
    }
  }
  dict.is_optimizer = texts.contains("param_groups");
  return dict;
}

std::string PytorchDicts::shown_name(PickleIndex key) const {
  return pickle_.at(key).kind == PickleKind::kText ? shown(pickle_.at(key).text) : shown_key(key, 0);
}

std::string PytorchDicts::shown_key(PickleIndex index, int depth) const {
  constexpr int kMostShownDepth = 2;
  constexpr std::size_t kMostShownItems = 4;
  const PickleValue& key = pickle_.at(index);
  switch (key.kind) {
    case PickleKind::kNone:
      return "None";
    case PickleKind::kBool:
      return key.integer != 0 ? "True" : "False";
    case PickleKind::kInt:
      return std::to_string(key.integer);
    case PickleKind::kLong:
      return "an integer beyond 64 bits";
    case PickleKind::kFloat:
      return formatted("{}", key.real);
    case PickleKind::kText:
      return formatted("'{}'", shown(key.text));
    case PickleKind::kBytes:
      return formatted("b'{}'", shown(key.text));
    case PickleKind::kCall: {  // bytes of protocol 2 are a text and how to encode it
      const auto arguments = pickle_.items(pickle_.at(key.arguments));
      if (!pickle_.is_call(key, "_codecs", "encode") || arguments.empty()) return described(index);
      return formatted("b'{}'", shown(pickle_.at(arguments[0]).text));
    }
    case PickleKind::kTuple:
      if (depth < kMostShownDepth) break;
      return "(...)";
    default:
      return described(index);
  }
  std::string text;
  const auto items = pickle_.items(key);
  for (std::size_t i = 0; i < items.size() && i < kMostShownItems; ++i) {
    text += (i == 0 ? "" : ", ") + shown_key(items[i], depth + 1);
  }
  return formatted("({}{})", text, items.size() > kMostShownItems ? ", ..." : items.size() == 1 ? "," : "");
}

std::optional<TensorCall> PytorchDicts::tensor_call(PickleIndex index) const {
  const PickleValue* value = &pickle_.at(index);
  for (std::size_t depth = 0; depth < kMostDictDepth && value->kind == PickleKind::kCall; ++depth) {
    const PickleValue& function = pickle_.at(value->function);
    const auto arguments = pickle_.items(pickle_.at(value->arguments));
    if (pickle_.is_global(function, "torch._tensor", "_rebuild_from_type_v2") && arguments.size() >= 3) {
      const PickleValue& inner = pickle_.at(arguments[0]);
      if (inner.kind != PickleKind::kGlobal || inner.module != "torch._utils") return std::nullopt;
      return TensorCall{inner.text, pickle_.items(pickle_.at(arguments[2]))};
    }
    if (function.kind != PickleKind::kGlobal || function.module != "torch._utils") return std::nullopt;
    if (!function.text.starts_with("_rebuild_parameter")) return TensorCall{function.text, arguments};
    if (arguments.empty()) return std::nullopt;
    value = &pickle_.at(arguments[0]);
  }
  return std::nullopt;
}

// A branch within itself, or too deep, has none. Lists that hold none at all are not looked through: they can be long.
bool PytorchDicts::has_tensors(PickleIndex index, std::size_t depth) {
  if (tensor_call(index)) return true;
  if (is_packed_object(index)) return holds_tensors(index);
  if (!is_branch(index) || depth > kMostDictDepth) return false;
  if (!is_dict(index) && !holds_tensors(index)) return false;
  const auto [known, is_new] = has_tensors_.emplace(index, false);
  if (!is_new) return known->second;
  const bool has =
      std::ranges::any_of(entries(index), [&](const DictEntry& entry) { return has_tensors(entry.value, depth + 1); });
  return has_tensors_[index] = has;
}

const PickleValue* PytorchDicts::called(const PickleValue& call) const {
  const PickleValue* function = &pickle_.at(call.function);
  if (function->kind == PickleKind::kPersistent) {  // ('module', class, file, source)
    const auto id = pickle_.items(pickle_.at(function->function));
    if (id.size() < 2) return nullptr;
    function = &pickle_.at(id[1]);
  }
  return function->kind == PickleKind::kGlobal ? function : nullptr;
}

std::string PytorchDicts::described(PickleIndex index) const {
  const PickleValue& value = pickle_.at(index);
  if (tensor_call(index)) return "a tensor";
  if (is_dict(index)) return "a dict";
  switch (value.kind) {
    case PickleKind::kList:
      return "a list";
    case PickleKind::kTuple:
      return "a tuple";
    case PickleKind::kSet:
      return "a set";
    case PickleKind::kCall: {
      const PickleValue* global = called(value);
      return global == nullptr ? "an object"
                               : formatted("an object of {}, which was not executed", global_name(*global));
    }
    default:
      return "a value";
  }
}

std::string PytorchDicts::kind_of(PickleIndex index) {
  const PickleValue& value = pickle_.at(index);
  if (own_contents(index) == kArrays) return "a NumPy array";
  if (is_optimizer(index)) return "an optimizer's state";
  const PickleValue* global = value.kind == PickleKind::kCall ? called(value) : &value;
  const bool is_named = global != nullptr && global->kind == PickleKind::kGlobal;
  return is_named && !tensor_call(index) && !is_dict(index) ? global_name(*global) : described(index);
}

std::uint8_t PytorchDicts::own_contents(PickleIndex index) const {
  const PickleValue& value = pickle_.at(index);
  if (tensor_call(index)) return kTensors;
  const PickleValue* function = value.kind == PickleKind::kCall ? called(value) : nullptr;
  const bool is_array = function != nullptr && function->module.starts_with("numpy") &&
                        (function->text == "_reconstruct" || function->text == "_frombuffer");
  return is_array ? kArrays : 0;
}

// Lists and dicts stand before what they hold, tuples and calls behind it: a pass in each direction, until nothing
// changes.
std::uint8_t PytorchDicts::contents_at(PickleIndex asked) {
  if (!contents_.empty()) return contents_[asked];
  const auto count = static_cast<PickleIndex>(pickle_.values().size());
  for (PickleIndex i = 0; i < count; ++i) contents_.push_back(own_contents(i));
  bool has_changed = true;
  const auto gather = [&](PickleIndex i) {
    std::uint8_t all = contents_[i];
    pickle_.for_each_part(pickle_.at(i), [&](PickleIndex part) { all |= contents_[part]; });
    has_changed = has_changed || all != contents_[i];
    contents_[i] = all;
  };
  for (std::size_t round = 0; round < kMostDictDepth && has_changed; ++round) {
    has_changed = false;
    for (PickleIndex i = count; i-- > 0;) gather(i);
    for (PickleIndex i = 0; i < count; ++i) gather(i);
  }
  return contents_[asked];
}

}  // namespace mnq
