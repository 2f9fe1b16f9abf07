// Follows values through the code of a TorchScript file: its functions, their statements, and the expressions in those.
// Each branch is gone through, and loops until nothing new comes of them. A call with the same values is followed once.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "module/uses/script_findings.h"
#include "module/uses/script_scope.h"
#include "module/uses/script_value.h"

namespace mnq {

/// What all that follows code has in common.
struct ScriptCase {
  const ScriptTree& tree;
  const ScriptProgram& program;
  ScriptFindings& findings;
  ScriptBudget& budget;
};

class ScriptRunner;

/// Expressions, and what is called in them.
class ScriptEvaluator {
 public:
  ScriptEvaluator(const ScriptCase& of, ScriptRunner& runner) : of_(of), runner_(runner) {}

  ScriptValue evaluate(ScriptScope& scope, const ScriptNode& node);

 private:
  ScriptValue evaluate_node(ScriptScope& scope, const ScriptNode& node);
  ScriptValue evaluate_items(ScriptScope& scope, const ScriptNode& node, std::string_view used_by);
  ScriptValue evaluate_index(ScriptScope& scope, const ScriptNode& node);
  ScriptArguments evaluate_arguments(ScriptScope& scope, const ScriptNode& call, std::size_t skipped);
  ScriptValue evaluate_call(ScriptScope& scope, const ScriptNode& call);
  ScriptValue call_by_name(ScriptScope& scope, const ScriptNode& call, std::string_view name);
  ScriptValue call_global(ScriptScope& scope, const ScriptNode& call, std::string_view name);
  ScriptValue call_method(const ScriptValue& receiver, std::string_view method, ScriptArguments arguments);
  ScriptValue call_definition(const ScriptProgram::Definition* found, ScriptArguments arguments);
  ScriptValue call_operator(ScriptScope& scope, const ScriptNode& call, std::string_view space, std::string_view name,
                            const ScriptArguments& arguments);
  void run_closures(ScriptScope& scope, const ScriptNode& call);
  void put_into_container(ScriptScope& scope, const ScriptNode& call, const ScriptArguments& arguments);

  const ScriptCase& of_;
  ScriptRunner& runner_;
};

/// Functions and statements.
class ScriptRunner {
 public:
  explicit ScriptRunner(const ScriptCase& of) : of_(of), values_(of, *this) {}

  /// What the function returns. Constants it names are those of a method of the root.
  ScriptValue call_by_root(const ScriptFunction& method, std::string_view name, const ScriptValue& self);
  ScriptValue call(const ScriptFunction& function, ScriptArguments arguments);
  ScriptValue run_block(ScriptScope& scope, const ScriptNode& block);

 private:
  ScriptValue follow(const ScriptFunction& function, ScriptArguments arguments);
  void list_constants(const ScriptFunction& function);
  void bind(ScriptScope& scope, const ScriptFunction& function, ScriptArguments arguments);
  void run_statement(ScriptScope& scope, const ScriptNode& statement, ScriptValue& result);
  void run_part(ScriptScope& scope, const ScriptNode& part);
  void run_if(ScriptScope& scope, const ScriptNode& statement);
  void run_loop(ScriptScope& scope, const ScriptNode& statement);
  void assign(ScriptScope& scope, const ScriptNode& target, const ScriptNode& source);
  void give(ScriptScope& scope, const ScriptNode& target, ScriptValue value);

  const ScriptCase& of_;
  ScriptEvaluator values_;
  std::unordered_map<std::string, ScriptValue> results_;  // of calls
  std::unordered_set<std::string> running_;
  std::unordered_set<const ScriptNode*> listed_functions_;
  std::string_view root_method_;
};

}  // namespace mnq
