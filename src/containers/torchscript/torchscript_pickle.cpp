#include "containers/torchscript/torchscript_pickle.h"

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_fields.h"
#include "containers/torchscript/torchscript_globals.h"

namespace mnq {
namespace {

// LibTorch frees nested lists recursively.
constexpr std::uint32_t kMostNesting = 200;

class PickleChecker {
 public:
  PickleChecker(const Pickle& pickle, const std::string& title, const std::string& record,
                const TorchScriptRecords& records, std::map<std::string, std::uint64_t>& storages)
      : pickle_(pickle), title_(title), record_(record), records_(records), storages_(storages) {}

  void check() {
    pickle_.check_nesting(kMostNesting);
    for (const PickleValue& value : pickle_.values()) check_value(value);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    refuse_record(title_, record_, what, "give a float module of PyTorch's own layers, saved by torch.jit.save");
  }

  void check_value(const PickleValue& value) {
    switch (value.kind) {
      case PickleKind::kGlobal:
        return check_global(value);
      case PickleKind::kCall:
        return check_call(value);
      case PickleKind::kPersistent:
        storage_numel(value);
        return;
      case PickleKind::kDict:
        return check_keys(value);
      case PickleKind::kLong:
        refuse("holds a number beyond 64 bits");
      case PickleKind::kBytes:
      case PickleKind::kSet:
        refuse("holds bytes or a set, which no module has");
      default:
        return;
    }
  }

  void check_global(const PickleValue& global) const {
    const std::string name = formatted("{}.{}", shown(global.module), shown(global.text));
    const TorchDType* type = find_torch_storage_type(global);
    if ((type != nullptr && !type->is_quantized()) || find_torch_function(global) != nullptr) return;
    const bool is_quantized = global.text == "_rebuild_qtensor" || global.text.starts_with("Q");
    if (global.module.starts_with("__torch__.torch.classes") || (global.module.starts_with("torch") && is_quantized)) {
      refuse_record(title_, record_, formatted("names {}: quantized by PyTorch already, or holds a custom class", name),
                    "give the float module, before PyTorch quantized it");
    }
    if (!is_torchscript_class(global)) refuse(formatted("names {}, which no module needs", name));
    const ScriptProgram::Definition* known = records_.program.find(formatted("{}.{}", global.module, global.text));
    if (known == nullptr || !known->is_class()) {
      pickle_.fail(formatted("names {}, but the file's code has no such class", name));
    }
  }

  // LibTorch hashes keys; it can do so with these.
  void check_keys(const PickleValue& dict) const {
    for (const auto& [key, value] : pickle_.pairs(dict)) {
      const PickleKind kind = pickle_.at(key).kind;
      const bool is_plain = kind == PickleKind::kText || kind == PickleKind::kInt || kind == PickleKind::kFloat ||
                            kind == PickleKind::kBool || kind == PickleKind::kCall;
      if (!is_plain) pickle_.fail("has a dict whose key is neither text, number nor tensor");
    }
  }

  // LibTorch does not tell NEWOBJ, REDUCE and BUILD apart: only what it writes itself is let through.
  void check_call(const PickleValue& call) {
    const PickleValue& function = pickle_.at(call.function);
    if (function.kind != PickleKind::kGlobal) pickle_.fail("calls what is no function");
    if (!pickle_.items(call).empty()) pickle_.fail("puts items into what a function returned");
    if (is_torchscript_class(function)) return check_object(call);
    if (call.is_new_object || call.state != kNoPickleValue) pickle_.fail("makes an object of a function");
    const PickleValue& arguments = pickle_.at(call.arguments);
    const TorchFunction* known = find_torch_function(function);
    if (known == nullptr) return check_global(function);
    const std::size_t count = pickle_.items(arguments).size();
    if (arguments.kind != PickleKind::kTuple || count < known->least_arguments || count > known->most_arguments) {
      pickle_.fail(formatted("calls {} with {} arguments", known->name, count));
    }
    check_arguments(known->name, arguments);
  }

  // An object has a dict of its attributes; a call of a class is a value of an enumeration.
  void check_object(const PickleValue& call) const {
    if (!call.is_new_object) {
      if (call.state != kNoPickleValue) pickle_.fail("gives a value of an enumeration a state");
      return;
    }
    if (!pickle_.items(pickle_.at(call.arguments)).empty()) pickle_.fail("makes an object with arguments");
    if (call.state == kNoPickleValue || pickle_.at(call.state).kind != PickleKind::kDict) {
      pickle_.fail(formatted("holds a {} without its attributes", shown(pickle_.at(call.function).text)));
    }
    for (const auto& [key, value] : pickle_.pairs(pickle_.at(call.state)))
      pickle_text(pickle_, key, "an attribute's name");
  }

  void check_arguments(std::string_view function, const PickleValue& arguments) {
    const auto items = pickle_.items(arguments);
    if (function == "_rebuild_tensor_v2") return check_tensor(items);
    if (function == "device") pickle_text(pickle_, items[0], "a device");
    if (function == "complex") {
      for (const PickleIndex item : items) {
        if (pickle_.at(item).kind != PickleKind::kFloat) pickle_.fail("has a complex number of what are no numbers");
      }
    }
    if (function == "restore_type_tag") check_type_tag(items);
    if (function.ends_with("list") && pickle_.at(items[0]).kind != PickleKind::kList) {
      pickle_.fail(formatted("calls {} without a list", function));
    }
  }

  void check_type_tag(std::span<const PickleIndex> items) const {
    const PickleKind kind = pickle_.at(items[0]).kind;
    if (kind != PickleKind::kList && kind != PickleKind::kDict) pickle_.fail("gives a type to what is no list or dict");
    const std::string_view type = pickle_text(pickle_, items[1], "a type");
    if (!type.starts_with(kind == PickleKind::kList ? "List[" : "Dict[")) {
      pickle_.fail(formatted("gives a {} the type {}", kind == PickleKind::kList ? "list" : "dict", shown(type)));
    }
    ScriptCode::type(std::string(type), title_, record_);
  }

  // (storage, offset, size, stride, requires_grad, hooks[, metadata])
  void check_tensor(std::span<const PickleIndex> items) {
    if (pickle_.at(items[0]).kind != PickleKind::kPersistent) pickle_.fail("has a tensor without a storage");
    const std::int64_t numel = storage_numel(pickle_.at(items[0]));
    const std::int64_t offset = pickle_integer(pickle_, items[1], "a tensor's offset");
    const auto sizes = pickle_integers(pickle_, items[2], "a tensor's size"),
               strides = pickle_integers(pickle_, items[3], "a tensor's stride");
    if (pickle_.at(items[4]).kind != PickleKind::kBool) pickle_.fail("has a tensor whose requires_grad is no boolean");
    if (sizes.size() != strides.size()) pickle_.fail("has a tensor with fewer strides than sizes, or more");
    const auto end = strided_end(offset, sizes, strides);
    if (!end || *end > numel) {
      pickle_.fail(formatted("has a tensor that reaches beyond its storage {} of {} elements",
                             key_of(pickle_.at(items[0])), numel));
    }
  }

  std::string key_of(const PickleValue& persistent) const {
    return shown(pickle_.at(pickle_.items(pickle_.at(persistent.function))[2]).text);
  }

  // Of ('storage', type, key, device, numel); the storage's record must have that size.
  std::int64_t storage_numel(const PickleValue& persistent) {
    const PickleValue& id = pickle_.at(persistent.function);
    const auto items = pickle_.items(id);
    if (id.kind != PickleKind::kTuple || items.size() != 5 ||
        pickle_text(pickle_, items[0], "a storage's id") != "storage") {
      pickle_.fail("has a storage without a sound id");
    }
    const TorchDType* type = find_torch_storage_type(pickle_.at(items[1]));
    if (type == nullptr) pickle_.fail("has a storage of no known dtype");
    const std::string key(pickle_text(pickle_, items[2], "a storage's name"));
    pickle_text(pickle_, items[3], "a storage's device");
    const std::int64_t numel = pickle_integer(pickle_, items[4], "a storage's size");
    check_storage(key, *type, static_cast<std::uint64_t>(numel));
    return numel;
  }

  void check_storage(const std::string& key, const TorchDType& type, std::uint64_t numel) {
    if (!records_.storage_size) return;
    const std::uint64_t* size = records_.storage_size(key);
    if (size == nullptr) {
      if (numel == 0) return;
      pickle_.fail(formatted("names storage {}, but the file has no such record", shown(key)));
    }
    if (*size % type.item_bytes != 0 || *size / type.item_bytes != numel) {
      pickle_.fail(formatted("has storage {} of {} elements of {} bytes, but its record has {} bytes", shown(key),
                             numel, type.item_bytes, *size));
    }
    storages_.emplace(key, *size);
  }

  const Pickle& pickle_;
  const std::string& title_;
  const std::string& record_;
  const TorchScriptRecords& records_;
  std::map<std::string, std::uint64_t>& storages_;
};

}  // namespace

void check_torchscript_pickle(const Pickle& pickle, const std::string& title, const std::string& record,
                              const TorchScriptRecords& records, std::map<std::string, std::uint64_t>& storages) {
  PickleChecker(pickle, title, record, records, storages).check();
}

}  // namespace mnq
