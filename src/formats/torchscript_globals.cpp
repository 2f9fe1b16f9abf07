#include "formats/torchscript_globals.h"

#include <algorithm>

namespace mnq {
namespace {

constexpr TorchStorageType kStorageTypes[] = {
    {"FloatStorage", 4, DType::kF32},
    {"DoubleStorage", 8, DType::kF64},
    {"HalfStorage", 2, DType::kF16},
    {"BFloat16Storage", 2, DType::kBF16},
    {"ByteStorage", 1, DType::kU8},
    {"CharStorage", 1, DType::kI8},
    {"ShortStorage", 2, DType::kI16},
    {"IntStorage", 4, DType::kI32},
    {"LongStorage", 8, DType::kI64},
    {"BoolStorage", 1, DType::kBool},
    {"ComplexHalfStorage", 4, std::nullopt},
    {"ComplexFloatStorage", 8, DType::kC64},
    {"ComplexDoubleStorage", 16, std::nullopt},
    {"UInt16Storage", 2, DType::kU16},
    {"UInt32Storage", 4, DType::kU32},
    {"UInt64Storage", 8, DType::kU64},
    {"Float8_e5m2Storage", 1, DType::kF8E5M2},
    {"Float8_e4m3fnStorage", 1, DType::kF8E4M3},
    {"Float8_e5m2fnuzStorage", 1, std::nullopt},
    {"Float8_e4m3fnuzStorage", 1, std::nullopt},
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
