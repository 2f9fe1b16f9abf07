#include "containers/torch_save/pytorch_objects.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <unordered_set>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/torch_save/packed_parameters.h"
#include "containers/torch_save/pytorch_frame_writer.h"
#include "containers/torch_save/pytorch_model.h"

namespace mnq {
namespace {

constexpr const char* kPassStateDict =
    "pass a file with its state dict: a .pt or .safetensors file of tensors and their names";

// What is no tensor of the model's.
struct LeftOut {
  std::vector<std::string> beside;                         // holds tensors and was not taken
  bool has_choice = false;                                 // whether any of that could be
  std::vector<std::string> odd, nameless, arrays, others;  // left out
  std::vector<std::string> held;                           // members with tensors in them
};

// What was passed over says why there are none.
[[noreturn]] void refuse_empty(const LeftOut& left, const std::string& title, const std::string& record) {
  const auto refuse = [&](const std::string& what, const std::string& suggestion) {
    refuse_record(title, record, what, suggestion);
  };
  if (!left.odd.empty()) {
    refuse(formatted("holds no tensor that can be read, but {}", joined(left.odd)),
           "save its tensors dense, as floats");
  }
  for (const auto& within : {left.nameless, left.held}) {
    if (within.empty()) continue;
    refuse(formatted("holds no dict of tensors, but tensors within {}", joined(within)), kPassStateDict);
  }
  if (!left.arrays.empty()) {
    refuse(formatted("holds no tensors, but NumPy arrays: {}", joined(left.arrays)),
           "pass a .safetensors file with them");
  }
  refuse_record(title, record, "holds no tensors", "pass the file with the state dict of the model");
}

void note_left_out(std::vector<std::string>& remarks, const std::string& path, const LeftOut& left) {
  if (!path.empty()) {
    std::string text = formatted("the tensors are those under {}", shown(path));
    if (!left.beside.empty()) text += formatted("; left out: {}", joined(left.beside));
    if (left.has_choice) text += " (tensors_key chooses another)";
    remarks.push_back(std::move(text));
  }
  if (!left.nameless.empty()) {
    remarks.push_back(formatted("left out tensors that have no name, within: {}", joined(left.nameless)));
  }
  if (!left.arrays.empty()) {
    remarks.push_back(formatted("left out NumPy arrays, which are no tensors: {}", joined(left.arrays)));
  }
  if (!left.others.empty()) remarks.push_back(formatted("left out: {}", joined(left.others)));
}

bool is_harmless(std::string_view name) {
  constexpr std::array<std::string_view, 16> kNames{"long", "OrderedDict", "defaultdict", "Counter",  "dict",  "list",
                                                    "set",  "frozenset",   "tuple",       "int",      "float", "str",
                                                    "bool", "complex",     "bytes",       "bytearray"};
  return std::ranges::find(kNames, name) != kNames.end();
}

// Classes and functions that are none of those that make tensors.
void note_foreign(const Pickle& pickle, std::vector<std::string>& remarks) {
  std::set<std::string> names;
  for (const PickleValue& value : pickle.values()) {
    if (value.kind != PickleKind::kGlobal) continue;
    const bool is_torch = value.module == "torch" || value.module.starts_with("torch.") ||
                          value.module.starts_with("torch_") || value.module == "_codecs";
    const bool is_plain = value.module == "collections" || value.module == "builtins" || value.module == "__builtin__";
    const bool is_known = (is_torch && !value.module.starts_with("torch.nn")) || (is_plain && is_harmless(value.text));
    if (!is_known) names.insert(global_name(value));
  }
  if (names.empty()) return;
  remarks.push_back(formatted("left out objects of {}: nothing of them was executed",
                              joined(std::vector<std::string>(names.begin(), names.end()))));
}

void require_distinct_names(const std::vector<PytorchTensor>& tensors, const std::string& title,
                            const std::string& record) {
  std::unordered_set<std::string_view> names;
  for (const PytorchTensor& tensor : tensors) {
    if (names.insert(tensor.name).second) continue;
    refuse_record(title, record,
                  formatted("two tensors would be called {}: keys of dicts in dicts are joined by dots, and 1 and '1' "
                            "are one name",
                            shown(tensor.name)),
                  "rename one of the keys, or choose a dict by tensors_key");
  }
}

// What quantized layers keep of their outputs: a scale and a zero point beside each other, of one number each.
void drop_activation_scales(PytorchObjects& objects) {
  constexpr std::string_view kScale = "scale", kZeroPoint = "zero_point";
  std::vector<PytorchTensor>& tensors = objects.tensors;
  const auto is_quantized = [](const PytorchTensor& tensor) { return tensor.quantizer.has_value(); };
  if (!objects.has_packed && std::ranges::none_of(tensors, is_quantized)) return;
  std::unordered_set<std::string> numbers, dropped;
  for (const PytorchTensor& tensor : tensors) {
    if (!tensor.quantizer && checked_element_count(tensor.shape) == 1) numbers.insert(tensor.name);
  }
  for (const std::string& name : numbers) {
    const std::string prefix = name.substr(0, name.rfind('.') + 1), scale = prefix + std::string(kScale);
    if (name != prefix + std::string(kZeroPoint) || !numbers.contains(scale)) continue;
    dropped.insert({name, scale});
  }
  std::erase_if(tensors, [&](const PytorchTensor& tensor) { return dropped.contains(tensor.name); });
  if (!dropped.empty()) {
    objects.remarks.push_back(formatted("{} scales of activations are not carried on", dropped.size() / 2));
  }
}

// The same view of the same storage is one tensor with several names. Those that are one move to the front.
void tie(std::vector<PytorchTensor>& tensors) {
  const auto view_of = [](const PytorchTensor& t) {
    return std::tuple(std::tie(t.storage, t.storage_offset, t.offset, t.dtype, t.shape, t.strides),
                      t.quantizer ? t.quantizer->parameters : kNoPickleValue);
  };
  const auto is_before = [&](std::size_t a, std::size_t b) { return view_of(tensors[a]) < view_of(tensors[b]); };
  std::set<std::size_t, decltype(is_before)> firsts(is_before);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (i != kept) tensors[kept] = std::move(tensors[i]);
    PytorchTensor& tensor = tensors[kept];
    const auto [first, is_new] = firsts.insert(kept);
    if (is_new) {
      ++kept;
    } else {
      // A head that shares the embedding's weight is made from it by those who load it, never the other way round.
      PytorchTensor& first_one = tensors[*first];
      if (first_one.name.ends_with("lm_head.weight")) std::swap(first_one.name, tensor.name);
      first_one.ties.push_back(std::move(tensor.name));
    }
  }
  tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(kept), tensors.end());
}

// Goes through the dicts on the way to the model and those in it, in the order of the file: tensors are taken, and all
// else is kept in the frame or left out.
class ObjectReader {
 public:
  ObjectReader(const Pickle& pickle, const std::string& title, const std::string& record, bool carries_storages)
      : pickle_(pickle),
        title_(title),
        record_(record),
        dicts_(pickle),
        tensors_(pickle, title, record),
        models_(pickle.root_index(), dicts_, tensors_),
        packed_(pickle, dicts_, tensors_),
        frame_(pickle, dicts_, tensors_, carries_storages) {}

  PytorchObjects read(const std::optional<std::string>& wanted_key) {
    const PickleIndex root = pickle_.root_index();
    if (!dicts_.is_branch(root) || (!dicts_.is_dict(root) && !dicts_.has_tensors(root))) refuse_root();
    model_ = wanted_key ? models_.find_at(*wanted_key, title_) : models_.find_likeliest();
    note_foreign(pickle_, result_.remarks);
    add_above(0);
    if (result_.tensors.empty()) refuse_empty(left_, title_, record_);
    left_.others.insert(left_.others.end(), frame_.left_out().begin(), frame_.left_out().end());
    note_left_out(result_.remarks, model_.path, left_);
    settle_tensors(result_, title_, record_);
    result_.storages = tensors_.take_storages();
    result_.carried = frame_.storages();
    result_.frame = frame_.take();
    result_.frame.tensors_key = model_.path;
    return std::move(result_);
  }

 private:
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

  // The branches on the way to the model, and what lies beside it.
  void add_above(std::size_t level, const std::string& path = "") {
    if (level == model_.steps.size()) return add_tensors(model_.branch, "", 0);
    const PytorchModel::Step& step = model_.steps[level];
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
    if (is_choice && (holds_optimizer(dicts_, entry) || models_.has_matrices(entry.value))) {
      left_.has_choice = true;
      left_.beside.push_back(name);
      frame_.skip(entry);
    } else {
      keep_or_leave(entry, name);
    }
  }

  // Tensors of what lies below have dotted names.
  void add_tensors(PickleIndex branch, const std::string& prefix, std::size_t depth) {
    if (depth > kMostDictDepth) {
      refuse(formatted("has dicts more than {} deep", kMostDictDepth), "save the state dict alone");
    }
    frame_.open(branch);
    for (const DictEntry& entry : dicts_.entries(branch)) {
      const std::string name = name_of(prefix, entry.key);
      if (packed_.is_packed(entry.key, entry.value)) {
        add_packed(entry, name);
      } else if (is_packed_dtype(entry.key)) {
        frame_.skip(entry);
      } else if (const auto call = dicts_.tensor_call(entry.value)) {
        add_tensor(entry, name, *call);
      } else if (!dicts_.is_branch(entry.value) || !dicts_.has_tensors(entry.value)) {
        keep_or_leave(entry, name);
      } else if (is_optimizer_key(entry.key) && !holds_optimizer(dicts_, entry) && !models_.has_matrices(entry.value)) {
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

  // They go to the end of the dict.
  void add_packed(const DictEntry& entry, const std::string& name) {
    result_.has_packed = true;
    for (const PackedTensor& packed : packed_.tensors(name, entry.value)) {
      PytorchTensor tensor = tensors_.read(packed.name, packed.call);
      charge(tensor.name.size() + tensor.storage.size(), tensor.shape.size());
      if (tensor.oddity.empty()) {
        result_.tensors.push_back(std::move(tensor));
      } else {
        left_.odd.push_back(formatted("{}, which {}", packed.name, tensor.oddity));
        left_.others.push_back(formatted("{}, a tensor that {}", packed.name, tensor.oddity));
      }
    }
    frame_.skip(entry);
  }

  void add_tensor(const DictEntry& entry, const std::string& name, const TensorCall& call) {
    PytorchTensor tensor = tensors_.read(name, call);
    if (!tensor.oddity.empty()) {
      left_.odd.push_back(formatted("{}, which {}", name, tensor.oddity));
      return keep_or_leave(entry, name, formatted("{}, a tensor that {}", name, tensor.oddity));
    }
    charge(tensor.storage.size(), tensor.shape.size());
    if (tensor.quantizer) charge(2 * tensor.storage.size(), 4 * tensor.shape.size());
    frame_.gap(entry, name);
    result_.tensors.push_back(std::move(tensor));
  }

  // What can be kept in a frame is a member, shown as it is or as said.
  void keep_or_leave(const DictEntry& entry, const std::string& name, const std::string& said = "") {
    if (frame_.keep(entry, name)) {
      result_.members.push_back(shown(said.empty() ? name : said));
      if (dicts_.holds_tensors(entry.value)) left_.held.push_back(name);
      return;
    }
    frame_.skip(entry);
    if (!said.empty()) {
      left_.others.push_back(said);
    } else if (dicts_.holds_tensors(entry.value)) {
      left_.nameless.push_back(formatted("{} ({})", name, dicts_.described(entry.value)));
    } else if (dicts_.holds_arrays(entry.value)) {
      left_.arrays.push_back(name);
    } else {
      const bool is_optimizers = is_optimizer_key(entry.key) && dicts_.is_branch(entry.value);
      left_.others.push_back(
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
    held_bytes_ += 512 + 6 * text_bytes + 64 * axes;
    if (held_bytes_ > pickle_.most_held_bytes()) {
      refuse("holds the same dicts again and again under many names", "save the model's state dict alone");
    }
  }

  const Pickle& pickle_;
  const std::string& title_;
  const std::string& record_;
  PytorchDicts dicts_;
  PytorchTensors tensors_;
  PytorchModelFinder models_;
  PackedParameters packed_;
  PytorchFrameWriter frame_;
  PytorchModel model_;
  PytorchObjects result_;
  LeftOut left_;
  std::uint64_t held_bytes_ = 0;
};

}  // namespace

void settle_tensors(PytorchObjects& objects, const std::string& title, const std::string& record) {
  drop_activation_scales(objects);
  name_cells(objects.tensors);
  require_distinct_names(objects.tensors, title, record);
  tie(objects.tensors);
}

PytorchObjects read_pytorch_objects(const Pickle& pickle, const std::string& title, const std::string& record,
                                    const PytorchRequest& request) {
  return ObjectReader(pickle, title, record, request.carries_storages).read(request.wanted_key);
}

}  // namespace mnq
