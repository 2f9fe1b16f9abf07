#include "formats/pytorch_objects.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/format.h"
#include "formats/archive_error.h"
#include "formats/pickle_fields.h"
#include "formats/torchscript_globals.h"

namespace mnq {
namespace {

constexpr std::size_t kMostDepth = 32;         // of dicts in dicts
constexpr std::size_t kMostSteps = 4'000'000;  // a dict that is shared is walked for each of its names

// Keys under which a checkpoint keeps its model, the likeliest first.
constexpr std::array<std::string_view, 12> kModelKeys{
    "state_dict", "model_state_dict", "model_state", "model",      "module",         "net",
    "network",    "weights",          "params",      "params_ema", "ema_state_dict", "ema"};

bool is_optimizer_key(std::string_view key) {
  return key.find("optim") != key.npos || key.find("scheduler") != key.npos || key.find("scaler") != key.npos ||
         key == "loops" || key == "callbacks" || key == "lr_schedulers";
}

struct Entry {
  std::string key;
  PickleIndex value;
};

// A function of torch._utils and what it is called with.
struct Rebuild {
  std::string_view function;
  std::span<const PickleIndex> arguments;
};

std::string global_name(const PickleValue& global) {
  return formatted("{}.{}", shown(global.module), shown(global.text));
}

// Dtypes as _rebuild_tensor_v3 has them: the global torch.NAME.
std::optional<DType> dtype_of_global(const PickleValue& global) {
  constexpr std::pair<std::string_view, DType> kNames[] = {{"float32", DType::kF32},
                                                           {"float64", DType::kF64},
                                                           {"float16", DType::kF16},
                                                           {"bfloat16", DType::kBF16},
                                                           {"uint8", DType::kU8},
                                                           {"int8", DType::kI8},
                                                           {"int16", DType::kI16},
                                                           {"int32", DType::kI32},
                                                           {"int64", DType::kI64},
                                                           {"bool", DType::kBool},
                                                           {"complex64", DType::kC64},
                                                           {"uint16", DType::kU16},
                                                           {"uint32", DType::kU32},
                                                           {"uint64", DType::kU64},
                                                           {"float8_e5m2", DType::kF8E5M2},
                                                           {"float8_e4m3fn", DType::kF8E4M3},
                                                           {"float8_e8m0fnu", DType::kF8E8M0}};
  if (global.kind != PickleKind::kGlobal || global.module != "torch") return std::nullopt;
  const auto* found = std::ranges::find(kNames, global.text, &std::pair<std::string_view, DType>::first);
  return found == std::end(kNames) ? std::nullopt : std::optional(found->second);
}

class ObjectReader {
 public:
  ObjectReader(const Pickle& pickle, const std::string& title, const std::string& record)
      : pickle_(pickle), title_(title), record_(record) {}

  PytorchObjects read(const std::string& wanted_key) {
    for (const PickleValue& value : pickle_.values()) {
      if (value.kind == PickleKind::kPersistent) read_storage(value);
    }
    const PickleValue& root = pickle_.root();
    if (!is_dict(root)) refuse_root(root);
    std::string path;
    const PickleIndex dict = wanted_key.empty() ? find_model(root, path) : find_wanted(wanted_key);
    note_foreign();
    add_tensors(pickle_.at(dict), "", 0);
    if (result_.tensors.empty()) {
      refuse_record(title_, record_, "holds no tensors",
                    "save the state dict of the model: torch.save(model.state_dict(), path)");
    }
    if (!path.empty()) note_path(root, path);
    if (!others_.empty()) {
      result_.remarks.push_back(formatted("left out what are no tensors: {}", joined(others_)));
    }
    tie();
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& suggestion) const {
    refuse_record(title_, record_, what, suggestion);
  }

  [[noreturn]] void refuse_root(const PickleValue& root) const {
    const PickleValue* function = root.kind == PickleKind::kCall ? &pickle_.at(root.function) : nullptr;
    const std::string advice = "save its state dict in Python: torch.save(model.state_dict(), path)";
    if (rebuild_of(root))
      refuse("is a single tensor, not a dict of tensors", "save a dict: torch.save({'x': x}, path)");
    if (function != nullptr && function->kind == PickleKind::kGlobal) {
      refuse(formatted("is an object of {}, which only Python could make; it was not executed", global_name(*function)),
             advice);
    }
    refuse("is no dict of tensors", advice);
  }

  bool is_dict(const PickleValue& value) const {
    return value.kind == PickleKind::kDict || pickle_.is_call(value, "collections", "OrderedDict") ||
           pickle_.is_call(value, "collections", "defaultdict");
  }

  static std::string key_text(const PickleValue& key) {
    if (key.kind == PickleKind::kText) return std::string(key.text);
    return key.kind == PickleKind::kInt ? std::to_string(key.integer) : std::string();
  }

  // Each key once, in the order they came; the last value holds.
  std::vector<Entry> entries(const PickleValue& dict) const {
    std::vector<std::pair<PickleIndex, PickleIndex>> pairs = pickle_.pairs(dict);
    if (pairs.empty() && dict.kind == PickleKind::kCall) pairs = constructor_pairs(dict);
    std::vector<Entry> entries;
    std::map<std::string, std::size_t> places;
    for (const auto& [key, value] : pairs) {
      std::string text = key_text(pickle_.at(key));
      if (text.empty()) continue;
      const auto [place, is_new] = places.emplace(text, entries.size());
      if (is_new) {
        entries.push_back({std::move(text), value});
      } else {
        entries[place->second].value = value;
      }
    }
    return entries;
  }

  // OrderedDict([[key, value], ...]), as Python 2 wrote it.
  std::vector<std::pair<PickleIndex, PickleIndex>> constructor_pairs(const PickleValue& dict) const {
    std::vector<std::pair<PickleIndex, PickleIndex>> pairs;
    const auto arguments = pickle_.items(pickle_.at(dict.arguments));
    if (arguments.empty()) return pairs;
    for (const PickleIndex item : pickle_.items(pickle_.at(arguments.back()))) {
      const auto pair = pickle_.items(pickle_.at(item));
      if (pair.size() == 2) pairs.emplace_back(pair[0], pair[1]);
    }
    return pairs;
  }

  // The call that makes a tensor, out of what parameters and subclasses wrap around it.
  std::optional<Rebuild> rebuild_of(const PickleValue& start) const {
    const PickleValue* value = &start;
    for (std::size_t depth = 0; depth < kMostDepth && value->kind == PickleKind::kCall; ++depth) {
      const PickleValue& function = pickle_.at(value->function);
      const auto arguments = pickle_.items(pickle_.at(value->arguments));
      if (pickle_.is_global(function, "torch._tensor", "_rebuild_from_type_v2") && arguments.size() >= 3) {
        const PickleValue& inner = pickle_.at(arguments[0]);
        if (inner.kind != PickleKind::kGlobal || inner.module != "torch._utils") return std::nullopt;
        return Rebuild{inner.text, pickle_.items(pickle_.at(arguments[2]))};
      }
      if (function.kind != PickleKind::kGlobal || function.module != "torch._utils") return std::nullopt;
      if (!function.text.starts_with("_rebuild_parameter")) return Rebuild{function.text, arguments};
      if (arguments.empty()) return std::nullopt;
      value = &pickle_.at(arguments[0]);
    }
    return std::nullopt;
  }

  bool has_tensors(const PickleValue& value, std::size_t depth = 0) {
    step();
    if (rebuild_of(value)) return true;
    if (!is_dict(value) || depth > kMostDepth) return false;
    return std::ranges::any_of(entries(value),
                               [&](const Entry& entry) { return has_tensors(pickle_.at(entry.value), depth + 1); });
  }

  void step() {
    if (++steps_ > kMostSteps) refuse("has too many dicts in dicts", "save the model's state dict alone");
  }

  // The dict with the model's tensors. A dict that holds tensors itself is one; else the likeliest of those below.
  PickleIndex find_model(const PickleValue& root, std::string& path) {
    const PickleValue* dict = &root;
    PickleIndex index = static_cast<PickleIndex>(&root - pickle_.values().data());
    for (std::size_t depth = 0; depth < kMostDepth; ++depth) {
      std::vector<Entry> below;
      for (const Entry& entry : entries(*dict)) {
        const PickleValue& value = pickle_.at(entry.value);
        if (rebuild_of(value) && !is_optimizer_key(entry.key)) return index;
        if (is_dict(value) && !is_optimizer_key(entry.key) && !is_optimizer(value) && has_tensors(value)) {
          below.push_back(entry);
        }
      }
      const Entry* next = nullptr;
      for (const std::string_view key : kModelKeys) {
        const auto found = std::ranges::find(below, key, &Entry::key);
        if (found == below.end()) continue;
        next = &*found;
        break;
      }
      if (next == nullptr && below.size() == 1) next = &below.front();
      if (next == nullptr) return index;  // several parts of one model: all of them, with dotted names
      path += (path.empty() ? "" : ".") + next->key;
      index = next->value;
      dict = &pickle_.at(index);
    }
    return index;
  }

  bool is_optimizer(const PickleValue& dict) const {
    const auto all = entries(dict);
    return std::ranges::find(all, "param_groups", &Entry::key) != all.end();
  }

  PickleIndex find_wanted(const std::string& wanted) {
    PickleIndex index = static_cast<PickleIndex>(&pickle_.root() - pickle_.values().data());
    std::string_view rest = wanted;
    while (!rest.empty()) {
      const auto all = entries(pickle_.at(index));
      const Entry* found = nullptr;
      for (const Entry& entry : all) {  // a key may hold dots itself
        const bool fits = rest == entry.key || (rest.starts_with(entry.key) && rest.substr(entry.key.size())[0] == '.');
        if (fits && (found == nullptr || entry.key.size() > found->key.size())) found = &entry;
      }
      if (found == nullptr || !has_tensors(pickle_.at(found->value))) fail_wanted(wanted, all);
      index = found->value;
      rest.remove_prefix(std::min(rest.size(), found->key.size() + 1));
    }
    if (!is_dict(pickle_.at(index))) fail_wanted(wanted, entries(pickle_.root()));
    return index;
  }

  [[noreturn]] void fail_wanted(const std::string& wanted, const std::vector<Entry>& all) {
    std::vector<std::string> keys;
    for (const Entry& entry : all) {
      const PickleValue& value = pickle_.at(entry.value);
      if (is_dict(value) && has_tensors(value)) keys.push_back(entry.key);
    }
    throw Error(Status::kNotFound, formatted("{}: there are no tensors under {}", title_, shown(wanted)),
                keys.empty() ? "leave tensors_key unset" : "keys with tensors are: " + joined(keys), wanted);
  }

  static std::string joined(const std::vector<std::string>& names) {
    constexpr std::size_t kMost = 10;
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < kMost; ++i) text += (i == 0 ? "" : ", ") + shown(names[i]);
    if (names.size() > kMost) text += formatted(" and {} more", names.size() - kMost);
    return text;
  }

  void note_path(const PickleValue& root, const std::string& path) {
    std::vector<std::string> left_out;
    for (const Entry& entry : entries(root)) {
      const bool is_used = path == entry.key || path.starts_with(entry.key + ".");
      if (!is_used && has_tensors(pickle_.at(entry.value))) left_out.push_back(entry.key);
    }
    std::string text = formatted("the tensors are those under {}", shown(path));
    if (!left_out.empty()) text += formatted("; left out: {} (tensors_key chooses another)", joined(left_out));
    result_.remarks.push_back(std::move(text));
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

  // Tensors of dicts below have dotted names.
  void add_tensors(const PickleValue& dict, const std::string& prefix, std::size_t depth) {
    if (depth > kMostDepth) refuse(formatted("has dicts more than {} deep", kMostDepth), "save the state dict alone");
    for (const Entry& entry : entries(dict)) {
      step();
      const PickleValue& value = pickle_.at(entry.value);
      const std::string name = prefix + entry.key;
      if (const auto rebuild = rebuild_of(value)) {
        result_.tensors.push_back(read_tensor(name, *rebuild));
      } else if (is_dict(value) && (is_optimizer_key(entry.key) || is_optimizer(value)) && has_tensors(value)) {
        result_.remarks.push_back(formatted("left out the tensors under {}: an optimizer's", shown(name)));
      } else if (is_dict(value) && has_tensors(value)) {
        add_tensors(value, name + ".", depth + 1);
      } else {
        others_.push_back(name);
      }
    }
  }

  PytorchTensor read_tensor(const std::string& name, const Rebuild& rebuild) {
    const std::string_view function = rebuild.function;
    const bool is_v3 = function == "_rebuild_tensor_v3";
    if (function != "_rebuild_tensor_v2" && function != "_rebuild_tensor" && !is_v3) {
      refuse(
          formatted("tensor {} is made by torch._utils.{}, and is no plain dense tensor", shown(name), shown(function)),
          "save it as a dense float tensor");
    }
    const auto arguments = rebuild.arguments;
    if (arguments.size() < (is_v3 ? 7u : 4u) || pickle_.at(arguments[0]).kind != PickleKind::kPersistent) {
      pickle_.fail(formatted("has a tensor {} without a sound storage", shown(name)));
    }
    PytorchTensor tensor;
    tensor.name = name;
    const PickleValue& persistent = pickle_.at(arguments[0]);
    const auto id = pickle_.items(pickle_.at(persistent.function));
    tensor.storage = std::string(pickle_text(pickle_, id[2], "a storage's name"));
    const TorchStorageType* type = find_torch_storage_type(pickle_.at(id[1]));
    const auto dtype = is_v3 ? dtype_of_global(pickle_.at(arguments[6])) : type != nullptr ? type->dtype : std::nullopt;
    if (!dtype) {
      const PickleValue& said = pickle_.at(is_v3 ? arguments[6] : id[1]);
      refuse(formatted("tensor {} has the dtype of {}, which is not known here", shown(name), global_name(said)),
             "convert it to another dtype first");
    }
    tensor.dtype = *dtype;
    tensor.offset = pickle_integer(pickle_, arguments[1], "a tensor's offset");
    tensor.shape = pickle_integers(pickle_, size_of(arguments[2]), "a tensor's size");
    tensor.strides = pickle_integers(pickle_, size_of(arguments[3]), "a tensor's stride");
    check_extent(tensor, id);
    return tensor;
  }

  // torch.Size((2, 3)) or the tuple itself.
  PickleIndex size_of(PickleIndex index) const {
    const PickleValue& value = pickle_.at(index);
    if (!pickle_.is_call(value, "torch", "Size")) return index;
    const auto arguments = pickle_.items(pickle_.at(value.arguments));
    return arguments.empty() ? index : arguments[0];
  }

  void check_extent(PytorchTensor& tensor, std::span<const PickleIndex> id) {
    if (tensor.shape.size() != tensor.strides.size()) {
      pickle_.fail(formatted("has a tensor {} with another number of strides than of sizes", shown(tensor.name)));
    }
    const PytorchStorage& storage = result_.storages.at(tensor.storage);
    const std::uint64_t item_bytes = dtype_bits(tensor.dtype) / 8;
    std::uint64_t first = 0, count = storage.count * storage.item_bytes / item_bytes;
    if (id.size() == 6 && pickle_.at(id[5]).kind == PickleKind::kTuple) {  // (key, offset, size) of a view
      const auto view = pickle_.items(pickle_.at(id[5]));
      if (view.size() != 3) pickle_.fail("has a view of a storage that is no triple");
      first = static_cast<std::uint64_t>(pickle_integer(pickle_, view[1], "a view's offset"));
      const auto size = static_cast<std::uint64_t>(pickle_integer(pickle_, view[2], "a view's size"));
      if (first > count || size > count - first) pickle_.fail("has a view beyond its storage");
      count = size;
    }
    const auto end = strided_end(tensor.offset, tensor.shape, tensor.strides);
    const auto size_bytes = checked_size_bytes(tensor.dtype, tensor.shape);
    if (!end || !size_bytes || static_cast<std::uint64_t>(*end) > count) {
      pickle_.fail(formatted("has a tensor {} that reaches beyond its storage {} of {} elements", shown(tensor.name),
                             shown(tensor.storage), count));
    }
    constexpr std::uint64_t kMostRepeated = 64u << 20;
    if (*size_bytes > std::max(kMostRepeated, count * item_bytes)) {
      refuse(formatted("tensor {} repeats {} elements over {} bytes", shown(tensor.name), count, *size_bytes),
             "save it without the repetition: tensor.clone()");
    }
    tensor.storage_offset = first;
    tensor.end = *end;
  }

  // ('storage', type, key, device, count[, view])
  void read_storage(const PickleValue& persistent) {
    const PickleValue& id = pickle_.at(persistent.function);
    const auto items = pickle_.items(id);
    const bool is_sound = id.kind == PickleKind::kTuple && (items.size() == 5 || items.size() == 6) &&
                          pickle_text(pickle_, items[0], "a storage's id") == "storage";
    if (!is_sound) pickle_.fail("has a storage without a sound id");
    const std::string key(pickle_text(pickle_, items[2], "a storage's name"));
    const PickleValue& type = pickle_.at(items[1]);
    const TorchStorageType* known = find_torch_storage_type(type);
    const bool is_untyped = pickle_.is_global(type, "torch.storage", "UntypedStorage") ||
                            pickle_.is_global(type, "torch", "UntypedStorage");
    if (known == nullptr && !is_untyped) {
      const std::string name = type.kind == PickleKind::kGlobal ? global_name(type) : "what is no class";
      refuse(formatted("has a storage of {}, which is not known here", name), "save the model's tensors as floats");
    }
    PytorchStorage storage{is_untyped ? 1 : known->item_bytes,
                           static_cast<std::uint64_t>(pickle_integer(pickle_, items[4], "a storage's size"))};
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(storage.count, storage.item_bytes, &bytes)) {
      pickle_.fail(formatted("has a storage of {} elements", storage.count));
    }
    const auto [place, is_new] = result_.storages.emplace(key, storage);
    if (!is_new && (place->second.count != storage.count || place->second.item_bytes != storage.item_bytes)) {
      pickle_.fail(formatted("has storage {} in two sizes", shown(key)));
    }
  }

  // The same view of the same storage is one tensor with several names.
  void tie() {
    using View = std::tuple<std::string, std::uint64_t, std::int64_t, DType, Shape, std::vector<std::int64_t>>;
    std::map<View, std::size_t> first;
    std::vector<PytorchTensor> kept;
    std::set<std::string> names;
    for (PytorchTensor& tensor : result_.tensors) {
      if (!names.insert(tensor.name).second) {
        pickle_.fail(formatted("has two tensors called {}", shown(tensor.name)));
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
  PytorchObjects result_;
  std::vector<std::string> others_;
  std::size_t steps_ = 0;
};

}  // namespace

PytorchObjects read_pytorch_objects(const Pickle& pickle, const std::string& title, const std::string& record,
                                    const std::string& wanted_key) {
  return ObjectReader(pickle, title, record).read(wanted_key);
}

}  // namespace mnq
