#include "module/uses/script_names.h"

#include "base/text/text.h"

namespace mnq {
namespace {

constexpr std::string_view kConstant = "CONSTANTS.c";

}  // namespace

std::optional<ScriptTree::TensorIndex> tensor_of_constant(const ScriptTree& tree, std::string_view name) {
  if (!name.starts_with(kConstant)) return std::nullopt;
  const auto index = parse_int(name.substr(kConstant.size()));
  return index && *index >= 0 ? tree.constant(static_cast<std::size_t>(*index)) : std::nullopt;
}

ScriptValue value_of_name(const ScriptTree& tree, const ScriptProgram& program, const ScriptScope& scope,
                          std::string_view name) {
  ScriptValue value;
  if (name.starts_with(kConstant)) {
    if (const auto tensor = tensor_of_constant(tree, name)) value.aliases.push_back({*tensor});
    return value;
  }
  const std::string_view head = name.substr(0, name.find('.'));
  const ScriptValue* variable = scope.find(head);
  if (variable == nullptr) {
    value.function = program.find(name);
    return value;
  }
  value = *variable;
  for (std::string_view rest = name.substr(head.size()); !rest.empty();) {
    rest.remove_prefix(1);
    const std::string_view part = rest.substr(0, rest.find('.'));
    value = value_of_attribute(tree, value, part);
    rest.remove_prefix(part.size());
  }
  return value;
}

ScriptValue value_of_attribute(const ScriptTree& tree, const ScriptValue& owner, std::string_view name) {
  ScriptValue value;
  if (owner.object == kNoPickleValue) {
    value.containers = owner.containers;  // of a named tuple that an attribute holds
    return value;
  }
  const auto held = tree.attribute(owner.object, name);
  if (!held) return value;
  if (held->tensor) {
    value.aliases.push_back({*held->tensor});
  } else if (held->is_object) {
    value.object = held->value;
  } else if (tree.holds_tensors(held->value)) {
    value.containers.push_back(held->value);
  }
  return value;
}

}  // namespace mnq
