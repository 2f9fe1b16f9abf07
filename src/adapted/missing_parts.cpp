#include "adapted/missing_parts.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "base/text/format.h"
#include "layouts/stored_specs.h"

namespace mnq {
namespace {

// A tensor X + suffix that comes with codes, which are called X + one of these.
struct Part {
  std::string_view suffix;
  std::array<std::string_view, 2> codes{};
  bool is_of_powers = false;  // only where it holds powers of two: of other tensors the name may be one as well
};

constexpr Part kParts[] = {
    {".weight_scale", {".weight", ".weight_packed"}},
    {".weight_scale_inv", {".weight", ".weight_packed"}},
    {".weight_scale_2", {".weight", ".weight_packed"}},
    {".weight_global_scale", {".weight", ".weight_packed"}},
    {".weight_zero_point", {".weight", ".weight_packed"}},
    {".weight_shape", {".weight", ".weight_packed"}},
    {".weight_g_idx", {".weight", ".weight_packed"}},
    {".scale_weight", {".weight"}},
    {".qscale_weight", {".weight"}},
    {".scale", {".weight"}, true},
    {"_scales", {"_blocks"}, true},
    {".qzeros", {".qweight"}},
    {".g_idx", {".qweight"}},
    {".scales", {".weight", ".qweight"}},
    {".weight.absmax", {".weight"}},
    {".SCB", {".weight"}},
};

// A part, and what its codes may be called.
struct FoundPart {
  const TensorInfo& info;
  std::vector<std::string> codes;
};

bool is_part(const Part& part, const TensorInfo& info) {
  const bool may_be_powers = info.dtype == DType::kU8 || info.dtype == DType::kF8E8M0;
  return info.name.ends_with(part.suffix) && (!part.is_of_powers || may_be_powers);
}

std::vector<FoundPart> find_parts(const NamedTensors& tensors) {
  std::vector<FoundPart> found;
  for (const auto& [name, index] : tensors.by_name()) {
    const TensorInfo& info = tensors.source().tensors()[index];
    const auto* part = std::ranges::find_if(kParts, [&](const Part& each) { return is_part(each, info); });
    if (part == std::end(kParts)) continue;
    FoundPart& one = found.emplace_back(info);
    for (const std::string_view suffix : part->codes) {
      if (suffix.empty()) continue;
      one.codes.push_back(name.substr(0, name.size() - part->suffix.size()) + std::string(suffix));
    }
  }
  return found;
}

std::set<std::size_t> parts_of(std::span<const LogicalTensor> weights) {
  std::set<std::size_t> parts;
  for (const LogicalTensor& weight : weights) parts.insert(weight.parts.begin(), weight.parts.end());
  return parts;
}

// Scales of a lost weight may be floats of 8 bits themselves.
bool is_float8_matrix(const TensorInfo& info) {
  const bool is_matrix = info.shape.size() == 2 || info.shape.size() == 3;
  const auto has = [&](std::string_view word) { return info.name.find(word) != std::string::npos; };
  return find_float8_scheme(info.dtype) != nullptr && is_matrix && info.size_bytes > 0 && !has("scale") &&
         !has("zero_point") && !has("embed");
}

}  // namespace

void require_codes(const NamedTensors& tensors) {
  for (const FoundPart& part : find_parts(tensors)) {
    if (std::ranges::any_of(part.codes, [&](const std::string& name) { return tensors.find(name).has_value(); })) {
      continue;
    }
    const std::string other = part.codes.size() > 1 ? formatted(", also as {}", part.codes[1]) : std::string();
    tensors.fail(part.codes[0], formatted("is missing{}, though {} is there", other, part.info.name));
  }
}

void require_known_codes(const NamedTensors& tensors, std::span<const LogicalTensor> found) {
  const std::set<std::size_t> known = parts_of(found);
  for (const FoundPart& part : find_parts(tensors)) {
    for (const std::string& name : part.codes) {
      const auto index = tensors.find(name);
      if (!index || known.contains(*index)) continue;
      const TensorInfo& info = tensors.source().tensors()[*index];
      if (is_weight_dtype(info.dtype) || find_float8_scheme(info.dtype) != nullptr || info.size_bytes == 0) continue;
      tensors.fail(name, formatted("is {} {}, which are no codes with {}", dtype_name(info.dtype),
                                   shape_text(info.shape), part.info.name));
    }
  }
}

void require_no_bare_codes(const NamedTensors& tensors, std::span<const LogicalTensor> found) {
  const std::set<std::size_t> known = parts_of(found);
  for (const auto& [name, index] : tensors.by_name()) {
    const TensorInfo& info = tensors.source().tensors()[index];
    const bool has_bytes = info.dtype == DType::kI8 || info.dtype == DType::kU8;
    if (!has_bytes || info.shape.size() < 2 || info.size_bytes == 0 || !name.ends_with(".weight")) continue;
    if (!known.contains(index))
      tensors.fail(name, formatted("is {}, and its scales are missing", dtype_name(info.dtype)));
  }
}

void require_scales(const NamedTensors& tensors, std::span<const LogicalTensor> found, std::string_view scale,
                    std::string_view teller, const SaysQuantized& is_quantized) {
  const std::set<std::size_t> known = parts_of(found);
  for (const auto& [name, index] : tensors.by_name()) {
    if (known.contains(index) || !is_float8_matrix(tensors.source().tensors()[index])) continue;
    if (!is_quantized(stem_of(name))) continue;
    tensors.fail(name + std::string(scale), formatted("is missing, though {} says that {} is quantized", teller, name));
  }
}

}  // namespace mnq
