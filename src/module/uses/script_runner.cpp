#include "module/uses/script_runner.h"

#include <algorithm>
#include <utility>

#include "module/uses/script_names.h"

namespace mnq {
namespace {

constexpr int kMostRounds = 4;  // of a loop

}  // namespace

ScriptValue ScriptRunner::call_by_root(const ScriptFunction& method, std::string_view name, const ScriptValue& self) {
  root_method_ = name;
  return follow(method, {{self}, {}});
}

ScriptValue ScriptRunner::call(const ScriptFunction& function, ScriptArguments arguments) {
  const std::string key = key_of_call(function, arguments);
  const auto known = results_.find(key);
  if (known != results_.end()) return known->second;
  if (!running_.insert(key).second) {  // LibTorch refuses recursion
    of_.budget.give_up();
    return {};
  }
  ScriptValue result = follow(function, std::move(arguments));
  running_.erase(key);
  results_.emplace(key, result);
  return result;
}

ScriptValue ScriptRunner::follow(const ScriptFunction& function, ScriptArguments arguments) {
  ScriptScope scope(*function.code, of_.budget);
  list_constants(function);
  bind(scope, function, std::move(arguments));
  ScriptValue result;
  for (const ScriptNode& part : function.code->parts(*function.node)) {
    if (part.kind == ScriptKind::kBlock) result = run_block(scope, part);
  }
  blur_items(result);
  return result;
}

// LibTorch gathers the constants of a function before its code, the last one first.
void ScriptRunner::list_constants(const ScriptFunction& function) {
  if (!listed_functions_.insert(function.node).second) return;
  std::vector<ScriptTree::TensorIndex> tensors;
  std::unordered_set<ScriptTree::TensorIndex> seen;
  for (const ScriptNode& node : function.code->under(*function.node)) {
    const auto tensor = node.kind == ScriptKind::kName ? tensor_of_constant(of_.tree, node.text) : std::nullopt;
    if (tensor && seen.insert(*tensor).second) tensors.push_back(*tensor);
  }
  for (auto tensor = tensors.rbegin(); tensor != tensors.rend(); ++tensor) {
    of_.findings.note_constant(*tensor, root_method_);
  }
}

void ScriptRunner::bind(ScriptScope& scope, const ScriptFunction& function, ScriptArguments arguments) {
  std::size_t index = 0;
  for (const ScriptNode& part : function.code->parts(*function.node)) {
    if (part.kind != ScriptKind::kParameter) continue;
    ScriptValue value;
    of_.budget.step(arguments.keywords.size());
    const auto keyword =
        std::ranges::find(arguments.keywords, part.text, &std::pair<std::string_view, ScriptValue>::first);
    if (index < arguments.positional.size()) {
      value = std::move(arguments.positional[index]);
      blur_items(value);
    } else if (keyword != arguments.keywords.end()) {
      value = std::move(keyword->second);
      blur_items(value);
    } else {
      for (const ScriptNode& of_parameter : function.code->parts(part)) {
        if (of_parameter.kind != ScriptKind::kType) value = values_.evaluate(scope, of_parameter);
      }
    }
    scope.bind(part.text, std::move(value));
    ++index;
  }
}

ScriptValue ScriptRunner::run_block(ScriptScope& scope, const ScriptNode& block) {
  const ScriptBudget::Deeper deeper(of_.budget);
  ScriptValue result;
  for (const ScriptNode& statement : scope.code().parts(block)) {
    if (!of_.budget.step()) return {};
    run_statement(scope, statement, result);
  }
  return result;
}

void ScriptRunner::run_statement(ScriptScope& scope, const ScriptNode& statement, ScriptValue& result) {
  const ScriptCode& code = scope.code();
  switch (statement.kind) {
    case ScriptKind::kAssign: {
      auto part = code.parts(statement).begin();
      const ScriptNode& target = *part;
      return assign(scope, target, *++part);
    }
    case ScriptKind::kDeclare:
      for (const ScriptNode& part : code.parts(statement)) {
        if (part.kind != ScriptKind::kType) scope.set(statement.text, values_.evaluate(scope, part));
      }
      return;
    case ScriptKind::kReturn:
      result = values_.evaluate(scope, code.parts(statement).front());
      return;
    case ScriptKind::kIf:
      return run_if(scope, statement);
    case ScriptKind::kFunction:
      return scope.define(statement);
    case ScriptKind::kWhile:
    case ScriptKind::kFor:
      return run_loop(scope, statement);
    default:  // an expression, or `with` and its block
      for (const ScriptNode& part : code.parts(statement)) run_part(scope, part);
  }
}

void ScriptRunner::run_part(ScriptScope& scope, const ScriptNode& part) {
  if (part.kind == ScriptKind::kBlock) {
    run_block(scope, part);
  } else {
    values_.evaluate(scope, part);
  }
}

void ScriptRunner::run_if(ScriptScope& scope, const ScriptNode& statement) {
  std::vector<ScriptScope::Changes> branches;
  for (const ScriptNode& part : scope.code().parts(statement)) {
    if (part.kind != ScriptKind::kBlock) {
      values_.evaluate(scope, part);
    } else {
      branches.push_back(scope.changes_of([&] { run_block(scope, part); }));
    }
  }
  ScriptScope::Changes both;
  for (const ScriptScope::Changes& branch : branches) {
    for (const auto& [name, change] : branch) {
      const auto [known, is_new] = both.try_emplace(name, change);
      if (!is_new) merge(known->second.second, change.second);
    }
  }
  for (auto& [name, change] : both) {
    const bool is_in_all = std::ranges::all_of(branches, [&](const auto& each) { return each.contains(name); });
    if (!is_in_all && change.first) merge(change.second, *change.first);
    scope.set(name, std::move(change.second));
  }
}

void ScriptRunner::run_loop(ScriptScope& scope, const ScriptNode& statement) {
  for (int round = 0; round < kMostRounds; ++round) {
    const ScriptScope::Changes changes = scope.changes_of([&] {
      if (statement.kind == ScriptKind::kFor) scope.set(statement.text, {});
      for (const ScriptNode& part : scope.code().parts(statement)) run_part(scope, part);
    });
    bool is_new = false;
    for (const auto& [name, change] : changes) {
      ScriptValue merged = change.second;
      if (change.first) merge(merged, *change.first);
      is_new = is_new || !change.first || !(merged == *change.first);
      scope.set(name, std::move(merged));
    }
    if (!is_new || !of_.budget.step()) return;
  }
}

void ScriptRunner::assign(ScriptScope& scope, const ScriptNode& target, const ScriptNode& source) {
  if (target.kind != ScriptKind::kTuple) return give(scope, target, values_.evaluate(scope, source));
  const ScriptCode& code = scope.code();
  std::vector<ScriptValue> values;
  if (source.kind == ScriptKind::kTuple) {
    for (const ScriptNode& part : code.parts(source)) values.push_back(values_.evaluate(scope, part));
  } else {
    const ScriptValue whole = values_.evaluate(scope, source);
    std::size_t count = 0;
    for ([[maybe_unused]] const ScriptNode& part : code.parts(target)) ++count;
    for (std::size_t i = 0; i < count; ++i) values.push_back(item_of(whole, static_cast<std::int64_t>(i), count));
  }
  std::size_t index = 0;
  for (const ScriptNode& part : code.parts(target)) {
    if (index < values.size()) give(scope, part, std::move(values[index]));
    ++index;
  }
}

// To a variable, or to an attribute of an object: what the value shares memory with is kept there, too.
void ScriptRunner::give(ScriptScope& scope, const ScriptNode& target, ScriptValue value) {
  if (target.kind == ScriptKind::kName && target.text.find('.') == std::string_view::npos) {
    return scope.set(target.text, std::move(value));
  }
  of_.findings.note_kept(value);
}

}  // namespace mnq
