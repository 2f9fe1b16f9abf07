// The functions that quantized modules call: TorchScript of stock operators, which travels in the archive with the
// module, so that any LibTorch runs it. Each use of a quantized weight is a call of one of them, and so they are also
// how a quantized use is found again. Their text, and which weight needs which, is told by base/script_decoder.h.
#pragma once

#include <string>
#include <string_view>

#include "base/script_decoder.h"
#include "torch/libtorch.h"

namespace mnq::libtorch {

/// What the core has, which outlives its use here.
void register_stock_functions(const ScriptLibrary& library);

/// As registered.
const ScriptLibrary& stock_functions();

/// Whether it is one of them. All of them are defined in this unit where they are not there yet.
bool has_stock_function(jit::CompilationUnit& unit, std::string_view function);

/// The name of what a prim::CallFunction calls, where it lies among our functions; empty for others.
std::string called_stock_function(const jit::Node& call);

/// A call at the graph's insert point. arguments: without the function.
jit::Value* insert_stock_call(jit::Graph& graph, jit::CompilationUnit& unit, std::string_view function,
                              at::ArrayRef<jit::Value*> arguments);

}  // namespace mnq::libtorch
