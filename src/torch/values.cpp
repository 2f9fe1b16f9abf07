#include "torch/values.h"

#include <algorithm>

#include "base/error.h"
#include "base/format.h"
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

class Inputs {
 public:
  Inputs(const std::vector<ModuleValue>& values, const c10::FunctionSchema& schema, bool copy_tensors)
      : values_(values), schema_(schema), copy_tensors_(copy_tensors), used_(values.size(), false) {}

  std::vector<IValue> run() {
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
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (used_[i]) continue;
      const std::string what = values_[i].name.empty() ? formatted("input {}", i) : values_[i].name;
      fail(formatted("{}: there is no place for '{}'", schema_.name(), what), what);
    }
    return arguments;
  }

 private:
  [[noreturn]] void fail(const std::string& message, const std::string& subject) const {
    throw Error(Status::kInvalidArg, message, formatted("the method takes {}", signature(schema_)), subject);
  }

  // The value for a path: the one of that name, or the next one without a name. Empty where there is none.
  std::optional<std::size_t> find(const std::string& path) {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (!used_[i] && values_[i].name == path) return i;
    }
    if (has_named(path)) return std::nullopt;
    while (next_ < values_.size() && !values_[next_].name.empty()) ++next_;
    return next_ < values_.size() ? std::optional(next_++) : std::nullopt;
  }

  bool has_named(const std::string& path) const {
    return std::ranges::any_of(values_, [&](const ModuleValue& value) { return value.name.starts_with(path + "."); });
  }

  std::optional<IValue> take(const TypePtr& type, const std::string& path) {
    switch (type->kind()) {
      case TypeKind::OptionalType:
        return take_optional(type->expectRef<c10::OptionalType>().getElementType(), path);
      case TypeKind::TupleType:
        return take_tuple(type->cast<c10::TupleType>(), path);
      case TypeKind::ListType:
        return take_list(type->expectRef<c10::ListType>().getElementType(), path);
      case TypeKind::DictType:
        return take_dict(type->expectRef<c10::DictType>(), path);
      default:
        break;
    }
    const auto index = find(path);
    if (!index) return std::nullopt;
    used_[*index] = true;
    return convert(values_[*index], type, path);
  }

  std::optional<IValue> take_optional(const TypePtr& inner, const std::string& path) {
    const auto none = std::ranges::find_if(values_, [&](const ModuleValue& value) {
      return value.name == path && std::holds_alternative<std::monostate>(value.value);
    });
    if (none != values_.end()) {
      used_[static_cast<std::size_t>(none - values_.begin())] = true;
      return IValue();
    }
    while (next_ < values_.size() && !values_[next_].name.empty()) ++next_;
    if (next_ < values_.size() && std::holds_alternative<std::monostate>(values_[next_].value) && !has_named(path)) {
      used_[next_++] = true;
      return IValue();
    }
    return take(inner, path);
  }

  std::optional<IValue> take_tuple(const c10::TupleTypePtr& type, const std::string& path) {
    std::vector<IValue> elements;
    for (std::size_t i = 0; i < type->elements().size(); ++i) {
      const bool has_name = type->schema() != nullptr;
      const std::string name = has_name ? type->schema()->arguments()[i].name() : std::to_string(i);
      std::optional<IValue> element = take(type->elements()[i], joined(path, name));
      if (!element && i == 0) return std::nullopt;
      if (!element) fail(formatted("{}: '{}' is missing", schema_.name(), joined(path, name)), path);
      elements.push_back(std::move(*element));
    }
    return IValue(c10::ivalue::Tuple::createNamed(std::move(elements), type));
  }

  std::optional<IValue> take_list(const TypePtr& element_type, const std::string& path) {
    c10::impl::GenericList list(element_type);
    const bool named = has_named(path);
    for (std::size_t i = 0;; ++i) {
      const std::string name = joined(path, std::to_string(i));
      const bool is_there = std::ranges::any_of(
          values_, [&](const ModuleValue& value) { return value.name == name || value.name.starts_with(name + "."); });
      if (named && !is_there) break;
      std::optional<IValue> element = take(element_type, name);
      if (!element) break;
      list.push_back(std::move(*element));
    }
    if (list.empty()) return std::nullopt;
    return IValue(std::move(list));
  }

  std::optional<IValue> take_dict(const c10::DictType& type, const std::string& path) {
    if (!has_named(path)) return std::nullopt;
    if (type.getKeyType()->kind() != TypeKind::StringType) {
      fail(formatted("{}: '{}' is a dict whose keys are no strings", schema_.name(), path), path);
    }
    c10::impl::GenericDict dict(type.getKeyType(), type.getValueType());
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (used_[i] || !values_[i].name.starts_with(path + ".")) continue;
      const std::string key = values_[i].name.substr(path.size() + 1);
      std::optional<IValue> element = take(type.getValueType(), joined(path, key));
      if (element) dict.insert(key, std::move(*element));
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

  const std::vector<ModuleValue>& values_;
  const c10::FunctionSchema& schema_;
  bool copy_tensors_;
  std::vector<bool> used_;
  std::size_t next_ = 0;
};

Tensor result_tensor(at::Tensor tensor, const std::string& name) {
  if (!is_plain(tensor)) {
    throw Error(Status::kUnsupported, formatted("the output {} is no dense tensor of a dtype that is known here", name),
                "", name);
  }
  // Who shares the storage besides this result may write to it at the next call.
  if (tensor.storage().use_count() > 1) tensor = tensor.clone();
  return from_torch(tensor);
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
    const auto tuple = std::move(value).toTuple();
    const auto type = tuple->type<c10::TupleType>();
    for (std::size_t i = 0; i < tuple->elements().size(); ++i) {
      const bool has_name = type->schema() != nullptr;
      IValue element = tuple->elements()[i];
      tuple->setElements([&] {
        std::vector<IValue> rest = tuple->elements().vec();
        rest[i] = IValue();
        return rest;
      }());
      flatten(std::move(element), joined(name, has_name ? type->schema()->arguments()[i].name() : std::to_string(i)),
              into);
    }
  } else if (value.isList()) {
    const auto list = std::move(value).toList();
    for (std::size_t i = 0; i < list.size(); ++i) flatten(list.extract(i), joined(name, std::to_string(i)), into);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      const IValue& key = entry.key();
      const std::string text = key.isString() ? key.toStringRef()
                               : key.isInt()  ? std::to_string(key.toInt())
                                              : std::string();
      if (text.empty())
        throw Error(Status::kUnsupported, formatted("the output {} has keys of a kind not known here", name));
      flatten(entry.value(), joined(name, text), into);
    }
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
