#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text/format.h"
#include "schemes/scheme.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::array kSchemes{
#define MNQ_SCHEME(scheme) &(scheme),
#include "schemes/scheme_rows.inc"
#undef MNQ_SCHEME
};

kernels::ScaleFloats scale_floats(DType dtype) {
  if (dtype == DType::kBF16) return kernels::ScaleFloats::kBrain;
  return dtype == DType::kF16 ? kernels::ScaleFloats::kHalf : kernels::ScaleFloats::kFloat32;
}

}  // namespace

std::span<const Scheme* const> all_schemes() { return kSchemes; }

const Scheme* find_scheme(std::string_view name) {
  const auto found = std::ranges::find(kSchemes, name, &Scheme::name);
  return found == kSchemes.end() ? nullptr : *found;
}

const Scheme& default_scheme() { return kInt8Scheme; }

std::string list_chosen_schemes() {
  std::string names;
  for (const Scheme* scheme : kSchemes) {
    if (scheme->may_be_chosen) names += (names.empty() ? "" : ",") + std::string(scheme->name);
  }
  return names;
}

std::string list_code_bits() {
  std::set<std::int32_t> bits;
  for (const Scheme* scheme : kSchemes) {
    if (scheme->may_be_chosen) bits.insert(scheme->bits);
  }
  std::string text;
  for (const std::int32_t each : bits) text += (text.empty() ? "" : ",") + std::to_string(each);
  return text;
}

// The most frequent value is that of the others.
std::string list_by_default(const std::function<std::string(const Scheme&)>& value_of) {
  std::map<std::string, std::vector<std::string_view>> names;
  for (const Scheme* scheme : kSchemes) {
    if (scheme->may_be_chosen && !scheme->is_cast) names[value_of(*scheme)].push_back(scheme->name);
  }
  const auto most = std::ranges::max_element(names, {}, [](const auto& row) { return row.second.size(); });
  std::string text;
  for (const auto& [value, schemes] : names) {
    if (value == most->first) continue;
    std::string listed;
    for (const std::string_view name : schemes) listed += (listed.empty() ? "" : ", ") + std::string(name);
    text += formatted("{} for {}, ", value, listed);
  }
  return text + most->first + " for others";
}

std::string bits_advice() {
  std::vector<std::pair<std::int32_t, std::string>> rows;
  for (const Scheme* scheme : kSchemes) {
    if (!scheme->may_be_chosen) continue;
    auto row = std::ranges::find(rows, scheme->bits, [](const auto& each) { return each.first; });
    if (row == rows.end()) row = rows.insert(rows.end(), {scheme->bits, ""});
    row->second += (row->second.empty() ? "" : " or ") + std::string(scheme->name);
    if (!scheme->narrows.empty()) row->second += " or " + std::string(scheme->narrows);
  }
  std::string text;
  for (const auto& [bits, names] : rows) {
    text += text.empty() ? formatted("{} bits go with {}", bits, names) : formatted(", {} with {}", bits, names);
  }
  return text;
}

std::string bits_text(const Scheme& scheme) { return std::to_string(scheme.bits); }

bool has_bits(const Scheme& scheme, std::int64_t bits) { return scheme.bits == bits; }

const Scheme& half_cast_scheme() { return kFloat16Scheme; }

const Scheme& scheme_of(const QuantizedSpec& spec) {
  const Scheme* scheme = find_scheme(spec.scheme);
  if (scheme == nullptr) throw Error(Status::kInternal, formatted("no scheme is called {}", spec.scheme));
  return *scheme;
}

const Scheme* find_scheme_of_bits(std::int64_t bits) {
  const auto found = std::ranges::find_if(
      kSchemes, [&](const Scheme* each) { return each->is_default_of_bits && each->bits == bits; });
  return found == kSchemes.end() ? nullptr : *found;
}

const Scheme* find_narrower_scheme(const Scheme& scheme, std::int64_t bits) {
  const auto found = std::ranges::find_if(
      kSchemes, [&](const Scheme* each) { return each->narrows == scheme.name && each->bits == bits; });
  return found == kSchemes.end() ? nullptr : *found;
}

ScaleShape scale_shape(const QuantizedSpec& spec) {
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  std::uint64_t matrices = 1;
  for (std::int64_t axis = 0; axis < spec.stacked_axes; ++axis) {
    matrices *= static_cast<std::uint64_t>(spec.shape[static_cast<std::size_t>(axis)]);
  }
  switch (spec.granularity) {
    case Granularity::kTensor:
      return {1, 1, 1, rows.row_count};
    case Granularity::kChannel:
      return {matrices * rows.channel_count, 1, rows.channel_count, rows.row_count / matrices};
    case Granularity::kGroup:
      break;
  }
  const std::uint64_t matrix_rows = rows.row_count / matrices, row_blocks = ceil_div(matrix_rows, spec.group_rows);
  return {matrices * row_blocks, ceil_div(rows.row_length, spec.group_size), row_blocks, matrix_rows, spec.group_rows};
}

Shape scale_matrix(const QuantizedSpec& spec) {
  const ScaleShape scales = scale_shape(spec);
  return {static_cast<std::int64_t>(scales.row_count), static_cast<std::int64_t>(scales.groups)};
}

std::string scheme_text(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  if (scheme.is_cast || scheme.blocks != nullptr) return std::string(scheme.text);
  std::string text(scheme.text);
  if (spec.granularity == Granularity::kTensor) text += " per tensor";
  if (spec.granularity == Granularity::kChannel) text += " per channel";
  if (spec.granularity == Granularity::kGroup) {
    text += spec.group_rows > 1 ? formatted(" block {}x{}", spec.group_rows, spec.group_size)
                                : formatted(" group {}", spec.group_size);
  }
  if (spec.has_group_order) text += " actorder";
  if (spec.symmetric != scheme.symmetric_default) text += spec.symmetric ? " symmetric" : " asymmetric";
  return text;
}

std::int32_t code_bits(const QuantizedSpec& spec) { return scheme_of(spec).bits; }

bool is_coded(const QuantizedSpec& spec) { return !scheme_of(spec).is_cast; }

bool has_book_codes(const Scheme& scheme) { return scheme.floats != nullptr || scheme.values != nullptr; }

bool has_integer_codes(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return !scheme.is_cast && scheme.book == nullptr && scheme.blocks == nullptr;
}

bool has_zero_points(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  if (!has_integer_codes(spec) || scheme.has_minima) return false;
  return !spec.symmetric || scheme.always_has_zero_points;
}

kernels::CodeRule code_rule(const Scheme& scheme, const QuantizedSpec& spec) {
  kernels::CodeRule rule = scheme.rule;
  rule.symmetric = spec.symmetric;
  rule.scale_floats = scale_floats(spec.scale_dtype);
  return rule;
}

kernels::FloatRule float_rule(const Scheme& scheme, const QuantizedSpec& spec) {
  kernels::FloatRule rule = *scheme.floats;
  rule.scale_floats = scale_floats(spec.scale_dtype);
  return rule;
}

}  // namespace mnq
