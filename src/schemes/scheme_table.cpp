#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/format.h"
#include "schemes/scheme.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::array kSchemes{&kInt8Scheme, &kUint8Scheme, &kInt4Scheme, &kFloat16Scheme, &kQ4_1Scheme};

}  // namespace

std::span<const Scheme* const> all_schemes() { return kSchemes; }

const Scheme* find_scheme(std::string_view name) {
  const auto found = std::ranges::find(kSchemes, name, &Scheme::name);
  return found == kSchemes.end() ? nullptr : *found;
}

const Scheme& scheme_of(const QuantizedSpec& spec) {
  const Scheme* scheme = find_scheme(spec.scheme);
  if (scheme == nullptr) throw Error(Status::kInternal, formatted("no scheme is called {}", spec.scheme));
  return *scheme;
}

ScaleShape scale_shape(const QuantizedSpec& spec) {
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  std::uint64_t matrices = 1;
  switch (spec.granularity) {
    case Granularity::kTensor:
      return {1, 1, 1, rows.row_count};
    case Granularity::kChannel:
      for (std::int64_t axis = 0; axis < spec.stacked_axes; ++axis) {
        matrices *= static_cast<std::uint64_t>(spec.shape[static_cast<std::size_t>(axis)]);
      }
      return {matrices * rows.channel_count, 1, rows.channel_count, rows.row_count / matrices};
    case Granularity::kGroup:
      break;
  }
  return {rows.row_count, ceil_div(rows.row_length, spec.group_size), rows.row_count, rows.row_count};
}

Shape scale_matrix(const QuantizedSpec& spec) {
  const ScaleShape scales = scale_shape(spec);
  return {static_cast<std::int64_t>(scales.row_count), static_cast<std::int64_t>(scales.groups)};
}

std::string scheme_text(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  if (scheme.is_cast) return std::string(scheme.text);
  std::string text(scheme.text);
  if (spec.granularity == Granularity::kTensor) text += " per tensor";
  if (spec.granularity == Granularity::kChannel) text += " per channel";
  if (spec.granularity == Granularity::kGroup) text += formatted(" group {}", spec.group_size);
  if (spec.symmetric != scheme.symmetric_default) text += spec.symmetric ? " symmetric" : " asymmetric";
  return text;
}

kernels::CodeRule code_rule(const Scheme& scheme, const QuantizedSpec& spec) {
  kernels::CodeRule rule = scheme.rule;
  rule.symmetric = spec.symmetric;
  return rule;
}

}  // namespace mnq
