#include "formats/torchscript_globals.h"

#include <algorithm>

namespace mnq {
namespace {

constexpr TorchStorageType kStorageTypes[] = {
    {"FloatStorage", 4},
    {"DoubleStorage", 8},
    {"HalfStorage", 2},
    {"BFloat16Storage", 2},
    {"ByteStorage", 1},
    {"CharStorage", 1},
    {"ShortStorage", 2},
    {"IntStorage", 4},
    {"LongStorage", 8},
    {"BoolStorage", 1},
    {"ComplexHalfStorage", 4},
    {"ComplexFloatStorage", 8},
    {"ComplexDoubleStorage", 16},
    {"UInt16Storage", 2},
    {"UInt32Storage", 4},
    {"UInt64Storage", 8},
    {"Float8_e5m2Storage", 1},
    {"Float8_e4m3fnStorage", 1},
    {"Float8_e5m2fnuzStorage", 1},
    {"Float8_e4m3fnuzStorage", 1},
};

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

const TorchStorageType* find_torch_storage_type(const PickleValue& global) {
  if (global.kind != PickleKind::kGlobal || global.module != "torch") return nullptr;
  const auto* found = std::ranges::find(kStorageTypes, global.text, &TorchStorageType::name);
  return found != std::end(kStorageTypes) ? found : nullptr;
}

const TorchFunction* find_torch_function(const PickleValue& global) {
  const auto* found = std::ranges::find_if(
      kFunctions, [&](const TorchFunction& f) { return f.module == global.module && f.name == global.text; });
  return found != std::end(kFunctions) ? found : nullptr;
}

bool is_torchscript_class(const PickleValue& global) {
  return global.module == "__torch__" || global.module.starts_with("__torch__.");
}

}  // namespace mnq
