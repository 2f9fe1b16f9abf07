#include "formats/pytorch_objects.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/format.h"
#include "formats/archive_error.h"

namespace mnq {
namespace {

// Keys under which a checkpoint keeps its model, the likeliest first.
constexpr std::array<std::string_view, 12> kModelKeys{
    "state_dict", "model_state_dict", "model_state", "model",      "module",         "net",
    "network",    "weights",          "params",      "params_ema", "ema_state_dict", "ema"};

constexpr const char* kSaveStateDict = "save its state dict in Python: torch.save(model.state_dict(), path)";

bool is_optimizer_key(std::string_view key) {
  return key.find("optim") != key.npos || key.find("scheduler") != key.npos || key.find("scaler") != key.npos ||
         key == "loops" || key == "callbacks" || key == "lr_schedulers";
}

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i) text += (i == 0 ? "" : ", ") + shown(names[i]);
  if (names.size() > kMost) text += formatted(" and {} more", names.size() - kMost);
  return text;
}

std::string dotted(std::string_view prefix, std::string_view key) {
  return prefix.empty() ? std::string(key) : formatted("{}.{}", prefix, key);
}

class ObjectReader {
 public:
  ObjectReader(const Pickle& pickle, const std::string& title, const std::string& record)
      : pickle_(pickle), title_(title), record_(record), dicts_(pickle), tensors_(pickle, title, record) {}

  PytorchObjects read(const std::string& wanted_key) {
    if (!dicts_.is_dict(pickle_.root_index())) refuse_root();
    const PickleIndex dict = wanted_key.empty() ? find_model() : find_wanted(wanted_key);
    note_foreign();
    add_tensors(dict, "", 0);
    if (result_.tensors.empty()) refuse_empty();
    note_left_out();
    tie();
    result_.storages = tensors_.storages();
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& suggestion) const {
    refuse_record(title_, record_, what, suggestion);
  }

  [[noreturn]] void refuse_root() {
    const PickleIndex root = pickle_.root_index();
    const std::string what = dicts_.described(root);
    const PickleKind kind = pickle_.root().kind;
    if (dicts_.tensor_call(root)) {
      refuse("is a single tensor, not a dict of tensors", "save a dict: torch.save({'x': x}, path)");
    }
    if (kind == PickleKind::kCall) refuse(formatted("is {}", what), kSaveStateDict);
    const bool has_tensors = dicts_.holds_tensors(root);
    refuse(formatted("is {}{}, no dict of tensors", what, has_tensors ? " with tensors in it" : ""),
           has_tensors ? "save the state dict alone, or give the tensors names: torch.save({'x': x}, path)"
                       : kSaveStateDict);
  }

  // The tensors that were passed over say why there are none.
  [[noreturn]] void refuse_empty() const {
    if (!nameless_.empty()) {
      refuse(formatted("holds no dict of tensors, but tensors within {}", joined(nameless_)), kSaveStateDict);
    }
    if (!arrays_.empty()) {
      refuse(formatted("holds no tensors, but NumPy arrays: {}", joined(arrays_)),
             "make tensors of them in Python: torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, path)");
    }
    refuse("holds no tensors", "save the state dict of the model: torch.save(model.state_dict(), path)");
  }

  // The dict with the model's tensors. A dict that holds weights itself is one; else the likeliest of those below.
  PickleIndex find_model() {
    PickleIndex dict = pickle_.root_index();
    for (std::size_t depth = 0; depth < kMostDictDepth; ++depth) {
      const DictEntry* next = model_below(dict);
      if (next == nullptr) break;
      for (const DictEntry& entry : dicts_.entries(dict)) {
        if (&entry != next) pass_over(dotted(path_, entry.key), entry.value);
      }
      path_ = dotted(path_, next->key);
      dict = next->value;
    }
    return dict;
  }

  // Null where the dict is the model itself, or several parts below make it up together. Tensors beside a model's key are
  // part of it only where they may be weights: best_acc1, a step or the state of a random generator are none.
  const DictEntry* model_below(PickleIndex dict) {
    std::vector<const DictEntry*> below;
    bool has_loose = false;
    for (const DictEntry& entry : dicts_.entries(dict)) {
      if (is_optimizer_key(entry.key)) continue;
      if (const auto call = dicts_.tensor_call(entry.value)) {
        if (tensors_.may_be_weight(*call)) return nullptr;
        has_loose = true;
      } else if (is_model(entry.value)) {
        below.push_back(&entry);
      }
    }
    for (const std::string_view key : kModelKeys) {
      const auto found = std::ranges::find(below, key, &DictEntry::key);
      if (found != below.end()) return *found;
    }
    return below.size() == 1 && !has_loose ? below.front() : nullptr;
  }

  bool is_model(PickleIndex value) {
    return dicts_.is_dict(value) && !dicts_.is_optimizer(value) && dicts_.has_tensors(value);
  }

  // What lies beside the model's dict.
  void pass_over(std::string name, PickleIndex value) {
    const bool is_dict = dicts_.is_dict(value) && dicts_.has_tensors(value);
    has_choice_ = has_choice_ || is_dict;
    if (dicts_.holds_tensors(value)) {
      beside_.push_back(std::move(name));
    } else if (dicts_.holds_arrays(value)) {
      arrays_.push_back(std::move(name));
    }
  }

  PickleIndex find_wanted(const std::string& wanted) {
    PickleIndex index = pickle_.root_index();
    std::string_view rest = wanted;
    while (!rest.empty()) {
      const DictEntry* found = nullptr;
      for (const DictEntry& entry : dicts_.entries(index)) {  // a key may hold dots itself
        const bool fits = rest == entry.key || (rest.starts_with(entry.key) && rest.substr(entry.key.size())[0] == '.');
        if (fits && (found == nullptr || entry.key.size() > found->key.size())) found = &entry;
      }
      if (found == nullptr || !dicts_.has_tensors(found->value)) fail_wanted(wanted, index);
      index = found->value;
      rest.remove_prefix(std::min(rest.size(), found->key.size() + 1));
    }
    if (!dicts_.is_dict(index)) fail_wanted(wanted, pickle_.root_index());
    return index;
  }

  [[noreturn]] void fail_wanted(const std::string& wanted, PickleIndex dict) {
    std::vector<std::string> keys;
    for (const DictEntry& entry : dicts_.entries(dict)) {
      if (dicts_.is_dict(entry.value) && dicts_.has_tensors(entry.value)) keys.emplace_back(entry.key);
    }
    throw Error(Status::kNotFound, formatted("{}: there are no tensors under {}", title_, shown(wanted)),
                keys.empty() ? "leave tensors_key unset" : "keys with tensors are: " + joined(keys), wanted);
  }

  // Tensors of dicts below have dotted names.
  void add_tensors(PickleIndex dict, const std::string& prefix, std::size_t depth) {
    if (depth > kMostDictDepth) {
      refuse(formatted("has dicts more than {} deep", kMostDictDepth), "save the state dict alone");
    }
    for (const DictEntry& entry : dicts_.entries(dict)) {
      std::string name = name_of(prefix, entry.key);
      const bool is_dict = dicts_.is_dict(entry.value) && dicts_.has_tensors(entry.value);
      if (const auto call = dicts_.tensor_call(entry.value)) {
        add_tensor(tensors_.read(std::move(name), *call));
      } else if (is_dict && (is_optimizer_key(entry.key) || dicts_.is_optimizer(entry.value))) {
        result_.remarks.push_back(formatted("left out the tensors under {}: an optimizer's", shown(name)));
      } else if (is_dict) {
        add_tensors(entry.value, name + ".", depth + 1);
      } else {
        leave_out(std::move(name), entry.value);
      }
    }
    for (const DictEntry& entry : dicts_.nameless(dict)) {
      charge(prefix.size());
      if (dicts_.holds_tensors(entry.value)) nameless_.push_back(formatted("{}the key {}", prefix, entry.key));
    }
  }

  std::string name_of(const std::string& prefix, std::string_view key) {
    charge(prefix.size() + key.size());
    if (prefix.size() + key.size() > kMostNameBytes) {
      refuse(formatted("{}{} is a name of more than {} bytes", shown(prefix), shown(key), kMostNameBytes),
             "shorten the keys");
    }
    return prefix + std::string(key);
  }

  // A dict that is shared comes once under each of its names, which no pickle of one model does often: 512 bytes are what a
  // tensor takes besides its texts, and twelve times what one of its own has in a pickle.
  void charge(std::size_t text_bytes, std::size_t axes = 0) {
    const std::uint64_t most = (std::uint64_t{1} << 20) + 100 * pickle_.size_bytes();
    held_bytes_ += 512 + 6 * text_bytes + 64 * axes;
    if (held_bytes_ > most) {
      refuse("holds the same dicts again and again under many names", "save the model's state dict alone");
    }
  }

  void add_tensor(PytorchTensor tensor) {
    charge(tensor.storage.size(), tensor.shape.size());
    result_.tensors.push_back(std::move(tensor));
  }

  void leave_out(std::string name, PickleIndex value) {
    if (dicts_.holds_tensors(value)) {
      nameless_.push_back(formatted("{} ({})", name, dicts_.described(value)));
    } else {
      (dicts_.holds_arrays(value) ? arrays_ : others_).push_back(std::move(name));
    }
  }

  void note_left_out() {
    auto& remarks = result_.remarks;
    if (!path_.empty()) {
      std::string text = formatted("the tensors are those under {}", shown(path_));
      if (!beside_.empty()) text += formatted("; left out: {}", joined(beside_));
      if (has_choice_) text += " (tensors_key chooses another)";
      remarks.push_back(std::move(text));
    }
    if (!nameless_.empty()) {
      remarks.push_back(formatted("left out tensors that have no name, within: {}", joined(nameless_)));
    }
    if (!arrays_.empty()) {
      remarks.push_back(formatted("left out NumPy arrays, which are no tensors: {}", joined(arrays_)));
    }
    if (!others_.empty()) remarks.push_back(formatted("left out what are no tensors: {}", joined(others_)));
  }

  // Classes and functions that are none of those that make tensors.
  void note_foreign() {
    std::set<std::string> names;
    for (const PickleValue& value : pickle_.values()) {
      if (value.kind != PickleKind::kGlobal) continue;
      const bool is_torch = value.module == "torch" || value.module.starts_with("torch.") ||
                            value.module.starts_with("torch_") || value.module == "_codecs";
      const bool is_plain =
          value.module == "collections" || value.module == "builtins" || value.module == "__builtin__";
      const bool is_known =
          (is_torch && !value.module.starts_with("torch.nn")) || (is_plain && is_harmless(value.text));
      if (!is_known) names.insert(global_name(value));
    }
    if (names.empty()) return;
    result_.remarks.push_back(formatted("left out objects of {}: nothing of them was executed",
                                        joined(std::vector<std::string>(names.begin(), names.end()))));
  }

  static bool is_harmless(std::string_view name) {
    constexpr std::array<std::string_view, 15> kNames{"long",  "OrderedDict", "defaultdict", "Counter", "dict",
                                                      "list",  "set",         "frozenset",   "tuple",   "int",
                                                      "float", "str",         "bool",        "complex", "bytes"};
    return std::ranges::find(kNames, name) != kNames.end();
  }

  // The same view of the same storage is one tensor with several names.
  void tie() {
    using View = std::tuple<std::string, std::uint64_t, std::int64_t, DType, Shape, std::vector<std::int64_t>>;
    std::map<View, std::size_t> first;
    std::vector<PytorchTensor> kept;
    std::set<std::string> names;
    for (PytorchTensor& tensor : result_.tensors) {
      if (!names.insert(tensor.name).second) {
        refuse(formatted("two tensors would be called {}: keys of dicts in dicts are joined by dots, and 1 and '1' are "
                         "one name",
                         shown(tensor.name)),
               "rename one of the keys, or choose a dict by tensors_key");
      }
      const bool is_empty = tensor.end == tensor.offset;
      const View view{tensor.storage, tensor.storage_offset, tensor.offset, tensor.dtype, tensor.shape, tensor.strides};
      const auto [place, is_new] = is_empty ? std::pair(first.end(), true) : first.emplace(view, kept.size());
      if (is_new) {
        kept.push_back(std::move(tensor));
      } else {
        // A head that shares the embedding's weight is made from it by those who load it, never the other way round.
        PytorchTensor& first_one = kept[place->second];
        if (first_one.name.ends_with("lm_head.weight")) std::swap(first_one.name, tensor.name);
        first_one.ties.push_back(tensor.name);
      }
    }
    result_.tensors = std::move(kept);
  }

  const Pickle& pickle_;
  const std::string& title_;
  const std::string& record_;
  PytorchDicts dicts_;
  PytorchTensors tensors_;
  PytorchObjects result_;
  std::string path_;                 // of the model's dict
  std::vector<std::string> beside_;  // it: what holds tensors and was not taken
  bool has_choice_ = false;          // whether any of that is a dict
  std::vector<std::string> nameless_, arrays_, others_;
  std::uint64_t held_bytes_ = 0;
};

}  // namespace

PytorchObjects read_pytorch_objects(const Pickle& pickle, const std::string& title, const std::string& record,
                                    const std::string& wanted_key) {
  return ObjectReader(pickle, title, record).read(wanted_key);
}

}  // namespace mnq
