#include "containers/torchscript/torchscript_quantized.h"

#include <algorithm>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/torch_save/packed_parameters.h"
#include "containers/torch_save/pytorch_model.h"
#include "containers/torchscript/torchscript_globals.h"

namespace mnq {
namespace {

constexpr std::uint32_t kMostNesting = 200;

class ModuleReader {
 public:
  ModuleReader(const Pickle& pickle, const std::string& title, const std::string& record)
      : pickle_(pickle),
        title_(title),
        record_(record),
        dicts_(pickle),
        tensors_(pickle, title, record),
        packed_(pickle, dicts_, tensors_) {
    pickle_.check_nesting(kMostNesting);
  }

  void run(const std::string& folder, PytorchObjects& objects) {
    const PickleValue& root = pickle_.root();
    if (root.kind == PickleKind::kTuple) {
      std::size_t index = 0;
      for (const PickleIndex item : pickle_.items(root)) walk(item, formatted("constants.c{}", index++));
    } else {
      walk(pickle_.root_index(), "");
    }
    for (PytorchTensor& tensor : found_) {
      put_in_folder(tensor, folder);
      objects.tensors.push_back(std::move(tensor));
    }
    for (auto& [key, storage] : tensors_.take_storages())
      objects.storages.emplace(formatted("{}/{}", folder, key), storage);
    objects.has_packed = objects.has_packed || has_packed_;
    objects.remarks.insert(objects.remarks.end(), remarks_.begin(), remarks_.end());
  }

 private:
  static void put_in_folder(PytorchTensor& tensor, const std::string& folder) {
    tensor.storage = formatted("{}/{}", folder, tensor.storage);
    if (!tensor.quantizer) return;
    PytorchQuantizer quantizer = *tensor.quantizer;
    for (PytorchTensor& table : quantizer.tables) put_in_folder(table, folder);
    tensor.quantizer = std::move(quantizer);
  }

  void walk(PickleIndex index, const std::string& name) {
    charge(64);
    const PickleValue& value = pickle_.at(index);
    if (const auto call = dicts_.tensor_call(index)) return add(name, *call);
    if (!dicts_.holds_tensors(index)) return;
    if (packed_.is_packed(name, index)) return add_packed(index, name);
    switch (value.kind) {
      case PickleKind::kList:
      case PickleKind::kTuple:
        return walk_items(value, name);
      case PickleKind::kDict:
        return walk_entries(value, name);
      case PickleKind::kCall:
        return walk_call(value, name);
      default:
        return;
    }
  }

  void walk_items(const PickleValue& list, const std::string& name) {
    std::size_t i = 0;
    for (const PickleIndex item : pickle_.items(list)) walk(item, dotted(name, std::to_string(i++)));
  }

  void walk_entries(const PickleValue& dict, const std::string& name) {
    for (const auto& [key, child] : pickle_.pairs(dict)) walk(child, dotted(name, dicts_.shown_name(key)));
  }

  // An object has a dict of its attributes, or what its __getstate__ gave: of a layer its weight and bias, among
  // numbers.
  void walk_call(const PickleValue& call, const std::string& name) {
    const PickleValue& function = pickle_.at(call.function);
    if (function.kind != PickleKind::kGlobal) return pickle_.fail("calls what is no function");
    if (function.module.starts_with("__torch__.torch.classes")) {
      refuse_record(title_, record_,
                    formatted("holds an object of the C++ class {}, which is not read", global_name(function)),
                    "give the float module, before it was converted");
    }
    if (!is_torchscript_class(function)) {  // a list with a type
      const auto arguments = pickle_.items(pickle_.at(call.arguments));
      if (!arguments.empty()) walk(arguments[0], name);
      return;
    }
    if (call.state == kNoPickleValue) return;
    const bool is_dict = pickle_.at(call.state).kind == PickleKind::kDict;
    if (is_dict || !packed_.holds_quantized(call.state)) return walk(call.state, name);
    add_packed(call.state, name);
  }

  void add_packed(PickleIndex value, const std::string& name) {
    has_packed_ = true;
    for (const PackedTensor& packed : packed_.tensors(name, value)) add(packed.name, packed.call);
  }

  void add(const std::string& name, const TensorCall& call) {
    PytorchTensor tensor = tensors_.read(name, call);
    charge(512 + 6 * (name.size() + tensor.storage.size()) + 64 * tensor.shape.size());
    if (tensor.oddity.empty()) {
      found_.push_back(std::move(tensor));
    } else {
      remarks_.push_back(formatted("left out: {}, a tensor that {}", name, tensor.oddity));
    }
  }

  // A module that hangs at several places has its tensors under each of their names: as in read_pytorch_objects.
  void charge(std::uint64_t bytes) {
    held_bytes_ += bytes;
    if (held_bytes_ <= pickle_.most_held_bytes()) return;
    refuse_record(title_, record_, "holds the same modules again and again under many names",
                  "save the module without submodules that are shared many times over");
  }

  const Pickle& pickle_;
  const std::string& title_;
  const std::string& record_;
  PytorchDicts dicts_;
  PytorchTensors tensors_;
  PackedParameters packed_;
  std::vector<PytorchTensor> found_;
  std::vector<std::string> remarks_;
  std::uint64_t held_bytes_ = 0;
  bool has_packed_ = false;
};

}  // namespace

bool may_be_quantized(std::string_view pickle) {
  return pickle.find("_rebuild_qtensor") != pickle.npos || pickle.find("__torch__.torch.classes.") != pickle.npos;
}

bool is_quantized(const Pickle& pickle) {
  const PytorchDicts dicts(pickle);
  for (PickleIndex i = 0; i < pickle.values().size(); ++i) {
    if (pickle.is_call(pickle.at(i), "torch._utils", "_rebuild_qtensor") || dicts.is_packed_object(i)) return true;
  }
  return false;
}

void add_module_tensors(const Pickle& pickle, const std::string& title, const std::string& record,
                        const std::string& folder, PytorchObjects& objects) {
  ModuleReader(pickle, title, record).run(folder, objects);
}

}  // namespace mnq
