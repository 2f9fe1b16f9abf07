// What goes into a method and comes out of it: flat lists of named values and the nested ones of TorchScript.
#pragma once

#include <string>
#include <vector>

#include "module/backend.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {

/// The arguments of a method, `self` left out, from flat values. Those with a name go to the argument of that name
/// ("x", "hidden.0", "inputs.mask"), the others fill what is left, in order; what then is missing has its default.
/// Tensors are shared, or copied where the method writes to them. Errors: kInvalidArg naming the argument; kDType.
std::vector<c10::IValue> nest_inputs(const std::vector<ModuleValue>& values, const c10::FunctionSchema& schema,
                                     bool copy_tensors);

/// The leaves of a result, in order: "0" for a single one, "0", "1" for a tuple or list, keys for a dict, joined by
/// dots. Tensors share their memory where nobody else has it, and are copied where the module or an input, which must
/// be alive for that, holds it too. Nothing that is held elsewhere changes. Errors: kUnsupported for what is no leaf of
/// ours.
std::vector<ModuleValue> flatten_result(c10::IValue result);

}  // namespace mnq::libtorch
