// What a name or an attribute in the code of a TorchScript file stands for.
#pragma once

#include <string_view>

#include "module/uses/script_scope.h"
#include "module/uses/script_value.h"

namespace mnq {

/// "layer", "self.layer.weight", "CONSTANTS.c0", or a function of the program.
ScriptValue value_of_name(const ScriptTree& tree, const ScriptProgram& program, const ScriptScope& scope,
                          std::string_view name);

ScriptValue value_of_attribute(const ScriptTree& tree, const ScriptValue& owner, std::string_view name);

/// None for a name that is no tensor among the constants.
std::optional<ScriptTree::TensorIndex> tensor_of_constant(const ScriptTree& tree, std::string_view name);

}  // namespace mnq
