#include "torch/module_tree.h"

#include <unordered_set>

#include "module/listing.h"

namespace mnq::libtorch {
namespace {

class Walk {
 public:
  explicit Walk(ModuleTree& tree) : tree_(tree) {}

  // A module that hangs at two places has its tensors under two names.
  void visit(const ObjectPtr& object, const std::string& name) {
    count_place();
    const bool is_new = tree_.names.emplace(object.get(), name).second;
    const auto type = object->type();
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      const c10::IValue& value = object->getSlot(slot);
      const std::string attribute = type->getAttributeName(slot);
      const std::string path = name.empty() ? attribute : name + "." + attribute;
      if (is_module_object(value)) {
        visit(value.toObject(), path);
      } else if (value.isTensor()) {
        add_tensor(value.toTensor(), {object.get(), attribute, path});
      } else if (is_new) {
        add_container(value, {object.get(), attribute, path});
      }
    }
  }

 private:
  void count_place() {
    if (++place_count_ > kMostPlaces) fail_too_many_places();
  }

  void add_tensor(const at::Tensor& tensor, Place place) {
    if (!tensor.defined()) return;
    count_place();
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

  void add_container(const c10::IValue& value, Place place) {
    std::vector<at::Tensor> tensors = tensors_in(value);
    if (tensors.empty() || (value.isTensorList() && add_list(value, place))) return;
    tree_.containers.push_back({std::move(place), std::move(tensors)});
  }

  // Whether each of the list's tensors is held by another attribute, too.
  bool add_list(const c10::IValue& value, const Place& place) {
    TensorList list{place.attribute, {}};
    const auto type = place.object->type();
    const std::vector<at::Tensor> elements = value.toTensorVector();
    for (const at::Tensor& element : elements) {
      for (std::size_t other = 0; other < type->numAttributes(); ++other) {
        const c10::IValue& held = place.object->getSlot(other);
        if (!held.isTensor() || !is_same_tensor(held.toTensor(), element)) continue;
        list.members.push_back(type->getAttributeName(other));
        break;
      }
    }
    if (list.members.size() != elements.size()) return false;
    tree_.lists[place.object].push_back(std::move(list));
    return true;
  }

  ModuleTree& tree_;
  std::unordered_map<c10::StorageImpl*, std::vector<std::size_t>> by_data_;
  std::size_t place_count_ = 0;
};

// seen: a list may hang in another more than once, and so on.
void collect_tensors(const c10::IValue& value, std::vector<at::Tensor>& tensors,
                     std::unordered_set<const void*>& seen) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) tensors.push_back(value.toTensor());
    return;
  }
  const bool holds_values = value.isList() || value.isGenericDict() || value.isTuple() || value.isObject();
  if (!holds_values || !seen.insert(value.internalToPointer()).second) return;
  const auto collect = [&](const c10::IValue& inner) { collect_tensors(inner, tensors, seen); };
  if (value.isList()) {
    for (const c10::IValue& element : value.toListRef()) collect(element);
  } else if (value.isTuple()) {
    for (const c10::IValue& element : value.toTupleRef().elements()) collect(element);
  } else if (value.isObject()) {
    for (const c10::IValue& slot : value.toObjectRef().slots()) collect(slot);
  } else {
    for (const auto& entry : value.toGenericDict()) {
      collect(entry.key());
      collect(entry.value());
    }
  }
}

}  // namespace

ModuleTree walk_module(const ObjectPtr& root) {
  ModuleTree tree;
  Walk(tree).visit(root, "");
  return tree;
}

bool is_module_object(const c10::IValue& value) { return value.isObject() && value.toObjectRef().type()->is_module(); }

std::vector<at::Tensor> tensors_in(const c10::IValue& value) {
  std::vector<at::Tensor> tensors;
  std::unordered_set<const void*> seen;
  collect_tensors(value, tensors, seen);
  return tensors;
}

bool is_same_tensor(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_same(b)) return true;
  if (!a.has_storage() || !b.has_storage() || !a.storage().is_alias_of(b.storage())) return false;
  return a.scalar_type() == b.scalar_type() && a.storage_offset() == b.storage_offset() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

}  // namespace mnq::libtorch
