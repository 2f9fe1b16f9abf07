// LibTorch's headers, precompiled: all that this folder includes of them. Half a minute once, instead of in each file.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/class_type.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/resolver.h>
#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/custom_operator.h>
#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/headeronly/version.h>

namespace mnq::libtorch {

namespace jit = ::torch::jit;

using ObjectPtr = c10::intrusive_ptr<c10::ivalue::Object>;
using UnitPtr = std::shared_ptr<jit::CompilationUnit>;

}  // namespace mnq::libtorch
