#include "torch/module_tree.h"

#include <algorithm>

namespace mnq::libtorch {
namespace {

class Walk {
 public:
  explicit Walk(ModuleTree& tree) : tree_(tree) {}

  void visit(const ObjectPtr& object, const std::string& name) {
    if (!visited_.emplace(object.get(), name).second) return visit_again(object, name);
    tree_.names.emplace(object.get(), name);
    const auto type = object->type();
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      const c10::IValue& value = object->getSlot(slot);
      const std::string attribute = type->getAttributeName(slot);
      const std::string path = name.empty() ? attribute : name + "." + attribute;
      if (is_module_object(value)) {
        visit(value.toObject(), path);
      } else if (value.isTensor()) {
        add_tensor(value.toTensor(), {object.get(), attribute, path});
      }
    }
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      if (object->getSlot(slot).isTensorList()) add_list(*object, *type, slot);
    }
  }

 private:
  // A module that hangs at two places has its tensors under two names.
  void visit_again(const ObjectPtr& object, const std::string& name) {
    const auto type = object->type();
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      const c10::IValue& value = object->getSlot(slot);
      const std::string attribute = type->getAttributeName(slot);
      const std::string path = name.empty() ? attribute : name + "." + attribute;
      if (is_module_object(value)) {
        visit_again(value.toObject(), path);
      } else if (value.isTensor()) {
        add_tensor(value.toTensor(), {object.get(), attribute, path});
      }
    }
  }

  void add_tensor(const at::Tensor& tensor, Place place) {
    if (!tensor.defined()) return;
    auto& candidates = by_data_[tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr];
    for (const std::size_t index : candidates) {
      if (is_same_tensor(tree_.tensors[index].tensor, tensor)) {
        tree_.tensors[index].places.push_back(std::move(place));
        return;
      }
    }
    candidates.push_back(tree_.tensors.size());
    tree_.tensors.push_back({tensor, {std::move(place)}});
  }

  void add_list(const c10::ivalue::Object& object, const c10::ClassType& type, std::size_t slot) {
    TensorList list{type.getAttributeName(slot), {}};
    for (const at::Tensor& element : object.getSlot(slot).toTensorVector()) {
      for (std::size_t other = 0; other < type.numAttributes(); ++other) {
        const c10::IValue& value = object.getSlot(other);
        if (!value.isTensor() || !is_same_tensor(value.toTensor(), element)) continue;
        list.members.push_back(type.getAttributeName(other));
        break;
      }
    }
    if (list.members.size() == object.getSlot(slot).toTensorVector().size()) {
      tree_.lists[const_cast<c10::ivalue::Object*>(&object)].push_back(std::move(list));
    }
  }

  ModuleTree& tree_;
  std::unordered_map<c10::ivalue::Object*, std::string> visited_;
  std::unordered_map<c10::StorageImpl*, std::vector<std::size_t>> by_data_;
};

}  // namespace

ModuleTree walk_module(const ObjectPtr& root) {
  ModuleTree tree;
  Walk(tree).visit(root, "");
  return tree;
}

std::string plain_type_name(const c10::ClassType& type) {
  std::string name = type.name()->qualifiedName();
  constexpr std::string_view kRoot = "__torch__.";
  constexpr std::string_view kMangle = "___torch_mangle_";
  if (name.starts_with(kRoot)) name.erase(0, kRoot.size());
  for (std::size_t at = name.find(kMangle); at != std::string::npos; at = name.find(kMangle, at)) {
    const std::size_t dot = name.find('.', at);
    name.erase(at, dot == std::string::npos ? dot : dot - at + 1);
  }
  return name;
}

bool is_module_object(const c10::IValue& value) { return value.isObject() && value.toObjectRef().type()->is_module(); }

bool is_same_tensor(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_same(b)) return true;
  if (!a.has_storage() || !b.has_storage() || !a.storage().is_alias_of(b.storage())) return false;
  return a.scalar_type() == b.scalar_type() && a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

}  // namespace mnq::libtorch
