#include <algorithm>

#include "base/text/format.h"
#include "module/uses/script_names.h"
#include "module/uses/script_operators.h"
#include "module/uses/script_runner.h"

namespace mnq {
namespace {

// What is called is not known. Its result may share memory with all it was given.
ScriptValue lose(ScriptFindings& findings, const ScriptArguments& arguments) {
  ScriptValue value;
  const auto take = [&](const ScriptValue& argument) {
    findings.lose(argument);
    share(value, argument);
  };
  for (const ScriptValue& argument : arguments.positional) take(argument);
  for (const auto& [name, argument] : arguments.keywords) take(argument);
  return value;
}

}  // namespace

ScriptValue ScriptEvaluator::evaluate(ScriptScope& scope, const ScriptNode& node) {
  const ScriptBudget::Deeper deeper(of_.budget);
  if (!of_.budget.step()) return {};
  ScriptValue value = evaluate_node(scope, node);
  of_.budget.step(value.weight());
  return value;
}

ScriptValue ScriptEvaluator::evaluate_node(ScriptScope& scope, const ScriptNode& node) {
  switch (node.kind) {
    case ScriptKind::kName:
      return value_of_name(of_.tree, of_.program, scope, node.text);
    case ScriptKind::kAttribute:
      return value_of_attribute(of_.tree, evaluate(scope, scope.code().parts(node).front()), node.text);
    case ScriptKind::kCall:
      return evaluate_call(scope, node);
    case ScriptKind::kIndex:
    case ScriptKind::kSlice:
      return evaluate_index(scope, node);
    case ScriptKind::kTuple:
      return evaluate_items(scope, node, "prim::TupleConstruct");
    case ScriptKind::kList:
      return evaluate_items(scope, node, "prim::ListConstruct");
    case ScriptKind::kDict:
      return evaluate_items(scope, node, "prim::DictConstruct");
    case ScriptKind::kNumber:
    case ScriptKind::kText:
    case ScriptKind::kNone:
    case ScriptKind::kTrue:
    case ScriptKind::kFalse: {
      ScriptValue value;
      value.literal = &node;
      return value;
    }
    default:
      return {};
  }
}

ScriptValue ScriptEvaluator::evaluate_items(ScriptScope& scope, const ScriptNode& node, std::string_view used_by) {
  auto items = std::make_shared<std::vector<ScriptValue>>();
  for (const ScriptNode& part : scope.code().parts(node)) {
    items->push_back(evaluate(scope, part));
    for (const ScriptAlias& alias : items->back().aliases) {
      if (alias.is_same) of_.findings.note_use(alias.tensor, {"", 0, formatted("used by {}", used_by)});
    }
  }
  ScriptValue value;
  value.is_tuple = node.kind == ScriptKind::kTuple;
  set_items(value, std::move(items));
  return value;
}

ScriptValue ScriptEvaluator::evaluate_index(ScriptScope& scope, const ScriptNode& node) {
  std::vector<ScriptValue> parts;
  for (const ScriptNode& part : scope.code().parts(node)) parts.push_back(evaluate(scope, part));
  if (node.kind == ScriptKind::kSlice) return parts.front();
  if (parts.size() < 2) return {};
  return item_of(parts.front(), parts[1].integer(), 0);
}

ScriptArguments ScriptEvaluator::evaluate_arguments(ScriptScope& scope, const ScriptNode& call, std::size_t skipped) {
  ScriptArguments arguments;
  std::size_t index = 0;
  for (const ScriptNode& part : scope.code().parts(call)) {
    if (index++ < skipped) continue;
    if (part.kind == ScriptKind::kKeyword) {
      arguments.keywords.emplace_back(part.text, evaluate(scope, scope.code().parts(part).front()));
    } else {
      arguments.positional.push_back(evaluate(scope, part));
    }
  }
  return arguments;
}

ScriptValue ScriptEvaluator::evaluate_call(ScriptScope& scope, const ScriptNode& call) {
  const ScriptNode& callee = scope.code().parts(call).front();
  if (callee.kind == ScriptKind::kAttribute) {
    const ScriptValue receiver = evaluate(scope, scope.code().parts(callee).front());
    return call_method(receiver, callee.text, evaluate_arguments(scope, call, 1));
  }
  if (callee.kind == ScriptKind::kName) return call_by_name(scope, call, callee.text);
  return lose(of_.findings, evaluate_arguments(scope, call, 1));
}

ScriptValue ScriptEvaluator::call_by_name(ScriptScope& scope, const ScriptNode& call, std::string_view name) {
  if (name == "annotate" || name == "unchecked_cast") {  // (type, value)
    const ScriptArguments arguments = evaluate_arguments(scope, call, 2);
    return arguments.positional.empty() ? ScriptValue() : arguments.positional.front();
  }
  if (name == "fork" || name == "awaitable" || scope.find_function(name) != nullptr) {
    run_closures(scope, call);
    return {};
  }
  const std::size_t dot = name.rfind('.');
  const ScriptValue* variable = scope.find(name.substr(0, name.find('.')));
  if (variable == nullptr) return call_global(scope, call, name);
  const ScriptProgram::Definition* function = variable->function;
  ScriptArguments arguments = evaluate_arguments(scope, call, 1);
  if (dot == std::string_view::npos) return call_definition(function, std::move(arguments));
  const ScriptValue receiver = value_of_name(of_.tree, of_.program, scope, name.substr(0, dot));
  return call_method(receiver, name.substr(dot + 1), std::move(arguments));
}

ScriptValue ScriptEvaluator::call_global(ScriptScope& scope, const ScriptNode& call, std::string_view name) {
  ScriptArguments arguments = evaluate_arguments(scope, call, 1);
  if (name == "getattr" && arguments.positional.size() == 2 && arguments.positional[1].literal != nullptr) {
    return value_of_attribute(of_.tree, arguments.positional[0], arguments.positional[1].literal->text);
  }
  if (name.starts_with("__torch__.")) return call_definition(of_.program.find(name), std::move(arguments));
  if (name.starts_with("torch.")) return call_operator(scope, call, "aten::", name.substr(6), arguments);
  if (name.starts_with("ops.")) {  // "ops.prim.NumToTensor", "ops.quantized.linear"
    const std::string_view text = name.substr(4);
    const std::size_t dot = std::min(text.find('.'), text.size());
    const std::string space = std::string(text.substr(0, dot)) + "::";
    return call_operator(scope, call, space, text.substr(std::min(dot + 1, text.size())), arguments);
  }
  if (name.find('.') != std::string_view::npos) return lose(of_.findings, arguments);
  return {};  // int, float, bool, isinstance, range...
}

ScriptValue ScriptEvaluator::call_method(const ScriptValue& receiver, std::string_view method,
                                         ScriptArguments arguments) {
  const ScriptClass* type = receiver.object == kNoPickleValue ? nullptr : of_.tree.class_of(receiver.object);
  arguments.positional.insert(arguments.positional.begin(), receiver);
  if (type == nullptr || !type->code.contains(method)) return lose(of_.findings, arguments);
  return runner_.call(type->code.at(method), std::move(arguments));
}

// A function, or a class whose object is made.
ScriptValue ScriptEvaluator::call_definition(const ScriptProgram::Definition* found, ScriptArguments arguments) {
  if (found == nullptr || found->is_class()) return lose(of_.findings, arguments);
  return runner_.call({found->code, found->node}, std::move(arguments));
}

// "fork(closure)": code within a function that runs beside it, and sees its variables.
void ScriptEvaluator::run_closures(ScriptScope& scope, const ScriptNode& call) {
  for (const ScriptNode& part : scope.code().parts(call)) {
    const ScriptNode* closure = part.kind == ScriptKind::kName ? scope.find_function(part.text) : nullptr;
    if (closure == nullptr) continue;
    for (const ScriptNode& block : scope.code().parts(*closure)) {
      if (block.kind == ScriptKind::kBlock) runner_.run_block(scope, block);
    }
  }
}

ScriptValue ScriptEvaluator::call_operator(ScriptScope& scope, const ScriptNode& call, std::string_view space,
                                           std::string_view name, const ScriptArguments& arguments) {
  ScriptValue result = apply_operator(of_.findings, of_.tree, of_.budget, space, name, arguments);
  if (writes_container(name) && !arguments.positional.empty()) put_into_container(scope, call, arguments);
  return result;
}

// A list or a dict of the code's own gets what is put into it.
void ScriptEvaluator::put_into_container(ScriptScope& scope, const ScriptNode& call, const ScriptArguments& arguments) {
  const ScriptNode& target = *++scope.code().parts(call).begin();
  const ScriptValue* variable = target.kind == ScriptKind::kName ? scope.find(target.text) : nullptr;
  if (variable == nullptr) return;
  ScriptValue added;
  for (std::size_t i = 1; i < arguments.positional.size(); ++i) share(added, arguments.positional[i]);
  if (added.is_plain()) return;
  ScriptValue list = *variable;
  auto items = list.items == nullptr ? std::make_shared<std::vector<ScriptValue>>()
                                     : std::make_shared<std::vector<ScriptValue>>(*list.items);
  if (std::ranges::find(*items, added) == items->end()) items->push_back(std::move(added));
  set_items(list, std::move(items));
  scope.set(target.text, std::move(list));
}

}  // namespace mnq
