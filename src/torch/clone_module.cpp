#include "torch/clone_module.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/text/format.h"
#include "torch/graph/stock_functions.h"
#include "torch/graph/use_integers.h"
#include "torch/tensors.h"

namespace mnq::libtorch {
namespace {

using c10::ClassType;
using c10::ClassTypePtr;
using c10::IValue;

struct NewAttribute {
  std::string name;
  at::Tensor tensor;
  bool is_parameter = false;
};

// What changes in one object.
struct ObjectEdits {
  TypeEdits type;
  std::map<std::string, std::vector<NewAttribute>> replaced;  // the attribute that goes, and what takes its place
  std::vector<std::string> removed;
};

// Packed codes travel as words of 32 bits, and lie in a module as bytes: the same ones.
at::Tensor part_tensor(const Tensor& tensor) {
  if (tensor.dtype != DType::kI32) return to_torch(tensor);
  Tensor bytes = tensor;
  bytes.dtype = DType::kU8;
  bytes.shape.back() *= 4;
  return to_torch(bytes);
}

std::string key_of(const ScriptCall& call) {
  std::string key(call.function);
  for (const auto& constant : call.constants) {
    const auto* number = std::get_if<std::int64_t>(&constant);
    key += number == nullptr ? shape_text(std::get<Shape>(constant)) : formatted(" {}", *number);
  }
  return key;
}

// Everything of a type that decides what its clone looks like.
std::string type_key(const ClassType& type, const TypeEdits& edits, const std::vector<ClassTypePtr>& children) {
  std::string key = formatted("{}", static_cast<const void*>(&type));
  for (const auto& [attribute, edit] : edits.reads) {
    const WeightChange& change = *edit.change;
    const QuantizedSpec& spec = change.spec;
    key += formatted("|{} {} {} {} {} {} {}", attribute, change.quantized, static_cast<int>(spec.granularity),
                     change.parts.size(), spec.group_size, spec.channel_axis, dtype_name(spec.weight_dtype));
    key +=
        formatted(" {} {} {}", key_of(change.decoder.weight), key_of(change.decoder.embedding), change.decoder.linear);
  }
  for (const ClassTypePtr& child : children) key += formatted("|{}", static_cast<const void*>(child.get()));
  return key;
}

// What changes in which object, by the changes of its weights, which must outlive it; null: nothing does.
class EditsOfObjects {
 public:
  EditsOfObjects(const ModuleTree& tree, const std::vector<WeightChange>* changes) {
    if (changes == nullptr) return;
    for (std::size_t i = 0; i < tree.tensors.size(); ++i) {
      for (const Place& place : tree.tensors[i].places) by_name_.emplace(place.name, &tree.tensors[i]);
    }
    for (const WeightChange& change : *changes) change.quantized ? add_quantized(change) : add_dequantized(change);
    for (auto& [object, edits] : edits_) keep_edited_lists(tree, object, edits);
  }

  const ObjectEdits& of(c10::ivalue::Object* object) const {
    static const ObjectEdits kNone;
    const auto found = edits_.find(object);
    return found == edits_.end() ? kNone : found->second;
  }

 private:
  const TreeTensor& find_tensor(const std::string& name) const {
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) return *found->second;
    throw Error(Status::kNotFound, formatted("the module has no tensor {}", name), "", name);
  }

  void add_dequantized(const WeightChange& change) {
    const std::string& codes_suffix = change.old_suffixes.at(0);
    const at::Tensor values = to_torch(change.parts.at(0).tensor);
    for (const Place& place : find_tensor(change.name + codes_suffix).places) {
      ObjectEdits& edits = edits_[place.object];
      const std::string base = place.attribute.substr(0, place.attribute.size() - codes_suffix.size());
      edits.type.reads[place.attribute] = {base, &change};
      edits.replaced[place.attribute] = {{base, values, true}};
      for (std::size_t i = 1; i < change.old_suffixes.size(); ++i) {
        edits.removed.push_back(part_attribute(base, change.old_suffixes[i]));
      }
    }
  }

  void add_quantized(const WeightChange& change) {
    std::vector<at::Tensor> tensors;
    for (const WeightChange::Part& part : change.parts) tensors.push_back(part_tensor(part.tensor));
    for (const Place& place : find_tensor(change.name).places) {
      ObjectEdits& edits = edits_[place.object];
      edits.type.reads[place.attribute] = {place.attribute, &change};
      std::vector<NewAttribute>& attributes = edits.replaced[place.attribute];
      attributes.clear();
      for (std::size_t i = 0; i < tensors.size(); ++i) {
        attributes.push_back({part_attribute(place.attribute, change.parts[i].suffix), tensors[i], false});
      }
    }
  }

  static void keep_edited_lists(const ModuleTree& tree, c10::ivalue::Object* object, ObjectEdits& edits) {
    const auto lists = tree.lists.find(object);
    if (lists == tree.lists.end()) return;
    for (const TensorList& list : lists->second) {
      const bool changes = std::ranges::any_of(
          list.members, [&](const std::string& member) { return edits.type.reads.contains(member); });
      if (!changes) continue;
      edits.type.lists.push_back(list);
      edits.removed.push_back(list.attribute);
    }
  }

  std::unordered_map<std::string, const TreeTensor*> by_name_;
  std::unordered_map<c10::ivalue::Object*, ObjectEdits> edits_;
};

// Copies of tensors, each made once.
class TensorCopies {
 public:
  explicit TensorCopies(bool share_tensors) : share_tensors_(share_tensors) {}

  // A tensor over the copy of its storage, so that views of one storage stay views of one.
  at::Tensor of(const at::Tensor& tensor) {
    if (share_tensors_ || !tensor.defined()) return tensor;
    if (const auto done = tensors_.find(tensor.unsafeGetTensorImpl()); done != tensors_.end()) return done->second;
    at::Tensor clone;
    if (tensor.layout() == at::kStrided && tensor.has_storage() && !tensor.is_quantized()) {
      auto storage = storages_.find(tensor.storage().unsafeGetStorageImpl());
      if (storage == storages_.end()) {
        const auto bytes = at::from_blob(tensor.storage().mutable_data(),
                                         {static_cast<std::int64_t>(tensor.storage().nbytes())}, at::kByte);
        storage = storages_.emplace(tensor.storage().unsafeGetStorageImpl(), bytes.clone().storage()).first;
      }
      clone = at::empty({0}, tensor.options())
                  .set_(storage->second, tensor.storage_offset(), tensor.sizes(), tensor.strides());
    } else {
      clone = tensor.detach().clone();
    }
    clone.set_requires_grad(tensor.requires_grad());
    return tensors_.emplace(tensor.unsafeGetTensorImpl(), clone).first->second;
  }

 private:
  const bool share_tensors_;
  std::unordered_map<const at::TensorImpl*, at::Tensor> tensors_;
  std::unordered_map<const c10::StorageImpl*, c10::Storage> storages_;
};

bool is_removed(const ObjectEdits& edits, const std::string& attribute) {
  return std::ranges::find(edits.removed, attribute) != edits.removed.end();
}

// Copies objects, their types with what is edited, and then the code of those.
class Cloner {
 public:
  Cloner(const ModuleTree& tree, const CloneRequest& request)
      : request_(request),
        unit_(std::make_shared<jit::CompilationUnit>()),
        edits_(tree, request.changes),
        tensors_(request.share_tensors) {}

  ClonedModule run(const ObjectPtr& root) {
    ClonedModule result{clone_object(root), unit_};
    const RewriteContext context{*unit_, [this](const ClassType& type) -> const TypeEdits* {
                                   const auto found = edits_of_type_.find(&type);
                                   return found == edits_of_type_.end() ? nullptr : &found->second;
                                 }};
    for (const auto& [from, to] : types_) clone_code(*from, to, context);
    if (!request_.integer_linear) return result;
    for (const std::shared_ptr<jit::Graph>& graph : graphs_) use_integers(*graph);
    return result;
  }

 private:
  ObjectPtr clone_object(const ObjectPtr& object) {
    if (const auto done = objects_.find(object.get()); done != objects_.end()) return done->second;
    const auto type = object->type();
    std::vector<ClassTypePtr> children;
    for (const IValue& value : object->slots()) {
      if (is_module_object(value)) children.push_back(clone_object(value.toObject())->type());
    }
    const ObjectEdits& edit = edits_.of(object.get());
    const ClassTypePtr cloned_type = clone_type(type, *object, edit, children);
    const ObjectPtr clone =
        c10::ivalue::Object::create(c10::StrongTypePtr(unit_, cloned_type), cloned_type->numAttributes());
    objects_.emplace(object.get(), clone);
    fill_slots(*object, *clone, edit);
    return clone;
  }

  // The attributes of the clone: what stays, what is new, in the old order.
  ClassTypePtr clone_type(const ClassTypePtr& type, const c10::ivalue::Object& object, const ObjectEdits& edits,
                          const std::vector<ClassTypePtr>& children) {
    const std::string key = type_key(*type, edits.type, children);
    if (const auto done = types_by_key_.find(key); done != types_by_key_.end()) return done->second;
    const auto clone = ClassType::create(unit_->mangle(*type->name()), unit_, true, type->doc_string());
    std::size_t child = 0;
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      const std::string name = type->getAttributeName(slot);
      const ClassTypePtr child_type = is_module_object(object.getSlot(slot)) ? children[child++] : nullptr;
      if (is_removed(edits, name)) continue;
      if (const auto replaced = edits.replaced.find(name); replaced != edits.replaced.end()) {
        for (const NewAttribute& attribute : replaced->second) {
          clone->addAttribute(attribute.name, c10::TensorType::get(), attribute.is_parameter, !attribute.is_parameter);
        }
        continue;
      }
      const bool is_class = type->getAttribute(slot)->kind() == c10::TypeKind::ClassType;
      clone->addAttribute(name, child_type != nullptr && is_class ? child_type : type->getAttribute(slot),
                          type->is_parameter(slot), type->is_buffer(slot));
    }
    for (std::size_t i = 0; i < type->numConstants(); ++i)
      clone->addConstant(type->getConstantName(i), type->getConstant(i));
    unit_->register_type(clone);
    edits_of_type_.emplace(clone.get(), edits.type);
    types_by_key_.emplace(key, clone);
    types_.emplace_back(type, clone);
    remapped_.emplace(type.get(), clone);
    return clone;
  }

  void fill_slots(const c10::ivalue::Object& object, c10::ivalue::Object& clone, const ObjectEdits& edits) {
    const auto type = object.type();
    std::size_t to = 0;
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      const std::string name = type->getAttributeName(slot);
      if (is_removed(edits, name)) continue;
      const auto replaced = edits.replaced.find(name);
      if (replaced == edits.replaced.end()) {
        clone.setSlot(to++, clone_value(object.getSlot(slot)));
        continue;
      }
      for (const NewAttribute& attribute : replaced->second) clone.setSlot(to++, attribute.tensor);
    }
  }

  IValue clone_value(const IValue& value) {
    if (value.isTensor()) return tensors_.of(value.toTensor());
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(tensors_.of(tensor));
      return list;
    }
    if (is_module_object(value)) return clone_object(value.toObject());
    if (!value.isList() && !value.isGenericDict() && !value.isTuple())
      return value.isObject() ? value.deepcopy() : value;
    if (const auto done = values_.find(value.internalToPointer()); done != values_.end()) return done->second;
    return values_.emplace(value.internalToPointer(), clone_container(value)).first->second;
  }

  IValue clone_container(const IValue& value) {
    if (value.isList()) {
      const auto list = value.toList();
      c10::impl::GenericList result(list.elementType());
      for (const IValue& element : list) result.push_back(clone_value(element));
      return result;
    }
    if (value.isGenericDict()) {
      const auto dict = value.toGenericDict();
      c10::impl::GenericDict result(dict.keyType(), dict.valueType());
      for (const auto& entry : dict) result.insert(entry.key(), clone_value(entry.value()));
      return result;
    }
    std::vector<IValue> elements;
    for (const IValue& element : value.toTupleRef().elements()) elements.push_back(clone_value(element));
    return c10::ivalue::Tuple::createNamed(std::move(elements), value.toTupleRef().type<c10::TupleType>());
  }

  void clone_code(const ClassType& from, const ClassTypePtr& to, const RewriteContext& context) {
    std::map<const jit::Function*, jit::Function*> copies;
    const auto copy = [&](jit::Function* function) {
      if (const auto done = copies.find(function); done != copies.end()) return done->second;
      return copies.emplace(function, clone_function(*function, to, context)).first->second;
    };
    for (jit::Function* method : from.methods()) to->addMethod(copy(method));
    for (jit::Function* hook : from.getForwardPreHooks()) to->addForwardPreHook(copy(hook));
    for (jit::Function* hook : from.getForwardHooks()) to->addForwardHook(copy(hook));
    for (const auto& property : from.properties()) {
      to->addProperty(property.name, copy(property.getter),
                      property.setter == nullptr ? nullptr : copy(property.setter));
    }
  }

  jit::Function* clone_function(jit::Function& function, const ClassTypePtr& to, const RewriteContext& context) {
    const auto remap = [this](const c10::TypePtr& type) -> c10::TypePtr {
      const auto found = remapped_.find(type.get());
      return found == remapped_.end() ? type : found->second;
    };
    const auto graph = jit::toGraphFunction(function).graph()->copy();
    graph->remapTypes(remap);
    rewrite_graph(*graph, to, context);
    graphs_.push_back(graph);
    jit::Function* copy = unit_->create_function(c10::QualifiedName(*to->name(), function.name()), graph);
    std::vector<c10::Argument> arguments = function.getSchema().cloneWithRemappedTypes(remap).arguments();
    if (!arguments.empty()) arguments[0] = arguments[0].cloneWithType(to);
    copy->setSchema(function.getSchema().cloneWithRemappedTypes(remap).cloneWithArguments(std::move(arguments)));
    return copy;
  }

  const CloneRequest& request_;
  UnitPtr unit_;
  EditsOfObjects edits_;
  TensorCopies tensors_;
  std::unordered_map<const c10::ivalue::Object*, ObjectPtr> objects_;
  std::unordered_map<const void*, IValue> values_;  // lists, dicts and tuples
  std::unordered_map<std::string, ClassTypePtr> types_by_key_;
  std::vector<std::pair<ClassTypePtr, ClassTypePtr>> types_;     // each original with a clone of it
  std::unordered_map<const c10::Type*, ClassTypePtr> remapped_;  // an original's first clone
  std::unordered_map<const ClassType*, TypeEdits> edits_of_type_;
  std::vector<std::shared_ptr<jit::Graph>> graphs_;  // of the clone's functions
};

}  // namespace

ClonedModule clone_module(const ObjectPtr& root, const ModuleTree& tree, const CloneRequest& request) {
  return Cloner(tree, request).run(root);
}

}  // namespace mnq::libtorch
