#include "containers/torch_save/pytorch_objects.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/torch_save/pytorch_frame_writer.h"

namespace mnq {
namespace {

// Keys under which a checkpoint keeps its model, the likeliest first. Averages that the loaders of such files ask for
// before the weights themselves (timm: state_dict_ema, model_ema; Real-ESRGAN: params_ema) come before those here, too.
constexpr std::array<std::string_view, 14> kModelKeys{
    "state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model_state",    "model", "module", "net",
    "network",        "weights",   "params_ema", "params",           "ema_state_dict", "ema"};

constexpr const char* kPassStateDict =
    "pass a file with its state dict: a .pt or .safetensors file of tensors and their names";

bool is_optimizer_key(std::string_view key) {
  return key.find("optim") != key.npos || key.find("scheduler") != key.npos || key.find("scaler") != key.npos ||
         key == "loops" || key == "callbacks" || key == "lr_schedulers";
}

std::string dotted(std::string_view prefix, std::string_view key) {
  return prefix.empty() ? std::string(key) : formatted("{}.{}", prefix, key);
}

class ObjectReader {
 public:
  ObjectReader(const Pickle& pickle, const std::string& title, const std::string& record, bool carries_storages)
      : pickle_(pickle),
        title_(title),
        record_(record),
        dicts_(pickle),
        tensors_(pickle, title, record),
        frame_(pickle, dicts_, tensors_, carries_storages) {}

  PytorchObjects read(const std::optional<std::string>& wanted_key) {
    const PickleIndex root = pickle_.root_index();
    if (!dicts_.is_branch(root) || (!dicts_.is_dict(root) && !dicts_.has_tensors(root))) refuse_root();
    wanted_key ? find_wanted(*wanted_key) : find_model();
    note_foreign();
    add_above(0);
    if (result_.tensors.empty()) refuse_empty();
    note_left_out();
    tie();
    result_.storages = tensors_.storages();
    result_.carried = frame_.storages();
    result_.frame = frame_.take();
    result_.frame.tensors_key = path_;
    return std::move(result_);
  }

 private:
  // A branch above the model's, and which of its entries leads there.
  struct Step {
    PickleIndex branch;
    const DictEntry* next;
  };

  [[noreturn]] void refuse(const std::string& what, const std::string& suggestion) const {
    refuse_record(title_, record_, what, suggestion);
  }

  [[noreturn]] void refuse_root() {
    const PickleIndex root = pickle_.root_index();
    const std::string what = dicts_.described(root);
    if (dicts_.tensor_call(root)) {
      refuse("is a single tensor, not a dict of tensors",
             "pass a file in which it has a name: a dict in a .pt file, or a .safetensors file");
    }
    if (pickle_.root().kind == PickleKind::kCall) refuse(formatted("is {}", what), kPassStateDict);
    const bool has_tensors = dicts_.holds_tensors(root);
    refuse(formatted("is {}{}, no dict of tensors", what, has_tensors ? " with tensors in it" : ""), kPassStateDict);
  }

  // What was passed over says why there are none.
  [[noreturn]] void refuse_empty() const {
    if (!odd_.empty()) {
      refuse(formatted("holds no tensor that can be read, but {}", joined(odd_)), "save its tensors dense, as floats");
    }
    for (const auto& within : {nameless_, held_}) {
      if (within.empty()) continue;
      refuse(formatted("holds no dict of tensors, but tensors within {}", joined(within)), kPassStateDict);
    }
    if (!arrays_.empty()) {
      refuse(formatted("holds no tensors, but NumPy arrays: {}", joined(arrays_)),
             "pass a .safetensors file with them");
    }
    refuse("holds no tensors", "pass the file with the state dict of the model");
  }

  // A dict that holds weights itself is the model; else the likeliest of those below.
  void find_model() {
    model_ = pickle_.root_index();
    for (std::size_t depth = 0; depth < kMostDictDepth; ++depth) {
      const DictEntry* next = model_below(model_);
      if (next == nullptr) break;
      step_to(*next);
    }
  }

  void step_to(const DictEntry& next) {
    steps_.push_back({model_, &next});
    path_ = dotted(path_, next.key);
    model_ = next.value;
  }

  // Null where the dict is the model itself, or several parts below make it up together. Tensors beside a model's key
  // are part of it only where they may be weights: best_acc1, a step or the state of a random generator are none.
  const DictEntry* model_below(PickleIndex branch) {
    std::vector<const DictEntry*> below;
    bool has_loose = false;
    for (const DictEntry& entry : dicts_.entries(branch)) {
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
      if (found != below.end() && dicts_.is_dict((*found)->value)) return *found;
    }
    const bool is_alone = below.size() == 1 && !has_loose && dicts_.is_dict(below.front()->value);
    return is_alone ? below.front() : nullptr;
  }

  // A list is a part of one, never the whole: its elements are layers, and their names start with the list's.
  bool is_model(PickleIndex value) {
    if (!dicts_.is_dict(value)) return has_matrices(value, 0) && !dicts_.tensor_call(value);
    return dicts_.has_tensors(value) && !dicts_.is_optimizer(value);
  }

  void find_wanted(const std::string& wanted) {
    model_ = pickle_.root_index();
    std::string_view rest = wanted;
    while (!rest.empty()) {
      const DictEntry* found = nullptr;
      for (const DictEntry& entry : dicts_.entries(model_)) {  // a key may hold dots itself
        const bool fits = rest == entry.key || (rest.starts_with(entry.key) && rest.substr(entry.key.size())[0] == '.');
        if (fits && (found == nullptr || entry.key.size() > found->key.size())) found = &entry;
      }
      const bool is_there = found != nullptr && dicts_.is_branch(found->value) && dicts_.has_tensors(found->value);
      if (!is_there) fail_wanted(wanted, model_);
      rest.remove_prefix(std::min(rest.size(), found->key.size() + 1));
      step_to(*found);
    }
  }

  [[noreturn]] void fail_wanted(const std::string& wanted, PickleIndex branch) {
    std::vector<std::string> keys;
    for (const DictEntry& entry : dicts_.entries(branch)) {
      if (dicts_.is_branch(entry.value) && dicts_.has_tensors(entry.value)) keys.emplace_back(entry.key);
    }
    throw Error(Status::kNotFound, formatted("{}: there are no tensors under {}", title_, shown(wanted)),
                keys.empty() ? "leave tensors_key unset" : "keys with tensors are: " + joined(keys), wanted);
  }

  // The branches on the way to the model, and what lies beside it.
  void add_above(std::size_t level, const std::string& path = "") {
    if (level == steps_.size()) return add_tensors(model_, "", 0);
    const Step& step = steps_[level];
    frame_.open(step.branch);
    for (const DictEntry& entry : dicts_.entries(step.branch)) {
      const std::string name = dotted(path, entry.key);
      if (&entry != step.next) {
        add_beside(entry, name);
      } else {
        frame_.key(entry);
        add_above(level + 1, name);
      }
    }
    for (const DictEntry& entry : dicts_.nameless(step.branch)) {
      keep_or_leave(entry, dotted(path, formatted("the key {}", entry.key)));
    }
    frame_.close(step.branch);
  }

  // Another model is not this one's member: whoever wants it chooses it.
  void add_beside(const DictEntry& entry, const std::string& name) {
    const bool is_choice = dicts_.is_branch(entry.value) && dicts_.has_tensors(entry.value);
    if (is_choice && (is_of_optimizer(entry) || has_matrices(entry.value, 0))) {
      has_choice_ = true;
      beside_.push_back(name);
      frame_.skip(entry);
    } else {
      keep_or_leave(entry, name);
    }
  }

  // Schedulers, scalers and callbacks are of a run as well, but small.
  bool is_of_optimizer(const DictEntry& entry) {
    return entry.key.find("optim") != entry.key.npos || dicts_.is_optimizer(entry.value);
  }

  bool has_matrices(PickleIndex index, std::size_t depth) {
    if (const auto call = dicts_.tensor_call(index)) return tensors_.may_be_matrix(*call);
    if (!dicts_.is_branch(index) || depth > kMostDictDepth || !dicts_.has_tensors(index)) return false;
    if (const auto known = has_matrices_.find(index); known != has_matrices_.end()) return known->second;
    has_matrices_[index] = false;
    return has_matrices_[index] = std::ranges::any_of(
               dicts_.entries(index), [&](const DictEntry& entry) { return has_matrices(entry.value, depth + 1); });
  }

  // Tensors of what lies below have dotted names.
  void add_tensors(PickleIndex branch, const std::string& prefix, std::size_t depth) {
    if (depth > kMostDictDepth) {
      refuse(formatted("has dicts more than {} deep", kMostDictDepth), "save the state dict alone");
    }
    frame_.open(branch);
    for (const DictEntry& entry : dicts_.entries(branch)) {
      const std::string name = name_of(prefix, entry.key);
      if (const auto call = dicts_.tensor_call(entry.value)) {
        add_tensor(entry, name, *call);
      } else if (!dicts_.is_branch(entry.value) || !dicts_.has_tensors(entry.value)) {
        keep_or_leave(entry, name);
      } else if (is_optimizer_key(entry.key) && !is_of_optimizer(entry) && !has_matrices(entry.value, 0)) {
        keep_or_leave(entry, name);
      } else if (is_optimizer_key(entry.key) || dicts_.is_optimizer(entry.value)) {
        result_.remarks.push_back(formatted("left out the tensors under {}: an optimizer's", shown(name)));
        frame_.skip(entry);
      } else {
        frame_.key(entry);
        add_tensors(entry.value, name + ".", depth + 1);
      }
    }
    for (const DictEntry& entry : dicts_.nameless(branch)) {
      charge(prefix.size());
      keep_or_leave(entry, formatted("{}the key {}", prefix, entry.key));
    }
    frame_.close(branch, &prefix);
  }

  void add_tensor(const DictEntry& entry, const std::string& name, const TensorCall& call) {
    PytorchTensor tensor = tensors_.read(name, call);
    if (!tensor.oddity.empty()) {
      odd_.push_back(formatted("{}, which {}", name, tensor.oddity));
      return keep_or_leave(entry, name, formatted("{}, a tensor that {}", name, tensor.oddity));
    }
    charge(tensor.storage.size(), tensor.shape.size());
    frame_.gap(entry, name);
    result_.tensors.push_back(std::move(tensor));
  }

  // What can be kept in a frame is a member, shown as it is or as said.
  void keep_or_leave(const DictEntry& entry, const std::string& name, const std::string& said = "") {
    if (frame_.keep(entry, name)) {
      result_.members.push_back(shown(said.empty() ? name : said));
      if (dicts_.holds_tensors(entry.value)) held_.push_back(name);
      return;
    }
    frame_.skip(entry);
    if (!said.empty()) {
      others_.push_back(said);
    } else if (dicts_.holds_tensors(entry.value)) {
      nameless_.push_back(formatted("{} ({})", name, dicts_.described(entry.value)));
    } else if (dicts_.holds_arrays(entry.value)) {
      arrays_.push_back(name);
    } else {
      const bool is_optimizers = is_optimizer_key(entry.key) && dicts_.is_branch(entry.value);
      others_.push_back(
          formatted("{} ({})", name, is_optimizers ? "an optimizer's state" : dicts_.kind_of(entry.value)));
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

  // A dict that is shared comes once under each of its names, which no pickle of one model does often: 512 bytes are
  // what a tensor takes besides its texts, and twelve times what one of its own has in a pickle.
  void charge(std::size_t text_bytes, std::size_t axes = 0) {
    const std::uint64_t most = (std::uint64_t{1} << 20) + 100 * pickle_.size_bytes();
    held_bytes_ += 512 + 6 * text_bytes + 64 * axes;
    if (held_bytes_ > most) {
      refuse("holds the same dicts again and again under many names", "save the model's state dict alone");
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
    others_.insert(others_.end(), frame_.left_out().begin(), frame_.left_out().end());
    if (!others_.empty()) remarks.push_back(formatted("left out: {}", joined(others_)));
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
    constexpr std::array<std::string_view, 16> kNames{"long", "OrderedDict", "defaultdict", "Counter",  "dict",  "list",
                                                      "set",  "frozenset",   "tuple",       "int",      "float", "str",
                                                      "bool", "complex",     "bytes",       "bytearray"};
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
  PytorchFrameWriter frame_;
  PytorchObjects result_;
  PickleIndex model_ = kNoPickleValue;
  std::vector<Step> steps_;                                    // from the root to it
  std::string path_;                                           // of its keys
  std::vector<std::string> beside_;                            // what holds tensors and was not taken
  bool has_choice_ = false;                                    // whether any of that could be
  std::vector<std::string> odd_, nameless_, arrays_, others_;  // left out
  std::vector<std::string> held_;                              // members with tensors in them
  std::unordered_map<PickleIndex, bool> has_matrices_;
  std::uint64_t held_bytes_ = 0;
};

}  // namespace

PytorchObjects read_pytorch_objects(const Pickle& pickle, const std::string& title, const std::string& record,
                                    const PytorchRequest& request) {
  return ObjectReader(pickle, title, record, request.carries_storages).read(request.wanted_key);
}

}  // namespace mnq
