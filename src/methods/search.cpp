// search: of a few scales that cut the largest weights of a group more or less, the one whose codes explain most of it.
// A symmetric scale may be negative, so that the long side of the codes goes to the side of the largest weight.
// Measured on Gaussian weights in int4, groups of 128: 20.29 dB where minmax has 19.12.
#include <algorithm>
#include <cmath>

#include "kernels/not_finite.h"
#include "kernels/search_rules.h"
#include "methods/book_scales.h"
#include "methods/method.h"
#include "methods/search_book.h"

namespace mnq {
namespace {

using kernels::kernel_table;
using kernels::SearchRule;

// What is chosen for a piece, [its groups] each.
struct Choice {
  float* scales;
  std::int8_t* zero_points;
  float* minima;  // null: the scheme has none
};

// The number of rows that were done.
std::size_t choose(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, const Choice& choice) {
  const std::uint64_t rows = place.row_count, length = place.column_count, group_size = group_size_in(spec, place);
  const std::int32_t bits = scheme_of(spec).bits;
  if (choice.minima != nullptr) {
    const SearchRule rule = kernels::minimum_search(bits);
    return kernel_table().search_minimum(weights, rows, length, group_size, rule, choice.scales, choice.minima);
  }
  if (!spec.symmetric) {
    const SearchRule rule = kernels::zero_point_search(bits);
    return kernel_table().search_zero_point(weights, rows, length, group_size, rule, choice.scales, choice.zero_points);
  }
  const bool is_whole_row = spec.granularity == Granularity::kChannel;
  const SearchRule rule = kernels::symmetric_search(bits, is_whole_row, !spec.has_free_scales);
  return kernel_table().search_symmetric(weights, rows, length, group_size, rule, choice.scales);
}

// As they are stored. The group of one that cannot be; empty where all can.
std::optional<std::uint64_t> round_choice(const QuantizedSpec& spec, const Choice& choice, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    choice.scales[i] = round_scale(spec, choice.scales[i]);
    if (choice.minima != nullptr) choice.minima[i] = round_to(spec.scale_dtype, choice.minima[i]);
    const bool is_finite =
        std::isfinite(choice.scales[i]) && (choice.minima == nullptr || std::isfinite(choice.minima[i]));
    if (!is_finite) return i;
  }
  return std::nullopt;
}

Coded code_integers(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  const Scheme& scheme = scheme_of(spec);
  const std::uint64_t group_size = group_size_in(spec, place), groups = ceil_div(place.column_count, group_size);
  const std::uint64_t count = place.row_count * groups;
  auto* scales = buffers.scales.get<float>(2 * count);
  const Choice choice{scales, buffers.zero_points.get<std::int8_t>(count),
                      scheme.has_minima ? scales + count : nullptr};
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  const bool is_packed = packs_nibbles(spec, place, buffers);
  const CodedPiece piece{.place = place,
                         .group_size = group_size,
                         .codes = is_packed ? nullptr : codes,
                         .nibbles = is_packed ? reinterpret_cast<const std::uint8_t*>(codes) : nullptr,
                         .scales = scales,
                         .zero_points = scheme.has_minima ? nullptr : choice.zero_points,
                         .minima = choice.minima};
  const bool has_zero_point = !scheme.has_minima && !spec.symmetric;
  if (!has_zero_point) {
    std::fill_n(choice.zero_points, count, static_cast<std::int8_t>(scheme.has_minima ? scheme.rule.code_min : 0));
  }
  if (choose(spec, weights, place, choice) < place.row_count) return {piece, find_not_finite(weights, place.count())};
  if (const auto bad = round_choice(spec, choice, count)) {
    return {piece, *bad / groups * place.column_count + *bad % groups * group_size};
  }
  kernels::CodeRule rule = code_rule(scheme, spec);
  rule.symmetric_divisor = static_cast<float>(rule.code_max) + 0.5f;  // all codes are used
  rule.is_packed = is_packed;
  buffers.sums.resize(place.row_count);
  kernel_table().encode_rows(weights, place.row_count, place.column_count, group_size, rule, choice.scales,
                             choice.zero_points, choice.minima, codes, buffers.sums.data());
  return {piece, std::nullopt};
}

Coded code(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  return has_integer_codes(spec) ? code_integers(spec, weights, place, buffers)
                                 : search_book(spec, weights, place, buffers);
}

}  // namespace

bool may_have_free_scales(const QuantizedSpec& spec) {
  return spec.symmetric && !scheme_of(spec).has_minima && !has_few_scales(spec);
}

const Method kSearchMethod{
    .name = "search",
    .text = "the scale, of a few, whose codes explain most of a group",
    .fits = [](const QuantizedSpec& spec) { return has_integer_codes(spec) || can_search_book(spec); },
    .code = code,
    .makes_free_scales = true,
};

}  // namespace mnq
