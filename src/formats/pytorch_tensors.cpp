#include "formats/pytorch_tensors.h"

#include <algorithm>

#include "base/format.h"
#include "formats/archive_error.h"
#include "formats/pickle_fields.h"
#include "formats/torch_dtypes.h"

namespace mnq {
namespace {

constexpr std::size_t kMostAxes = 64;  // PyTorch's own limit
constexpr std::size_t kNone = 99;      // of a form that has no such argument

struct Flag {
  std::string_view key, view, remedy;
};
constexpr Flag kFlags[] = {{"conj", "a conjugate view", "save it resolved: tensor.resolve_conj()"},
                           {"neg", "a negative view", "save it resolved: tensor.resolve_neg()"}};

// ('module', class, file, source), as the old form names the classes of modules.
bool is_class(const Pickle& pickle, const PickleValue& id) {
  const auto items = pickle.items(id);
  return id.kind == PickleKind::kTuple && items.size() == 4 && pickle.at(items[0]).kind == PickleKind::kText &&
         pickle.at(items[0]).text == "module" && pickle.at(items[1]).kind == PickleKind::kGlobal;
}

}  // namespace

// How a function of torch._utils is called: (storage, offset, size, stride[, requires_grad, hooks], ...).
struct PytorchTensors::Form {
  std::string_view function;
  std::size_t least_arguments, dtype, flags;
};

const PytorchTensors::Form* PytorchTensors::form_of(const TensorCall& call) {
  static constexpr Form kForms[] = {
      {"_rebuild_tensor_v2", 4, kNone, 6}, {"_rebuild_tensor_v3", 7, 6, 7}, {"_rebuild_tensor", 4, kNone, kNone}};
  const auto* found = std::ranges::find(kForms, call.function, &Form::function);
  return found == std::end(kForms) ? nullptr : found;
}

PytorchTensors::PytorchTensors(const Pickle& pickle, const std::string& title, const std::string& record)
    : pickle_(pickle), title_(title), record_(record) {
  for (const PickleValue& value : pickle_.values()) {
    if (value.kind != PickleKind::kPersistent) continue;
    if (!is_class(pickle_, pickle_.at(value.function))) read_storage(value);
  }
}

void PytorchTensors::refuse(const std::string& what, const std::string& suggestion) const {
  refuse_record(title_, record_, what, suggestion);
}

// The global that says it.
const PickleValue& PytorchTensors::said_dtype(const TensorCall& call, const Form& form) const {
  if (form.dtype != kNone) return pickle_.at(call.arguments[form.dtype]);
  const PickleValue& persistent = pickle_.at(call.arguments[0]);
  return pickle_.at(pickle_.items(pickle_.at(persistent.function))[1]);
}

std::optional<DType> PytorchTensors::dtype_of(const TensorCall& call, const Form& form) const {
  const PickleValue& said = said_dtype(call, form);
  const TorchDType* row = form.dtype != kNone ? find_torch_dtype(said) : find_torch_storage_type(said);
  return row == nullptr ? std::nullopt : row->dtype;
}

bool PytorchTensors::may_be_weight(const TensorCall& call) const {
  const Form* form = form_of(call);
  if (form == nullptr || call.arguments.size() < form->least_arguments) return true;
  if (pickle_.at(call.arguments[0]).kind != PickleKind::kPersistent) return true;
  const auto dtype = dtype_of(call, *form);
  const auto sizes = pickle_.items(pickle_.at(sizes_of(call.arguments[2])));
  return dtype && is_weight_dtype(*dtype) &&
         std::ranges::any_of(sizes, [&](PickleIndex size) { return pickle_.at(size).integer > 1; });
}

PytorchTensor PytorchTensors::read(std::string name, const TensorCall& call) const {
  const Form* form = form_of(call);
  if (form == nullptr) {
    refuse(formatted("tensor {} is made by torch._utils.{}, and is no plain dense tensor", shown(name),
                     shown(call.function)),
           "save it as a dense float tensor");
  }
  const auto arguments = call.arguments;
  if (arguments.size() < form->least_arguments || pickle_.at(arguments[0]).kind != PickleKind::kPersistent ||
      is_class(pickle_, pickle_.at(pickle_.at(arguments[0]).function))) {
    pickle_.fail(formatted("has a tensor {} without a sound storage", shown(name)));
  }
  const auto dtype = dtype_of(call, *form);
  if (!dtype) {
    refuse(formatted("tensor {} has the dtype of {}, which is not known here", shown(name),
                     global_name(said_dtype(call, *form))),
           "convert it to another dtype first");
  }
  check_flags(name, call, *form);
  const auto id = pickle_.items(pickle_.at(pickle_.at(arguments[0]).function));
  PytorchTensor tensor;
  tensor.dtype = *dtype;
  tensor.storage = std::string(pickle_text(pickle_, id[2], "a storage's name"));
  tensor.offset = pickle_integer(pickle_, arguments[1], "a tensor's offset");
  tensor.shape = read_sizes(name, arguments[2], "a tensor's size");
  tensor.strides = read_sizes(name, arguments[3], "a tensor's stride");
  tensor.name = std::move(name);
  check_extent(tensor, id);
  return tensor;
}

// What torch.load gives to _set_tensor_metadata.
void PytorchTensors::check_flags(const std::string& name, const TensorCall& call, const Form& form) const {
  if (call.arguments.size() <= form.flags) return;
  for (const auto& [key, value] : pickle_.pairs(pickle_.at(call.arguments[form.flags]))) {
    const auto* flag = std::ranges::find(kFlags, pickle_.at(key).text, &Flag::key);
    const bool is_unset = pickle_.at(value).kind == PickleKind::kBool && pickle_.at(value).integer == 0;
    if (flag == std::end(kFlags) || is_unset) continue;
    refuse(formatted("tensor {} is {}: its storage holds other values", shown(name), flag->view),
           std::string(flag->remedy));
  }
}

// torch.Size((2, 3)) or the tuple itself.
PickleIndex PytorchTensors::sizes_of(PickleIndex index) const {
  const PickleValue& value = pickle_.at(index);
  if (!pickle_.is_call(value, "torch", "Size")) return index;
  const auto arguments = pickle_.items(pickle_.at(value.arguments));
  return arguments.empty() ? index : arguments[0];
}

std::vector<std::int64_t> PytorchTensors::read_sizes(const std::string& name, PickleIndex index,
                                                     const char* what) const {
  const PickleIndex sizes = sizes_of(index);
  const std::size_t count = pickle_.items(pickle_.at(sizes)).size();
  if (count > kMostAxes) {
    refuse(formatted("tensor {} has {} axes; PyTorch has at most {}", shown(name), count, kMostAxes),
           "save it again by torch.save");
  }
  return pickle_integers(pickle_, sizes, what);
}

void PytorchTensors::check_extent(PytorchTensor& tensor, std::span<const PickleIndex> id) const {
  if (tensor.shape.size() != tensor.strides.size()) {
    pickle_.fail(formatted("has a tensor {} with another number of strides than of sizes", shown(tensor.name)));
  }
  const PytorchStorage& storage = storages_.at(tensor.storage);
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
void PytorchTensors::read_storage(const PickleValue& persistent) {
  const PickleValue& id = pickle_.at(persistent.function);
  const auto items = pickle_.items(id);
  const bool is_sound = id.kind == PickleKind::kTuple && (items.size() == 5 || items.size() == 6) &&
                        pickle_text(pickle_, items[0], "a storage's id") == "storage";
  if (!is_sound) pickle_.fail("has a storage without a sound id");
  const std::string key(pickle_text(pickle_, items[2], "a storage's name"));
  const PickleValue& type = pickle_.at(items[1]);
  const TorchDType* known = find_torch_storage_type(type);
  const bool is_untyped =
      pickle_.is_global(type, "torch.storage", "UntypedStorage") || pickle_.is_global(type, "torch", "UntypedStorage");
  if (known == nullptr && !is_untyped) {
    const std::string name = type.kind == PickleKind::kGlobal ? global_name(type) : "what is no class";
    refuse(formatted("has a storage of {}, which is not known here", name), "save the model's tensors as floats");
  }
  const PytorchStorage storage{is_untyped ? 1 : known->item_bytes,
                               static_cast<std::uint64_t>(pickle_integer(pickle_, items[4], "a storage's size"))};
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(storage.count, storage.item_bytes, &bytes)) {
    pickle_.fail(formatted("has a storage of {} elements", storage.count));
  }
  const auto [place, is_new] = storages_.emplace(key, storage);
  if (!is_new && (place->second.count != storage.count || place->second.item_bytes != storage.item_bytes)) {
    pickle_.fail(formatted("has storage {} in two sizes", shown(key)));
  }
}

}  // namespace mnq
