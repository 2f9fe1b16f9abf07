#include "torch/graph/stock_functions.h"

#include "base/error.h"
#include "base/text/format.h"

namespace mnq::libtorch {
namespace {

const ScriptLibrary* library_in_use = nullptr;

c10::QualifiedName qualified(std::string_view function) {
  return c10::QualifiedName(formatted("{}.{}", library_in_use->prefix, function));
}

void define_all(jit::CompilationUnit& unit) {
  const c10::QualifiedName prefix{std::string(library_in_use->prefix)};
  for (const std::string_view text : library_in_use->texts) {
    unit.define(prefix, std::string(text), jit::nativeResolver(), nullptr);
  }
}

}  // namespace

void register_stock_functions(const ScriptLibrary& library) { library_in_use = &library; }

const ScriptLibrary& stock_functions() { return *library_in_use; }

bool has_stock_function(jit::CompilationUnit& unit, std::string_view function) {
  if (unit.find_function(qualified(library_in_use->anchor)) == nullptr) define_all(unit);
  return unit.find_function(qualified(function)) != nullptr;
}

std::string called_stock_function(const jit::Node& call) {
  if (call.kind() != c10::prim::CallFunction) return "";
  const auto type = call.input(0)->type()->cast<c10::FunctionType>();
  if (type == nullptr) return "";
  const c10::QualifiedName& name = type->function()->qualname();
  return name.prefix() == library_in_use->prefix ? name.name() : "";
}

jit::Value* insert_stock_call(jit::Graph& graph, jit::CompilationUnit& unit, std::string_view function,
                              at::ArrayRef<jit::Value*> arguments) {
  if (!has_stock_function(unit, function)) {
    throw Error(Status::kInternal, formatted("no TorchScript function is called {}", function));
  }
  jit::Function& callee = unit.get_function(qualified(function));
  jit::Node* constant = graph.insertNode(graph.create(c10::prim::Constant));
  constant->s_(c10::attr::name, callee.name());
  constant->output()->setType(c10::FunctionType::create(&callee));
  std::vector<jit::Value*> inputs{constant->output()};
  inputs.insert(inputs.end(), arguments.begin(), arguments.end());
  jit::Node* call = graph.insertNode(graph.create(c10::prim::CallFunction, inputs));
  return call->output()->setType(callee.getSchema().returns().at(0).type());
}

}  // namespace mnq::libtorch
