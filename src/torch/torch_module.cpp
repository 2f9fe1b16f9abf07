#include "torch/torch_module.h"

#include <algorithm>

#include "base/own_stack.h"
#include "base/text/format.h"
#include "module/listing.h"
#include "torch/errors.h"
#include "torch/graph/packed_weights.h"
#include "torch/tensors.h"
#include "torch/values.h"

namespace mnq::libtorch {
namespace {

std::size_t storage_bytes(const ModuleTree& tree) {
  std::unordered_map<const c10::StorageImpl*, std::size_t> storages;
  for (const TreeTensor& each : tree.tensors) {
    if (is_plain(each.tensor)) storages[each.tensor.storage().unsafeGetStorageImpl()] = each.tensor.storage().nbytes();
  }
  std::size_t size = 0;
  for (const auto& [storage, bytes] : storages) size += bytes;
  return size;
}

std::string layer_name(const Place& place, const ModuleTree& tree) {
  return layer_of_weight(tree.names.at(place.object), place.attribute, place.name);
}

// What a call has left in the attributes of one copy, for another copy of the same module.
void copy_state(const c10::ivalue::Object& from, c10::ivalue::Object& to) {
  for (std::size_t slot = 0; slot < from.slots().size(); ++slot) {
    const c10::IValue& value = from.getSlot(slot);
    if (is_module_object(value)) {
      copy_state(value.toObjectRef(), *to.getSlot(slot).toObject());
    } else {
      to.setSlot(slot, value);
    }
  }
}

jit::Function& find_method(const c10::ivalue::Object& object, const std::string& method) {
  if (jit::Function* found = object.type()->findMethod(method)) return *found;
  std::string known;
  for (jit::Function* other : object.type()->methods()) known += (known.empty() ? "" : ", ") + other->name();
  throw Error(Status::kNotFound, formatted("the module has no method {}", method),
              formatted("its methods are: {}", known), method);
}

// As LibTorch calls modules: hooks go around `forward`, and around no other method.
c10::IValue call(const ObjectPtr& object, jit::Function& function, std::vector<c10::IValue> arguments) {
  if (function.name() == "forward") return jit::Module(object)(std::move(arguments));
  return jit::Method(object, &function)(std::move(arguments));
}

}  // namespace

TorchModule::TorchModule(ObjectPtr root, std::vector<UnitPtr> units, std::map<std::string, std::string> extra_files)
    : root_(std::move(root)),
      units_(std::move(units)),
      extra_files_(std::move(extra_files)),
      tree_(walk_module(root_)),
      uses_(find_weight_uses(root_, tree_)) {
  list_tensors();
}

TorchModule::TorchModule(const TorchModule& other)
    : root_(other.root_),
      units_(other.units_),
      extra_files_(other.extra_files_),
      tree_(other.tree_),
      uses_(other.uses_),
      tensors_(other.tensors_),
      remarks_(other.remarks_) {}

// Modules hold modules, and lists lists: they are taken apart recursively, too.
TorchModule::~TorchModule() {
  const auto release = [this] {
    running_ = {};
    last_run_ = nullptr;
    tree_ = {};
    uses_ = {};
    units_.clear();
    root_ = nullptr;
    tensors_.clear();
    forget_packed_weights();
  };
  try {
    on_own_stack(release);
  } catch (const Error&) {
    release();
  }
}

std::shared_ptr<const mnq::Module> TorchModule::fresh() const {
  return std::shared_ptr<const mnq::Module>(new TorchModule(*this));
}

void TorchModule::list_tensors() {
  std::size_t room = kMostExpandedBytes + storage_bytes(tree_);
  const auto add = [&](const std::string& name, const at::Tensor& tensor, LayerHint hint,
                       std::vector<std::string> ties) {
    if (!is_plain(tensor)) {
      remarks_.push_back(not_dense_remark(name));
      return;
    }
    if (!tensor.is_contiguous()) {
      if (tensor.nbytes() > room) {
        remarks_.push_back(expanded_remark(name, tensor.storage().nbytes(), tensor.nbytes()));
        return;
      }
      room -= tensor.nbytes();
    }
    const Tensor plain = from_torch(tensor);
    tensors_.push_back(
        {{name, plain.dtype, plain.shape, plain.size_bytes}, plain.data, std::move(hint), std::move(ties)});
  };
  for (std::size_t i = 0; i < tree_.tensors.size(); ++i) {
    const TreeTensor& tensor = tree_.tensors[i];
    const WeightUse& use = uses_.uses[i];
    std::vector<std::string> ties;
    for (std::size_t k = 1; k < tensor.places.size(); ++k) ties.push_back(tensor.places[k].name);
    add(tensor.places[0].name, tensor.tensor,
        {layer_name(tensor.places[0], tree_), use.kind, use.channel_axis, use.reason}, std::move(ties));
  }
  for (const ConstantWeight& constant : uses_.constants) {
    add(constant.name, constant.tensor, {constant.name, "", 0, constant.use.reason}, {});
  }
  remark_containers();
}

void TorchModule::remark_containers() {
  for (const Container& container : tree_.containers) {
    for (std::size_t i = 0; i < tree_.tensors.size(); ++i) {
      const TreeTensor& weight = tree_.tensors[i];
      const bool holds = std::ranges::any_of(
          container.tensors, [&](const at::Tensor& held) { return is_same_tensor(held, weight.tensor); });
      if (!holds || uses_.uses[i].kind.empty()) continue;
      remarks_.push_back(container_remark(weight.places[0].name, container.place.name));
    }
  }
}

std::shared_ptr<const mnq::Module> TorchModule::change(const std::vector<WeightChange>& changes,
                                                       std::map<std::string, std::string> extra_files) const {
  std::shared_ptr<const mnq::Module> result;
  guarded(Status::kTorch, "the module cannot be rewritten", [&] {
    ClonedModule clone = clone_module(root_, tree_, {&changes});
    std::vector<UnitPtr> units = units_;
    units.push_back(clone.unit);
    result = std::make_shared<TorchModule>(std::move(clone.root), std::move(units), std::move(extra_files));
  });
  return result;
}

void TorchModule::save(const std::function<void(std::span<const std::byte>)>& write) const {
  // LibTorch's writer finishes its archive in its destructor, and a write that fails there ends the process. So it is
  // told that all goes well, also after the sink has thrown, and what was thrown is thrown again behind it.
  std::exception_ptr failure;
  const auto take = [&](const void* bytes, std::size_t size) -> std::size_t {
    try {
      if (!failure) on_host_stack([&] { write({static_cast<const std::byte*>(bytes), size}); });
    } catch (...) {
      failure = std::current_exception();
    }
    return size;
  };
  try {
    guarded(Status::kTorch, "the module cannot be saved", [&] {
      const jit::ExtraFilesMap extra_files(extra_files_.begin(), extra_files_.end());
      jit::ExportModule(jit::Module(root_), take, extra_files);
    });
  } catch (...) {
    if (failure) std::rethrow_exception(failure);
    throw;
  }
  if (failure) std::rethrow_exception(failure);
}

ObjectPtr TorchModule::running_copy(bool integer_linear) const {
  if (!integer_linear && !uses_.is_stateful) return root_;
  const std::lock_guard lock(making_);
  ClonedModule& copy = running_[integer_linear ? 1 : 0];
  const ObjectPtr& other = running_[integer_linear ? 0 : 1].root;
  if (!copy.root) {
    CloneRequest request;
    request.share_tensors = !uses_.is_stateful || other;
    request.integer_linear = integer_linear;
    copy = clone_module(root_, tree_, request);
  }
  if (uses_.is_stateful && other && last_run_ == other) copy_state(*other, *copy.root);
  last_run_ = copy.root;
  return copy.root;
}

std::vector<ModuleValue> TorchModule::run(const std::string& method, const std::vector<ModuleValue>& inputs,
                                          bool integer_linear) const {
  std::vector<ModuleValue> values;
  guarded(Status::kTorch, method, [&] {
    std::unique_lock<std::mutex> lock(stateful_, std::defer_lock);
    if (uses_.is_stateful) lock.lock();
    const ObjectPtr object = running_copy(integer_linear);
    jit::Function& function = find_method(*object, method);
    // A state may keep its inputs, which are the caller's, for longer than the call.
    const bool copies_inputs = uses_.writes_inputs || uses_.is_stateful;
    const std::vector<c10::IValue> arguments = nest_inputs(inputs, function.getSchema(), copies_inputs);
    const at::NoGradGuard no_grad;
    values = flatten_result(call(object, function, arguments));
  });
  return values;
}

}  // namespace mnq::libtorch
