// What LibTorch's operators do with the tensors they are given: use them, give another name to them, write to them, or
// give what shares memory with them.
#pragma once

#include <string_view>

#include "module/uses/script_findings.h"
#include "module/uses/script_scope.h"
#include "module/uses/script_value.h"

namespace mnq {

/// Whether the operator, "append", puts its operands into the first one: a list or a dict.
bool writes_container(std::string_view operator_name);

/// What the operator gives, "aten::" and "linear". Its operands' uses become findings.
ScriptValue apply_operator(ScriptFindings& findings, const ScriptTree& tree, ScriptBudget& budget,
                           std::string_view space, std::string_view name, const ScriptArguments& arguments);

}  // namespace mnq
