#include "plan/foreign_tensors.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

using enum DType;

// A tensor that is called STEM + suffix.
struct Part {
  std::string_view suffix;
  std::array<DType, 4> dtypes{};  // none: any
};

// What all tensors of one weight are called and have in common. The first one has its codes.
struct Kind {
  std::string_view what;
  std::array<Part, 4> parts{};
  std::string_view advice = "";
  bool is_part = false;
  std::array<std::string_view, 2> lacks{};  // suffixes of which there is no tensor: those of the codes
};

constexpr std::string_view kFloatAdvice = "pass the float checkpoint it was made from: its provider has it";
constexpr std::string_view kFolderAdvice =
    "pass its folder, or put the config.json of its folder beside it: that says how the codes are laid out";

constexpr std::string_view kWholeAdvice =
    "pass the whole folder: the rest lies in its other files, or is lost; then fetch it again";

constexpr std::string_view kFullAdvice =
    "make one checkpoint of all its parts first, with a full state dict (StateDictType.FULL_STATE_DICT)";

// Looked up in this order: what has more parts comes before what has some of them.
constexpr Kind kKinds[] = {
    {"is quantized by GPTQ", {{{".qweight", {kI32}}, {".qzeros", {kI32}}, {".scales"}, {".g_idx", {kI32, kI64}}}}},
    {"is quantized by AWQ", {{{".qweight", {kI32}}, {".qzeros", {kI32}}, {".scales"}}}},
    {"is quantized by GPTQ (symmetric)", {{{".qweight", {kI32}}, {".scales"}}}},
    {"is quantized by SVDQuant (Nunchaku)", {{{".qweight", {kI8}}, {".wscales"}}}},
    {"is quantized by Marlin", {{{".B", {kI32}}, {".s", {kF16, kBF16}}}}},
    {"is quantized by ExLlamaV2 (EXL2)", {{{".q_weight", {kI32}}, {".q_scale", {kI32}}, {".q_scale_max"}}}},
    {"is quantized by ExLlamaV3 (EXL3)", {{{".trellis", {kI16, kU16}}}}},
    {"is quantized by MLX", {{{".weight", {kU32}}, {".scales"}}}},
    {"is quantized to 4 bits by bitsandbytes", {{{".weight", {kU8}}, {".weight.absmax"}}}},
    {"is quantized to 8 bits by bitsandbytes", {{{".weight", {kI8}}, {".SCB"}}}},
    {"is quantized to 4 bits with scales of 8 bits (NVFP4)",
     {{{".weight_packed", {kU8}}, {".weight_scale", {kF8E4M3}}, {".weight_global_scale"}}}},
    {"is quantized to 4 bits with scales of 8 bits (NVFP4)",
     {{{".weight", {kU8}}, {".weight_scale", {kF8E4M3}}, {".weight_scale_2"}}}},
    {"is quantized to MXFP4", {{{"_blocks", {kU8}}, {"_scales", {kU8}}}}},
    {"is quantized to FP8 with scales of blocks", {{{".weight", {kF8E4M3, kF8E5M2}}, {".weight_scale_inv"}}}},
    {"is quantized to FP8 with scales", {{{".weight", {kF8E4M3, kF8E5M2}}, {".weight_scale"}}}},
    {"is quantized to FP8 with scales (ComfyUI)", {{{".weight", {kF8E4M3, kF8E5M2}}, {".scale_weight"}}}},
    {"is quantized by compressed-tensors",
     {{{".weight_packed", {kI32}}, {".weight_scale"}, {".weight_shape"}}},
     kFolderAdvice},
    {"is quantized by compressed-tensors, or as it does it", {{{".weight", {kI8}}, {".weight_scale"}}}, kFolderAdvice},
    {"is quantized by EETQ", {{{".weight", {kI8}}, {".weight_scales"}}}},
    {"is quantized by HQQ", {{{".W_q"}, {".scale"}, {".zero"}}}},
    {"is quantized by HQQ", {{{".W_q"}}}},
    {"is quantized by quanto", {{{".weight._data"}, {".weight._scale"}}}},
    {"is quantized by quanto", {{{".weight._data._data"}, {".weight._scale"}}}},
    {"is quantized by torchao", {{{"_weight_qdata"}, {"_weight_scale"}}}},
    {"is quantized by torchao", {{{".weight:qdata"}, {".weight:scale"}}}},
    {"is quantized by torchao", {{{".weight:_data"}, {".weight:_scale"}}}},
    {"is quantized by AQLM", {{{".codes", {kI8, kI16, kU8}}, {".codebooks"}}}},
    {"is quantized by VPTQ", {{{".indices", {kI32, kI16, kU16, kU32}}, {".centroids"}}}},
    {"is quantized by QuIP#", {{{".Qidxs"}, {".SU"}, {".SV"}}}},
    {"is quantized by PyTorch with codes of 32 bits (qint32)",
     {{{"", {kI32}}, {"_scale", {kF32}}, {"_zero_point", {kI32}}}}},
    {"is quantized by PyTorch with float zero points, not by rows",
     {{{"", {kU8, kI8, kI32}}, {"_scale", {kF32}}, {"_zero_point", {kF32}}}}},
    {"is quantized by PyTorch with codes of less than a byte",
     {{{"", {kU8}}, {"_scale", {kF32}}, {"_zero_point", {kI32}}}}},
    {"has 8-bit codes as ONNX Runtime writes them", {{{"_quantized"}, {"_scale"}, {"_zero_point"}}}},
    {"is a part of an FSDP checkpoint, with the parameters of a module flattened into one",
     {{{"_flat_param"}}},
     kFullAdvice,
     true},
    {"is a part of an FSDP checkpoint, with the parameters of a module flattened into one",
     {{{".flat_param"}}},
     kFullAdvice,
     true},
    // What is left of weights where the rest lies in other shards, or is lost.
    {"has codes of GPTQ or AWQ whose scales are not there", {{{".qweight", {kI32}}}}, kWholeAdvice},
    {"has codes of MLX whose scales are not there", {{{".weight", {kU32}}}}, kWholeAdvice},
    {"has codes of compressed-tensors whose scales are not there", {{{".weight_packed", {kI32, kU8}}}}, kWholeAdvice},
    {"has codes of bitsandbytes whose scales are not there",
     {{{".weight", {kU8}}, {".weight.quant_map"}}},
     kWholeAdvice},
    {"has codes of MXFP4 whose scales are not there", {{{"_blocks", {kU8}}}}, kWholeAdvice},
    {"has scales of GPTQ or AWQ whose codes are not there", {{{".qzeros", {kI32}}}}, kWholeAdvice, false, {".qweight"}},
    {"has scales of MLX whose codes are not there",
     {{{".scales"}, {".biases"}}},
     kWholeAdvice,
     false,
     {".weight", ".qweight"}},
    {"has scales of bitsandbytes whose codes are not there", {{{".weight.absmax"}}}, kWholeAdvice, false, {".weight"}},
    {"has scales of bitsandbytes whose codes are not there", {{{".SCB"}}}, kWholeAdvice, false, {".weight"}},
    {"has scales of compressed-tensors whose codes are not there",
     {{{".weight_shape", {kI64}}}},
     kWholeAdvice,
     false,
     {".weight", ".weight_packed"}},
    {"has scales of floats of 8 or 4 bits whose codes are not there",
     {{{".weight_scale_inv"}}},
     kWholeAdvice,
     false,
     {".weight", ".weight_packed"}},
    {"has scales of quantized weights whose codes are not there",
     {{{".weight_scale"}}},
     kWholeAdvice,
     false,
     {".weight", ".weight_packed"}},
    {"has scales of floats of 8 or 4 bits whose codes are not there",
     {{{".scale", {kF8E8M0}}}},
     kWholeAdvice,
     false,
     {".weight"}},
    {"has scales of floats of 8 bits whose codes are not there",
     {{{".scale_weight"}}},
     kWholeAdvice,
     false,
     {".weight"}},
    {"has scales of floats of 8 bits whose codes are not there",
     {{{".qscale_weight"}}},
     kWholeAdvice,
     false,
     {".weight"}},
    {"has scales of MLX whose codes are not there",
     {{{".scales", {kU8}}}},
     kWholeAdvice,
     false,
     {".weight", ".qweight"}},
    {"has scales of MXFP4 whose codes are not there", {{{"_scales", {kU8}}}}, kWholeAdvice, false, {"_blocks"}},
};

using Names = std::unordered_map<std::string_view, const LogicalTensor*>;

bool fits(const Part& part, const LogicalTensor& tensor) {
  const bool has_dtype = part.dtypes[0] == DType() || std::ranges::find(part.dtypes, tensor.dtype) != part.dtypes.end();
  return !tensor.spec && has_dtype;
}

// Whether the tensor and others of its stem are one weight of that kind.
bool is_one(const Kind& kind, const LogicalTensor& tensor, const Names& names) {
  const Part& first = kind.parts[0];
  if (!tensor.name.ends_with(first.suffix) || !fits(first, tensor)) return false;
  const std::string stem = tensor.name.substr(0, tensor.name.size() - first.suffix.size());
  const auto is_there = [&](std::string_view suffix) {
    return !suffix.empty() && names.contains(stem + std::string(suffix));
  };
  if (std::ranges::any_of(kind.lacks, is_there)) return false;
  return std::ranges::all_of(kind.parts.begin() + 1, kind.parts.end(), [&](const Part& part) {
    if (part.suffix.empty()) return true;
    const auto found = names.find(stem + std::string(part.suffix));
    return found != names.end() && fits(part, *found->second);
  });
}

// Names with nothing behind them: the shape of a weight is gone with its values.
std::optional<ForeignTensors> find_empty(std::span<const LogicalTensor> logical) {
  ForeignTensors found;
  found.is_part = true;
  std::size_t floats = 0;
  for (const LogicalTensor& tensor : logical) {
    if (tensor.spec || !is_weight_dtype(tensor.dtype)) continue;
    ++floats;
    if (tensor.shape != Shape{0} || !tensor.name.ends_with("weight")) continue;
    ++found.count;
    if (found.example.empty()) found.example = tensor.name;
  }
  if (found.count == 0 || 2 * found.count < floats) return std::nullopt;
  found.what = "has names, but most of its weights are empty: a part of a DeepSpeed ZeRO-3 checkpoint";
  found.advice = "make one checkpoint of all parts first: zero_to_fp32.py, which DeepSpeed writes beside them, does so";
  return found;
}

}  // namespace

std::string ForeignTensors::text() const {
  return formatted("{} ({} {}, as {})", what, count, count == 1 ? "weight" : "weights", example);
}

std::optional<ForeignTensors> find_foreign_tensors(std::span<const LogicalTensor> logical) {
  if (auto empty = find_empty(logical)) return empty;
  Names names;
  for (const LogicalTensor& tensor : logical) names.emplace(tensor.name, &tensor);
  std::array<ForeignTensors, std::size(kKinds)> found;
  for (const LogicalTensor& tensor : logical) {
    const auto* kind = std::ranges::find_if(kKinds, [&](const Kind& each) { return is_one(each, tensor, names); });
    if (kind == std::end(kKinds)) continue;
    ForeignTensors& one = found[static_cast<std::size_t>(kind - kKinds)];
    if (one.count++ == 0) one.example = tensor.name;
  }
  const auto most = std::ranges::max_element(found, {}, &ForeignTensors::count);
  if (most->count == 0) return std::nullopt;
  const Kind& kind = kKinds[most - found.begin()];
  most->what = kind.what;
  most->is_part = kind.is_part;
  most->advice = kind.advice.empty() ? kFloatAdvice : kind.advice;
  return std::move(*most);
}

void refuse_foreign_tensors(const TensorSource& source, std::span<const LogicalTensor> logical) {
  const auto found = find_foreign_tensors(logical);
  if (!found) return;
  throw Error(Status::kUnsupported, formatted("{}: {}, which is not read as weights", source.title(), found->text()),
              found->advice, found->example);
}

}  // namespace mnq
