// ggml: what ggml's own reference quantizers choose, bit for bit.
#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/not_finite.h"
#include "methods/ggml_rounding.h"
#include "methods/method.h"

namespace mnq {
namespace {

using kernels::kernel_table;

struct Rule {
  std::string_view scheme;
  void (*code)(const float* weights, std::size_t count, float* scales, float* minima, std::int8_t* codes);
  std::uint64_t group = kGgmlGroup;
  DType scale_dtype = DType::kF16;
};

void code_q8_0(const float* weights, std::size_t count, float* scales, float*, std::int8_t* codes) {
  quantize_as_q8_0(kernel_table(), weights, count, scales, codes);
}

template <int bits>
void code_qx_0(const float* weights, std::size_t count, float* scales, float*, std::int8_t* codes) {
  quantize_as_qx_0(kernel_table(), bits, weights, count, scales, codes);
}

template <int bits>
void code_qx_1(const float* weights, std::size_t count, float* scales, float* minima, std::int8_t* codes) {
  quantize_as_qx_1(kernel_table(), bits, weights, count, scales, minima, codes);
}

void code_mxfp4(const float* weights, std::size_t count, float* scales, float*, std::int8_t* codes) {
  quantize_as_mxfp4(weights, count, scales, codes);
}

void code_nvfp4(const float* weights, std::size_t count, float* scales, float*, std::int8_t* codes) {
  quantize_as_nvfp4(weights, count, scales, codes);
}

constexpr std::array kRules{
    Rule{"qint8", code_q8_0},
    Rule{"qint4", code_qx_0<4>},
    Rule{"q4_1", code_qx_1<4>},
    Rule{"qint5", code_qx_0<5>},
    Rule{"q5_1", code_qx_1<5>},
    Rule{"mxfp4", code_mxfp4, kGgmlGroup, DType::kF8E8M0},
    Rule{"nvfp4", code_nvfp4, kNvfp4Group, DType::kF8E4M3},
};

const Rule* rule_of(const QuantizedSpec& spec) {
  const auto found = std::ranges::find(kRules, spec.scheme, &Rule::scheme);
  return found == kRules.end() ? nullptr : &*found;
}

Coded code(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  const Rule& rule = *rule_of(spec);
  const std::uint64_t count = place.count(), groups = count / rule.group;
  const bool has_minima = scheme_of(spec).has_minima;
  buffers.sums.clear();
  auto* scales = buffers.scales.get<float>(2 * groups);
  auto* codes = buffers.codes.get<std::int8_t>(count);
  const CodedPiece piece{.place = place,
                         .group_size = rule.group,
                         .codes = codes,
                         .scales = scales,
                         .minima = has_minima ? scales + groups : nullptr};
  if (const auto bad = find_not_finite(weights, count)) return {piece, bad};
  rule.code(weights, count, scales, scales + groups, codes);
  // Scales that are none in float16.
  const auto bad = find_not_finite(scales, has_minima ? 2 * groups : groups);
  if (bad) return {piece, *bad % groups * rule.group};
  return {piece, std::nullopt};
}

}  // namespace

const Method kGgmlMethod{
    .name = "ggml",
    .text = "what ggml's reference quantizers choose",
    .fits =
        [](const QuantizedSpec& spec) {
          const Rule* rule = rule_of(spec);
          return rule != nullptr && spec.granularity == Granularity::kGroup && spec.group_size == rule->group &&
                 spec.scale_dtype == rule->scale_dtype &&
                 spec.shape.back() % static_cast<std::int64_t>(rule->group) == 0;
        },
    .code = code,
    .makes_free_scales = true,
};

}  // namespace mnq
