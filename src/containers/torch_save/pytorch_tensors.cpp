#include "containers/torch_save/pytorch_tensors.h"

#include <algorithm>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_fields.h"
#include "containers/strided_read.h"

namespace mnq {
namespace {

constexpr std::size_t kMostAxes = 64;  // PyTorch's own limit
constexpr std::size_t kNone = 99;      // of a form that has no such argument

struct Flag {
  std::string_view key, view;
};
constexpr Flag kFlags[] = {{"conj", "a conjugate view"}, {"neg", "a negative view"}};

// ('module', class, file, source), as the old form names the classes of modules.
bool is_class(const Pickle& pickle, const PickleValue& id) {
  const auto items = pickle.items(id);
  return id.kind == PickleKind::kTuple && items.size() == 4 && pickle.at(items[0]).kind == PickleKind::kText &&
         pickle.at(items[0]).text == "module" && pickle.at(items[1]).kind == PickleKind::kGlobal;
}

// Codes of less than a byte: PyTorch has them in the order of the elements only.
void lay_out_codes(const Pickle& pickle, PytorchTensor& tensor, std::int32_t code_bits) {
  if (code_bits >= 8) return;
  const auto count = checked_element_count(tensor.shape);
  const bool is_plain = count && tensor.shape.size() == tensor.strides.size() && tensor.offset == 0 &&
                        is_contiguous({tensor.shape, tensor.strides, 1});
  if (!is_plain) pickle.fail(formatted("has a tensor {} whose codes lie in no order", shown(tensor.name)));
  const std::uint64_t in_byte = 8 / static_cast<std::uint64_t>(code_bits);
  tensor.shape = {static_cast<std::int64_t>((*count + in_byte - 1) / in_byte)};
  tensor.strides = {1};
}

}  // namespace

// How a function of torch._utils is called: (storage, offset, size, stride[, requires_grad, hooks], ...), and
// (storage, offset, size, stride, quantizer, ...).
struct PytorchTensors::Form {
  std::string_view function;
  std::size_t least_arguments, dtype, flags;
};

const PytorchTensors::Form* PytorchTensors::form_of(const TensorCall& call) {
  static constexpr Form kForms[] = {{"_rebuild_tensor_v2", 4, kNone, 6},
                                    {"_rebuild_tensor_v3", 7, 6, 7},
                                    {"_rebuild_tensor", 4, kNone, kNone},
                                    {"_rebuild_qtensor", 5, kNone, kNone}};
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

const TorchDType* PytorchTensors::row_of(const TensorCall& call, const Form& form) const {
  const PickleValue& said = said_dtype(call, form);
  return form.dtype != kNone ? find_torch_dtype(said) : find_torch_storage_type(said);
}

std::optional<DType> PytorchTensors::dtype_of(const TensorCall& call, const Form& form) const {
  const TorchDType* row = row_of(call, form);
  return row == nullptr ? std::nullopt : is_quantized(call) ? row->codes : row->dtype;
}

std::size_t PytorchTensors::axis_count(const TensorCall& call) const {
  return pickle_.items(pickle_.at(sizes_of(call.arguments[2]))).size();
}

bool PytorchTensors::may_be_weight(const TensorCall& call) const {
  const Form* form = form_of(call);
  if (form == nullptr || call.arguments.size() < form->least_arguments) return true;
  if (pickle_.at(call.arguments[0]).kind != PickleKind::kPersistent) return true;
  const auto dtype = dtype_of(call, *form);
  const auto sizes = pickle_.items(pickle_.at(sizes_of(call.arguments[2])));
  if (dtype && (*dtype == DType::kI8 || *dtype == DType::kU8 || *dtype == DType::kI32)) return sizes.size() > 1;
  return dtype && is_weight_dtype(*dtype) &&
         std::ranges::any_of(sizes, [&](PickleIndex size) { return pickle_.at(size).integer > 1; });
}

bool PytorchTensors::may_be_matrix(const TensorCall& call) const {
  const Form* form = form_of(call);
  const bool has_axes = form != nullptr && call.arguments.size() >= form->least_arguments;
  return may_be_weight(call) && (!has_axes || axis_count(call) > 1);
}

bool PytorchTensors::may_be_bias(const TensorCall& call) const {
  const Form* form = form_of(call);
  if (form == nullptr || call.arguments.size() < form->least_arguments || axis_count(call) != 1) return false;
  if (pickle_.at(call.arguments[0]).kind != PickleKind::kPersistent) return false;
  const auto dtype = dtype_of(call, *form);
  return dtype && is_weight_dtype(*dtype);
}

// Where its sizes are no numbers, that is found when it is read.
bool PytorchTensors::is_small_part(const TensorCall& call) const {
  constexpr std::uint64_t kSmall = 64u << 10, kMostTimes = 4;
  const Form* form = form_of(call);
  if (form == nullptr || call.arguments.size() < form->least_arguments) return false;
  const PickleValue& persistent = pickle_.at(call.arguments[0]);
  if (persistent.kind != PickleKind::kPersistent || is_class(pickle_, pickle_.at(persistent.function))) return false;
  const auto id = pickle_.items(pickle_.at(persistent.function));
  const auto found = storages_.find(std::string(pickle_.at(id[2]).text));
  if (found == storages_.end()) return false;
  std::uint64_t bytes = 1;
  for (const PickleIndex size : pickle_.items(pickle_.at(sizes_of(call.arguments[2])))) {
    const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(pickle_.at(size).integer, 0));
    if (__builtin_mul_overflow(bytes, count, &bytes)) return false;
  }
  const std::uint64_t storage_bytes = found->second.count * found->second.item_bytes;
  return storage_bytes > kSmall && storage_bytes / kMostTimes > bytes;
}

// Empty where it is a tensor as others.
std::string PytorchTensors::oddity_of(const TensorCall& call, const Form* form) const {
  if (form == nullptr) return formatted("is made by torch._utils.{}", shown(call.function));
  if (!dtype_of(call, *form)) {
    const TorchDType* row = row_of(call, *form);
    return formatted("is of {}",
                     row != nullptr ? formatted("torch.{}", row->name) : global_name(said_dtype(call, *form)));
  }
  if (axis_count(call) > kMostAxes) return formatted("has {} axes", axis_count(call));
  if (is_quantized(call) && axis_count(call) == 0) return "is a single code";
  if (call.arguments.size() <= form->flags) return {};
  for (const auto& [key, value] : pickle_.pairs(pickle_.at(call.arguments[form->flags]))) {
    const auto* flag = std::ranges::find(kFlags, pickle_.at(key).text, &Flag::key);
    const bool is_unset = pickle_.at(value).kind == PickleKind::kBool && pickle_.at(value).integer == 0;
    if (flag != std::end(kFlags) && !is_unset) return formatted("is {}", flag->view);
  }
  return {};
}

PytorchTensor PytorchTensors::read(std::string name, const TensorCall& call) const {
  const Form* form = form_of(call);
  const auto arguments = call.arguments;
  if (form == nullptr) refuse_wrapped(name, call);
  const bool is_cut = form != nullptr && arguments.size() < form->least_arguments;
  if (is_cut || (form != nullptr && (pickle_.at(arguments[0]).kind != PickleKind::kPersistent ||
                                     is_class(pickle_, pickle_.at(pickle_.at(arguments[0]).function))))) {
    pickle_.fail(formatted("has a tensor {} without a sound storage", shown(name)));
  }
  if (is_quantized(call) && !dtype_of(call, *form)) {
    pickle_.fail(formatted("has a quantized tensor {} in a storage of no codes", shown(name)));
  }
  PytorchTensor tensor;
  tensor.name = std::move(name);
  tensor.oddity = oddity_of(call, form);
  if (!tensor.oddity.empty()) return tensor;
  const auto id = pickle_.items(pickle_.at(pickle_.at(arguments[0]).function));
  tensor.dtype = *dtype_of(call, *form);
  tensor.storage = std::string(pickle_text(pickle_, id[2], "a storage's name"));
  tensor.offset = pickle_integer(pickle_, arguments[1], "a tensor's offset");
  tensor.shape = pickle_integers(pickle_, sizes_of(arguments[2]), "a tensor's size");
  tensor.strides = pickle_integers(pickle_, sizes_of(arguments[3]), "a tensor's stride");
  if (!is_quantized(call)) {
    check_extent(tensor, id);
    return tensor;
  }
  const Shape shape = tensor.shape;
  lay_out_codes(pickle_, tensor, row_of(call, *form)->code_bits);
  check_extent(tensor, id);
  if (checked_element_count(shape) == 0) tensor.oddity = "is quantized, and has no elements";
  if (tensor.oddity.empty()) read_quantizer(tensor, shape, call);
  return tensor;
}

// torch.Size((2, 3)) or the tuple itself.
PickleIndex PytorchTensors::sizes_of(PickleIndex index) const {
  const PickleValue& value = pickle_.at(index);
  if (!pickle_.is_call(value, "torch", "Size")) return index;
  const auto arguments = pickle_.items(pickle_.at(value.arguments));
  return arguments.empty() ? index : arguments[0];
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
    tensor.oddity = formatted("repeats {} elements over {} bytes", count, *size_bytes);
    return;
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
