#include "containers/torchscript/torchscript_types.h"

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_fields.h"
#include "containers/torchscript/torchscript_globals.h"

namespace mnq {
namespace {

using TypeIndex = std::uint32_t;
using Definition = ScriptProgram::Definition;

struct Type {
  std::string name;
  std::vector<TypeIndex> arguments;
};

// Types, each once however often it is written.
class Types {
 public:
  TypeIndex add(const ScriptCode& code, const ScriptNode& written) {
    if (const auto known = written_.find(&written); known != written_.end()) return known->second;
    std::unordered_map<const ScriptNode*, TypeIndex> done;
    for (const ScriptNode& node : code.under(written)) {
      Type type{std::string(node.text), {}};
      std::string key = type.name;
      for (const ScriptNode& part : code.parts(node)) {
        type.arguments.push_back(done.at(&part));
        key += formatted(" {}", type.arguments.back());
      }
      const auto [place, is_new] = known_.emplace(key, static_cast<TypeIndex>(types_.size()));
      if (is_new) types_.push_back(std::move(type));
      done[&node] = place->second;
    }
    return written_[&written] = done.at(&written);
  }

  // Of a list or a dict in a pickle, as it is written there.
  TypeIndex of_tag(std::string_view text) {
    const auto [place, is_new] = tags_.emplace(text, nullptr);
    if (is_new) place->second = std::make_unique<const ScriptCode>(ScriptCode::type(std::string(text), "", ""));
    return add(*place->second, place->second->root());
  }

  const Type& at(TypeIndex index) const { return types_[index]; }

 private:
  std::vector<Type> types_;
  std::unordered_map<std::string, TypeIndex> known_;
  std::unordered_map<const ScriptNode*, TypeIndex> written_;
  std::map<std::string_view, std::unique_ptr<const ScriptCode>> tags_;
};

std::string class_name(const Pickle& pickle, const PickleValue& call) {
  const PickleValue& global = pickle.at(call.function);
  return formatted("{}.{}", global.module, global.text);
}

bool is_object(const Pickle& pickle, const PickleValue& value) {
  return value.kind == PickleKind::kCall && value.is_new_object && is_torchscript_class(pickle.at(value.function));
}

// A list of one kind is what a function makes of a list.
struct PlainList {
  std::string_view function, element;
};
constexpr PlainList kPlainLists[] = {{"build_intlist", "int"},
                                     {"build_doublelist", "float"},
                                     {"build_boollist", "bool"},
                                     {"build_tensorlist", "Tensor"}};

bool is_function(const Pickle& pickle, const PickleValue& value, std::string_view name) {
  return value.kind == PickleKind::kCall && pickle.at(value.function).text == name;
}

PickleIndex argument(const Pickle& pickle, const PickleValue& call, std::size_t index) {
  return pickle.items(pickle.at(call.arguments))[index];
}

const PlainList* find_plain_list(const Pickle& pickle, const PickleValue& value) {
  const auto* found = std::ranges::find_if(
      kPlainLists, [&](const PlainList& each) { return is_function(pickle, value, each.function); });
  return found != std::end(kPlainLists) ? found : nullptr;
}

// Of a list or dict with a type tag, itself.
PickleIndex without_tag(const Pickle& pickle, PickleIndex index) {
  const PickleValue& value = pickle.at(index);
  return is_function(pickle, value, "restore_type_tag") ? argument(pickle, value, 0) : index;
}

bool is_plain(const Pickle& pickle, std::string_view type, PickleIndex index) {
  const PickleValue& value = pickle.at(index);
  const bool is_complex = is_function(pickle, value, "complex");
  if (type == "Tensor") return is_function(pickle, value, "_rebuild_tensor_v2");
  if (type == "int") return value.kind == PickleKind::kInt;
  if (type == "float") return value.kind == PickleKind::kFloat;
  if (type == "bool") return value.kind == PickleKind::kBool;
  if (type == "str") return value.kind == PickleKind::kText;
  if (type == "NoneType") return value.kind == PickleKind::kNone;
  if (type == "complex") return is_complex;
  if (type == "Device") return is_function(pickle, value, "device");
  if (type != "number") return false;
  return value.kind == PickleKind::kInt || value.kind == PickleKind::kFloat || value.kind == PickleKind::kBool ||
         is_complex;
}

const ScriptNode* find_method(const Definition& definition, std::string_view name) {
  for (const ScriptNode& member : definition.code->parts(*definition.node)) {
    if (member.kind == ScriptKind::kFunction && member.text == name) return &member;
  }
  return nullptr;
}

const ScriptNode* first_part(const ScriptCode& code, const ScriptNode& node) {
  return code.parts(node).empty() ? nullptr : &code.parts(node).front();
}

// Which classes may stand for which interfaces.
class Interfaces {
 public:
  Interfaces(const ScriptProgram& program, Types& types) : program_(program), types_(types) {}

  // Methods of the same names, whose parameters and results are of the same types where these are classes or tuples: of
  // all others LibTorch asks for the type when they are used.
  bool implements(const std::string& name, const Definition& interface) {
    const Definition* definition = program_.find(name);
    if (definition == nullptr) return false;
    if (const auto known = implements_.find({definition, &interface}); known != implements_.end()) return known->second;
    bool result = true;
    for (const ScriptNode& method : interface.code->parts(*interface.node)) {
      if (method.kind != ScriptKind::kFunction) continue;
      const ScriptNode* other = find_method(*definition, method.text);
      result = result && other != nullptr && signature(interface, method) == signature(*definition, *other);
    }
    return implements_[{definition, &interface}] = result;
  }

 private:
  // Without the object itself.
  std::vector<TypeIndex> signature(const Definition& definition, const ScriptNode& method) {
    std::vector<TypeIndex> types;
    bool is_self = true;
    for (const ScriptNode& part : definition.code->parts(method)) {
      const bool is_parameter = part.kind == ScriptKind::kParameter;
      const ScriptNode* type = is_parameter ? first_part(*definition.code, part) : &part;
      if (type != nullptr && type->kind == ScriptKind::kType && !(is_parameter && is_self)) {
        types.push_back(types_.add(*definition.code, *type));
      }
      is_self = false;
    }
    return types;
  }

  const ScriptProgram& program_;
  Types& types_;
  std::map<std::pair<const Definition*, const Definition*>, bool> implements_;
};

// Holds values against types, one task for each pair of them.
class TypeChecker {
 public:
  TypeChecker(const Pickle& pickle, const ScriptProgram& program)
      : pickle_(pickle), program_(program), interfaces_(program, types_) {}

  void check() {
    for (const PickleValue& value : pickle_.values()) {
      if (value.kind != PickleKind::kCall) continue;
      if (is_torchscript_class(pickle_.at(value.function))) {
        check_call_of_class(value);
      } else if (is_function(pickle_, value, "restore_type_tag")) {
        where_ = "a list or dict with a type";
        expect(argument(pickle_, value, 0), types_.of_tag(pickle_.at(argument(pickle_, value, 1)).text));
        check_all();
      } else if (const auto* list = find_plain_list(pickle_, value)) {
        where_ = formatted("a {}", list->function);
        for (const PickleIndex each : pickle_.items(pickle_.at(argument(pickle_, value, 0))))
          require(is_plain(pickle_, list->element, each));
      }
    }
  }

 private:
  struct Task {
    PickleIndex value;
    TypeIndex type;
  };

  void require(bool is_right) const {
    if (!is_right) pickle_.fail(formatted("holds in {} what is of another type than its code says", where_));
  }

  void check_call_of_class(const PickleValue& call) {
    const std::string name = class_name(pickle_, call);
    const Definition* definition = program_.find(name);
    const std::string_view base = definition->base();
    const bool is_sound = call.is_new_object ? base.empty() || base == "Module" : base == "Enum";
    if (!is_sound) pickle_.fail(formatted("makes an object of {}, which has none", shown(name)));
    if (!call.is_new_object) return;
    std::unordered_map<std::string_view, PickleIndex> attributes;
    for (const auto& [key, value] : pickle_.pairs(pickle_.at(call.state))) attributes[pickle_.at(key).text] = value;
    for (const ScriptNode& field : definition->code->parts(*definition->node)) {
      if (field.kind != ScriptKind::kField) continue;
      where_ = formatted("{}.{}", shown(name), shown(field.text));
      const auto found = attributes.find(field.text);
      if (found == attributes.end()) pickle_.fail(formatted("has no value for {}", where_));
      expect(found->second, types_.add(*definition->code, definition->code->parts(field).front()));
      check_all();
    }
  }

  void expect(PickleIndex value, TypeIndex type) {
    if (seen_.insert(std::uint64_t{value} << 32 | type).second) tasks_.push_back({value, type});
  }

  void check_all() {
    while (!tasks_.empty()) {
      const Task task = tasks_.back();
      tasks_.pop_back();
      check_task(task.value, types_.at(task.type));
    }
  }

  void check_task(PickleIndex index, const Type& type) {
    index = without_tag(pickle_, index);
    const PickleValue& value = pickle_.at(index);
    if (type.name == "Any") return;
    if (type.name == "Optional" && type.arguments.size() == 1) {
      if (value.kind != PickleKind::kNone) expect(index, type.arguments[0]);
    } else if (type.name == "Union") {
      check_union(index, type);
    } else if (type.name == "List" && type.arguments.size() == 1) {
      check_list(value, type.arguments[0]);
    } else if (type.name == "Dict" && type.arguments.size() == 2) {
      require(value.kind == PickleKind::kDict);
      const auto items = pickle_.items(value);
      for (std::size_t i = 0; i < items.size(); ++i) expect(items[i], type.arguments[i % 2]);
    } else if (type.name == "Tuple") {
      check_tuple(value, type.arguments);
    } else if (type.name.starts_with("__torch__.")) {
      check_defined(value, type.name);
    } else {
      require(is_plain(pickle_, type.name, index));
    }
  }

  // The first that it can be by its kind alone.
  void check_union(PickleIndex index, const Type& type) {
    for (const TypeIndex each : type.arguments) {
      if (may_be(index, types_.at(each))) return expect(index, each);
    }
    require(false);
  }

  bool may_be(PickleIndex index, const Type& type) const {
    const PickleValue& value = pickle_.at(index);
    if (type.name == "Any" || type.name == "Optional" || type.name == "Union") return true;
    if (type.name == "List") return value.kind == PickleKind::kList || find_plain_list(pickle_, value) != nullptr;
    if (type.name == "Dict") return value.kind == PickleKind::kDict;
    if (type.name == "Tuple") return value.kind == PickleKind::kTuple;
    if (!type.name.starts_with("__torch__.")) return is_plain(pickle_, type.name, index);
    const bool is_tuple = program_.find(type.name) != nullptr && program_.find(type.name)->base() == "NamedTuple";
    if (is_tuple) return value.kind == PickleKind::kTuple;
    const bool is_of_class = value.kind == PickleKind::kCall && is_torchscript_class(pickle_.at(value.function));
    return is_of_class && class_name(pickle_, value) == type.name;
  }

  void check_list(const PickleValue& value, TypeIndex element) {
    if (const PlainList* list = find_plain_list(pickle_, value))
      return require(list->element == types_.at(element).name);
    require(value.kind == PickleKind::kList);
    for (const PickleIndex each : pickle_.items(value)) expect(each, element);
  }

  void check_tuple(const PickleValue& value, const std::vector<TypeIndex>& types) {
    const auto items = pickle_.items(value);
    const bool is_empty = types.size() == 1 && types_.at(types[0]).name.empty();  // Tuple[()]
    require(value.kind == PickleKind::kTuple && items.size() == (is_empty ? 0 : types.size()));
    for (std::size_t i = 0; i < items.size(); ++i) expect(items[i], types[i]);
  }

  void check_defined(const PickleValue& value, const std::string& name) {
    const Definition* definition = program_.find(name);
    require(definition != nullptr && definition->is_class());
    const std::string_view base = definition->base();
    if (base == "NamedTuple") {
      std::vector<TypeIndex> types;
      for (const ScriptNode& field : definition->code->parts(*definition->node)) {
        if (field.kind != ScriptKind::kField) continue;
        types.push_back(types_.add(*definition->code, definition->code->parts(field).front()));
      }
      return check_tuple(value, types);
    }
    require(value.kind == PickleKind::kCall && is_torchscript_class(pickle_.at(value.function)));
    const std::string held = class_name(pickle_, value);
    if (base == "Interface" || base == "ModuleInterface") return require(interfaces_.implements(held, *definition));
    require(held == name && value.is_new_object == (base != "Enum"));
  }

  const Pickle& pickle_;
  const ScriptProgram& program_;
  Types types_;
  Interfaces interfaces_;
  std::vector<Task> tasks_;
  std::unordered_set<std::uint64_t> seen_;
  std::string where_;  // what is checked, for messages
};

}  // namespace

void check_torchscript_types(const Pickle& pickle, const ScriptProgram& program) {
  TypeChecker(pickle, program).check();
}

bool is_module_object(const Pickle& pickle, const PickleValue& value, const ScriptProgram& program) {
  if (!is_object(pickle, value)) return false;
  const Definition* definition = program.find(class_name(pickle, value));
  return definition != nullptr && definition->base() == "Module";
}

std::uint64_t PickleSizes::of(PickleIndex root) {
  std::vector<std::pair<PickleIndex, bool>> open{{root, false}};
  while (!open.empty()) {
    const auto [index, is_done] = open.back();
    open.pop_back();
    if (!is_done && sizes_[index] != 0) continue;
    const PickleValue& value = pickle_.at(index);
    if (is_done) {
      std::uint64_t size = 1;
      pickle_.for_each_part(value, [&](PickleIndex part) { size += sizes_[part]; });
      sizes_[index] = std::min(size, std::uint64_t{1} << 40);
      continue;
    }
    sizes_[index] = 1;
    if (is_object(pickle_, value)) continue;  // which may be shared as modules are
    open.emplace_back(index, true);
    pickle_.for_each_part(value, [&](PickleIndex part) { open.emplace_back(part, false); });
  }
  return sizes_[root];
}

}  // namespace mnq
