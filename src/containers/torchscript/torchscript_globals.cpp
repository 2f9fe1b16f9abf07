#include "containers/torchscript/torchscript_globals.h"

#include <algorithm>

namespace mnq {
namespace {

constexpr std::string_view kPickleModule = "torch.jit._pickle";
constexpr TorchFunction kFunctions[] = {
    {"torch._utils", "_rebuild_tensor_v2", 6, 7},
    {"collections", "OrderedDict", 0, 0},
    {"builtins", "complex", 2, 2},
    {"torch", "device", 1, 1},
    {kPickleModule, "build_intlist", 1, 1},
    {kPickleModule, "build_tensorlist", 1, 1},
    {kPickleModule, "build_doublelist", 1, 1},
    {kPickleModule, "build_boollist", 1, 1},
    {kPickleModule, "restore_type_tag", 2, 2},
};

}  // namespace

const TorchFunction* find_torch_function(const PickleValue& global) {
  const auto* found = std::ranges::find_if(
      kFunctions, [&](const TorchFunction& f) { return f.module == global.module && f.name == global.text; });
  return found != std::end(kFunctions) ? found : nullptr;
}

bool is_torchscript_class(const PickleValue& global) {
  return global.module == "__torch__" || global.module.starts_with("__torch__.");
}

}  // namespace mnq
