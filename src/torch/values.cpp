#include "torch/values.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text/format.h"
#include "torch/tensors.h"

namespace mnq::libtorch {
namespace {

using c10::IValue;
using c10::TypeKind;
using c10::TypePtr;

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

// "(x: Tensor, rate: int = 16000)", self left out.
std::string signature(const c10::FunctionSchema& schema) {
  std::string text = schema.name() + "(";
  for (std::size_t i = 1; i < schema.arguments().size(); ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    text += formatted("{}{}: {}", i == 1 ? "" : ", ", argument.name(), argument.type()->annotation_str());
    if (argument.default_value()) text += " = ...";
  }
  return text + ")";
}

bool is_nested(const c10::Type& type) {
  if (type.kind() == TypeKind::OptionalType) return is_nested(*type.expectRef<c10::OptionalType>().getElementType());
  return type.kind() == TypeKind::TupleType || type.kind() == TypeKind::ListType || type.kind() == TypeKind::DictType;
}

// The member of a union that has parts; null where there is none.
TypePtr nested_member(const c10::UnionType& type) {
  for (const TypePtr& member : type.containedTypes()) {
    if (is_nested(*member)) return member;
  }
  return nullptr;
}

std::string part_name(const c10::TupleType& type, std::size_t index) {
  return type.schema() != nullptr ? type.schema()->arguments()[index].name() : std::to_string(index);
}

std::vector<std::string> part_names(const c10::TupleType& type, const std::string& path) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < type.elements().size(); ++i) names.push_back(joined(path, part_name(type, i)));
  return names;
}

std::string joined_texts(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

// The values that were given, and which of them have found their place.
class GivenValues {
 public:
  explicit GivenValues(const std::vector<ModuleValue>& values) : values_(values), used_(values.size(), false) {}

  const ModuleValue& at(std::size_t index) const { return values_[index]; }
  std::size_t size() const { return values_.size(); }
  bool is_used(std::size_t index) const { return used_[index]; }
  void use(std::size_t index) { used_[index] = true; }

  // The value for a path: the one of that name, or the next one without a name. Empty where there is none.
  std::optional<std::size_t> find(const std::string& path) {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (!used_[i] && values_[i].name == path) return i;
    }
    if (has_named(path)) return std::nullopt;
    while (next_ < values_.size() && !values_[next_].name.empty()) ++next_;
    return next_ < values_.size() ? std::optional(next_++) : std::nullopt;
  }

  // The first value, not used yet, that is named as a part of the path.
  std::optional<std::size_t> find_part(const std::string& path) const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (!used_[i] && values_[i].name.starts_with(path + ".")) return i;
    }
    return std::nullopt;
  }

  bool has_named(const std::string& path) const { return find_part(path).has_value(); }

  // The same of all values, used or not, with the one for the path itself.
  bool has_any_at(const std::string& path) const {
    return std::ranges::any_of(
        values_, [&](const ModuleValue& value) { return value.name == path || value.name.starts_with(path + "."); });
  }

  // Whether the value for a path is None: for what is optional, and for an empty list or dict.
  bool take_none(const std::string& path) {
    const std::size_t next = next_;
    const auto index = find(path);
    const bool is_none = index && std::holds_alternative<std::monostate>(values_[*index].value);
    if (is_none) {
      used_[*index] = true;
    } else {
      next_ = next;
    }
    return is_none;
  }

 private:
  const std::vector<ModuleValue>& values_;
  std::vector<bool> used_;
  std::size_t next_ = 0;
};

// Gives each argument of a method its value, put together from parts where it is nested.
class Inputs {
 public:
  Inputs(const std::vector<ModuleValue>& values, const c10::FunctionSchema& schema, bool copy_tensors)
      : values_(values), schema_(schema), copy_tensors_(copy_tensors) {}

  std::vector<IValue> run() {
    check_names();
    std::vector<IValue> arguments;
    for (std::size_t i = 1; i < schema_.arguments().size(); ++i) {
      const c10::Argument& argument = schema_.arguments()[i];
      std::optional<IValue> value = take(argument.type(), argument.name());
      if (!value && argument.default_value()) value = *argument.default_value();
      if (!value && argument.type()->kind() == TypeKind::OptionalType) value = IValue();
      if (!value) {
        fail(formatted("{}: the input '{}' ({}) is missing", schema_.name(), argument.name(),
                       argument.type()->annotation_str()),
             argument.name());
      }
      arguments.push_back(std::move(*value));
    }
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (values_.is_used(i)) continue;
      const std::string& name = values_.at(i).name;
      const std::string what = name.empty() ? formatted("input {}", i) : name;
      fail(formatted("{}: there is no place for '{}'", schema_.name(), what), what);
    }
    return arguments;
  }

 private:
  [[noreturn]] void fail(const std::string& message, const std::string& subject) const {
    throw Error(Status::kInvalidArg, message, formatted("the method takes {}", signature(schema_)), subject);
  }

  void check_names() const {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const ModuleValue& value = values_.at(i);
      if (value.name.empty()) continue;
      const std::string argument = value.name.substr(0, value.name.find('.'));
      if (schema_.argumentIndexWithName(argument).value_or(0) == 0) {
        fail(formatted("{}: there is no argument '{}'", schema_.name(), argument), value.name);
      }
      if (!seen.insert(value.name).second) {
        fail(formatted("{}: the input '{}' is given twice", schema_.name(), value.name), value.name);
      }
    }
  }

  // A value by the very name of what takes its parts one by one.
  void require_parts(const c10::Type& type, const std::string& path, const std::string& parts) const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (values_.is_used(i) || values_.at(i).name != path) continue;
      fail(formatted("{}: '{}' is a {}: name its parts {}", schema_.name(), path, type.annotation_str(), parts), path);
    }
  }

  std::optional<IValue> take(const TypePtr& type, const std::string& path) {
    switch (type->kind()) {
      case TypeKind::OptionalType:
        return take_optional(type->expectRef<c10::OptionalType>().getElementType(), path);
      case TypeKind::TupleType:
        return take_tuple(type->cast<c10::TupleType>(), path);
      case TypeKind::ListType:
        return take_list(type->expectRef<c10::ListType>(), path);
      case TypeKind::DictType:
        return take_dict(type->expectRef<c10::DictType>(), path);
      case TypeKind::UnionType:
        if (const TypePtr nested = nested_member(type->expectRef<c10::UnionType>());
            nested && values_.has_named(path)) {
          return take(nested, path);
        }
        break;
      default:
        break;
    }
    const auto index = values_.find(path);
    if (!index) return std::nullopt;
    values_.use(*index);
    return convert(values_.at(*index), type, path);
  }

  std::optional<IValue> take_optional(const TypePtr& inner, const std::string& path) {
    return values_.take_none(path) ? std::optional(IValue()) : take(inner, path);
  }

  std::optional<IValue> take_tuple(const c10::TupleTypePtr& type, const std::string& path) {
    const std::vector<std::string> names = part_names(*type, path);
    require_parts(*type, path, joined_texts(names));
    const bool named = values_.has_named(path);
    std::vector<IValue> elements;
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::optional<IValue> element = take(type->elements()[i], names[i]);
      if (!element && i == 0 && !named) return std::nullopt;
      if (!element) fail(formatted("{}: '{}' is missing", schema_.name(), names[i]), names[i]);
      elements.push_back(std::move(*element));
    }
    return IValue(c10::ivalue::Tuple::createNamed(std::move(elements), type));
  }

  std::optional<IValue> take_list(const c10::ListType& type, const std::string& path) {
    c10::impl::GenericList list(type.getElementType());
    if (values_.take_none(path)) return IValue(std::move(list));
    require_parts(type, path, formatted("{}.0, {}.1", path, path));
    const bool named = values_.has_named(path);
    for (std::size_t i = 0;; ++i) {
      const std::string name = joined(path, std::to_string(i));
      if (named && !values_.has_any_at(name)) break;
      std::optional<IValue> element = take(type.getElementType(), name);
      if (!element) break;
      list.push_back(std::move(*element));
    }
    if (const auto later = values_.find_part(path)) {
      const std::string name = joined(path, std::to_string(list.size()));
      fail(formatted("{}: '{}' has no place: '{}' is missing", schema_.name(), values_.at(*later).name, name), name);
    }
    if (list.empty()) return std::nullopt;
    return IValue(std::move(list));
  }

  std::optional<IValue> take_dict(const c10::DictType& type, const std::string& path) {
    c10::impl::GenericDict dict(type.getKeyType(), type.getValueType());
    if (values_.take_none(path)) return IValue(std::move(dict));
    require_parts(type, path, formatted("{}.KEY", path));
    if (!values_.has_named(path)) return std::nullopt;
    if (type.getKeyType()->kind() != TypeKind::StringType) {
      fail(formatted("{}: '{}' is a dict whose keys are no strings", schema_.name(), path), path);
    }
    while (const auto part = values_.find_part(path)) {
      const std::string rest = values_.at(*part).name.substr(path.size() + 1);
      // What is nested has parts of its own behind the key; any other key may hold dots.
      const std::string key = is_nested(*type.getValueType()) ? rest.substr(0, rest.find('.')) : rest;
      std::optional<IValue> element = take(type.getValueType(), joined(path, key));
      if (!element || !values_.is_used(*part)) {
        fail(formatted("{}: there is no place for '{}'", schema_.name(), values_.at(*part).name),
             values_.at(*part).name);
      }
      dict.insert(key, std::move(*element));
    }
    return IValue(std::move(dict));
  }

  IValue convert(const ModuleValue& value, const TypePtr& type, const std::string& path) const {
    IValue converted;
    if (const auto* tensor = std::get_if<Tensor>(&value.value)) {
      converted = copy_tensors_ ? to_torch(*tensor).clone() : to_torch(*tensor);
    } else if (const auto* integer = std::get_if<std::int64_t>(&value.value)) {
      converted = type->kind() == TypeKind::FloatType ? IValue(static_cast<double>(*integer)) : IValue(*integer);
    } else if (const auto* number = std::get_if<double>(&value.value)) {
      converted = *number;
    } else if (const auto* flag = std::get_if<bool>(&value.value)) {
      converted = *flag;
    } else if (const auto* text = std::get_if<std::string>(&value.value)) {
      converted = *text;
    }
    if (converted.type()->isSubtypeOf(*type) || type->kind() == TypeKind::AnyType) return converted;
    fail(formatted("{}: the input '{}' is {}, not {}", schema_.name(), path, converted.type()->annotation_str(),
                   type->annotation_str()),
         path);
  }

  GivenValues values_;
  const c10::FunctionSchema& schema_;
  bool copy_tensors_;
};

Tensor result_tensor(at::Tensor tensor, const std::string& name) {
  if (!is_plain(tensor)) {
    throw Error(Status::kUnsupported, formatted("the output {} is no dense tensor of a dtype that is known here", name),
                "", name);
  }
  // Who holds the tensor or its storage besides this result may write to it, or end its memory.
  if (tensor.use_count() > 1 || tensor.storage().use_count() > 1) tensor = tensor.clone();
  return from_torch(tensor);
}

// What is held elsewhere too, as an attribute, a constant, or at another place of the result, is only read: its parts
// are copied out. What is held here alone gives its parts away, so that their memory is not shared either.
bool is_ours(const IValue& value) { return value.use_count() == 1; }

void flatten(IValue value, const std::string& name, std::vector<ModuleValue>& into);

void flatten_tuple(IValue value, const std::string& name, std::vector<ModuleValue>& into) {
  const bool ours = is_ours(value);
  const auto tuple = std::move(value).toTuple();
  const auto type = tuple->type<c10::TupleType>();
  for (std::size_t i = 0; i < tuple->size(); ++i) {
    IValue element = tuple->elements()[i];
    if (ours) tuple->unsafeSetElement(i, IValue());
    flatten(std::move(element), joined(name, part_name(*type, i)), into);
  }
}

void flatten_list(IValue value, const std::string& name, std::vector<ModuleValue>& into) {
  const bool ours = is_ours(value);
  const auto list = std::move(value).toList();
  for (std::size_t i = 0; i < list.size(); ++i) {
    flatten(ours ? list.extract(i) : list.get(i), joined(name, std::to_string(i)), into);
  }
}

std::string key_text(const IValue& key, const std::string& name) {
  if (key.isString()) return key.toStringRef();
  if (key.isInt()) return std::to_string(key.toInt());
  throw Error(Status::kUnsupported, formatted("the output {} has keys of a kind not known here", name), "", name);
}

void flatten_dict(IValue value, const std::string& name, std::vector<ModuleValue>& into) {
  const bool ours = is_ours(value);
  const auto dict = std::move(value).toGenericDict();
  for (const auto& entry : dict) {
    IValue element = entry.value();
    if (ours) entry.setValue(IValue());
    flatten(std::move(element), joined(name, key_text(entry.key(), name)), into);
  }
}

void flatten(IValue value, const std::string& name, std::vector<ModuleValue>& into) {
  if (value.isTensor()) {
    into.push_back({name, result_tensor(std::move(value).toTensor(), name)});
  } else if (value.isNone()) {
    into.push_back({name, std::monostate()});
  } else if (value.isInt()) {
    into.push_back({name, value.toInt()});
  } else if (value.isDouble()) {
    into.push_back({name, value.toDouble()});
  } else if (value.isBool()) {
    into.push_back({name, value.toBool()});
  } else if (value.isString()) {
    into.push_back({name, value.toStringRef()});
  } else if (value.isTuple()) {
    flatten_tuple(std::move(value), name, into);
  } else if (value.isList()) {
    flatten_list(std::move(value), name, into);
  } else if (value.isGenericDict()) {
    flatten_dict(std::move(value), name, into);
  } else {
    throw Error(Status::kUnsupported,
                formatted("the output {} is a {}, which has no form here", name.empty() ? "0" : name,
                          value.type()->annotation_str()),
                "return tensors, numbers, texts, tuples, lists or dicts of them", name);
  }
}

}  // namespace

std::vector<IValue> nest_inputs(const std::vector<ModuleValue>& values, const c10::FunctionSchema& schema,
                                bool copy_tensors) {
  return Inputs(values, schema, copy_tensors).run();
}

std::vector<ModuleValue> flatten_result(IValue result) {
  std::vector<ModuleValue> values;
  const bool is_nested = result.isTuple() || result.isList() || result.isGenericDict();
  flatten(std::move(result), is_nested ? "" : "0", values);
  return values;
}

}  // namespace mnq::libtorch
