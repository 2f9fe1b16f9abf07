// minmax: the scale is what the largest weight of a group needs. Source: arXiv:1712.05877.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/float_conversions.h"
#include "kernels/not_finite.h"
#include "methods/book_scales.h"
#include "methods/method.h"

namespace mnq {
namespace {

using kernels::kernel_table;

// The group whose scale no float of the stored dtype can hold; empty where all can.
std::optional<std::uint64_t> find_lost_scale(const CodedPiece& piece) {
  const std::uint64_t groups = piece.groups();
  for (std::uint64_t i = 0; i < piece.scale_count(); ++i) {
    if (!std::isfinite(piece.scales[i])) return i / groups * piece.place.column_count + i % groups * piece.group_size;
  }
  return std::nullopt;
}

// Where a kernel puts what it makes of a piece.
struct Made {
  kernels::CodeRule rule;
  std::uint64_t group_size;
  float* scales;
  std::int8_t* zero_points;
  std::int8_t* codes;
  kernels::ErrorSums* sums;
};

// Codes of integers or floats by a kernel that chooses their scales: quantize(made) gives the element that cannot be
// coded.
template <class Quantize>
Coded code_rows(const QuantizedSpec& spec, const PiecePlace& place, MethodBuffers& buffers, const Quantize& quantize) {
  const std::uint64_t group_size = group_size_in(spec, place);
  const std::uint64_t scale_count = place.row_count * ceil_div(place.column_count, group_size);
  buffers.sums.resize(place.row_count);
  Made made{code_rule(scheme_of(spec), spec),
            group_size,
            buffers.scales.get<float>(scale_count),
            buffers.zero_points.get<std::int8_t>(scale_count),
            buffers.codes.get<std::int8_t>(place.count()),
            buffers.sums.data()};
  made.rule.is_packed = packs_nibbles(spec, place, buffers);
  const CodedPiece piece{.place = place,
                         .group_size = group_size,
                         .codes = made.rule.is_packed ? nullptr : made.codes,
                         .nibbles = made.rule.is_packed ? reinterpret_cast<const std::uint8_t*>(made.codes) : nullptr,
                         .scales = made.scales,
                         .zero_points = has_book_codes(scheme_of(spec)) ? nullptr : made.zero_points};
  if (const auto bad = quantize(made)) return {piece, bad};
  if (spec.symmetric) std::memset(made.zero_points, 0, scale_count);
  return {piece, find_lost_scale(piece)};
}

Coded code_integers(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  return code_rows(spec, place, buffers, [&](const Made& made) -> std::optional<std::uint64_t> {
    const std::size_t done =
        kernel_table().quantize_rows(weights, place.row_count, place.column_count, made.group_size, made.rule,
                                     made.scales, made.zero_points, made.codes, made.sums);
    return done < place.row_count ? find_not_finite(weights, place.count()) : std::nullopt;
  });
}

Coded code_floats(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  return code_rows(spec, place, buffers, [&](const Made& made) -> std::optional<std::uint64_t> {
    const std::size_t done =
        kernel_table().quantize_floats(weights, place.row_count, place.column_count, made.group_size,
                                       float_rule(scheme_of(spec), spec), made.scales, made.codes, made.sums);
    return done < place.row_count ? find_not_finite(weights, place.count()) : std::nullopt;
  });
}

bool fits_halves(const QuantizedSpec& spec) {
  return is_weight_dtype(spec.scale_dtype) && (!has_book_codes(scheme_of(spec)) || has_free_float_scales(spec));
}

std::size_t quantize_halves(const QuantizedSpec& spec, bool is_brain, const std::uint16_t* weights,
                            const PiecePlace& place, float* row, const Made& made) {
  const std::uint64_t rows = place.row_count, columns = place.column_count;
  if (scheme_of(spec).floats == nullptr) {
    return kernel_table().quantize_halves(weights, is_brain, row, rows, columns, made.group_size, made.rule,
                                          made.scales, made.zero_points, made.codes, made.sums);
  }
  return kernel_table().quantize_float_halves(weights, is_brain, row, rows, columns, made.group_size,
                                              float_rule(scheme_of(spec), spec), made.scales, made.codes, made.sums);
}

Coded code_halves(const QuantizedSpec& spec, DType dtype, const std::uint16_t* weights, const PiecePlace& place,
                  MethodBuffers& buffers) {
  auto* row = buffers.row.get<float>(place.column_count);
  return code_rows(spec, place, buffers, [&](const Made& made) -> std::optional<std::uint64_t> {
    const std::size_t done = quantize_halves(spec, dtype == DType::kBF16, weights, place, row, made);
    if (done == place.row_count) return std::nullopt;
    const std::uint64_t before = done * place.column_count;
    kernels::to_float32(kernel_table(), dtype, weights + before, place.column_count, row);
    return before + find_not_finite(row, place.column_count).value_or(0);
  });
}

// Of a book: a scale brings the largest weight of its group to the largest value.
Coded code_values(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  const std::uint64_t group_size = group_size_in(spec, place);
  auto* scales = buffers.scales.get<float>(place.row_count * ceil_div(place.column_count, group_size));
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  const CodedPiece piece{.place = place, .group_size = group_size, .codes = codes, .scales = scales};
  if (const auto bad = find_not_finite(weights, place.count())) return {piece, bad};
  BookScales(spec, buffers.global_scale).take(weights, place, scales);
  std::ranges::transform(std::span(scales, piece.scale_count()), scales,
                         [&](float scale) { return round_scale(spec, scale); });
  if (const auto bad = find_lost_scale(piece)) return {piece, bad};
  encode_and_measure(scheme_of(spec), weights, place, group_size, scales, codes, buffers.sums);
  return {piece, std::nullopt};
}

Coded code(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  if (!has_book_codes(scheme_of(spec))) return code_integers(spec, weights, place, buffers);
  return has_free_float_scales(spec) ? code_floats(spec, weights, place, buffers)
                                     : code_values(spec, weights, place, buffers);
}

bool fits(const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  return has_book_codes(scheme) || (has_integer_codes(spec) && !scheme.has_minima);
}

}  // namespace

bool has_scales_in_pieces(const QuantizedSpec& spec) {
  if (spec.granularity == Granularity::kGroup) return spec.group_rows == 1;
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  return spec.granularity == Granularity::kChannel && spec.channel_axis == spec.stacked_axes &&
         rows.row_length <= kMostPieceColumns;
}

// ggml's scales of 8 bits have no second level.
bool needs_survey(const QuantizedSpec& spec) {
  const bool has_global_scale = scheme_of(spec).has_global_scale && spec.scale_dtype != DType::kF8E4M3;
  return !has_scales_in_pieces(spec) || has_global_scale;
}

std::uint64_t group_size_in(const QuantizedSpec& spec, const PiecePlace& place) {
  return spec.granularity == Granularity::kGroup ? spec.group_size : place.column_count;
}

float round_to(DType dtype, float value) {
  if (dtype == DType::kF32) return value;
  std::uint64_t bytes = 0;
  float rounded = 0;
  kernels::from_float32(kernel_table(), dtype, &value, 1, &bytes);
  kernels::to_float32(kernel_table(), dtype, &bytes, 1, &rounded);
  return rounded;
}

float round_scale(const QuantizedSpec& spec, float scale) {
  if (!is_weight_dtype(spec.scale_dtype)) return scale;
  const float rounded = round_to(spec.scale_dtype, scale);
  const float least = spec.scale_dtype == DType::kF16 ? 0x1p-24f : 0x1p-126f;
  return rounded == 0 && scale != 0 ? std::copysign(least, scale) : rounded;
}

bool packs_nibbles(const QuantizedSpec& spec, const PiecePlace& place, const MethodBuffers& buffers) {
  constexpr std::uint64_t kWhole = 32;
  return buffers.packs_nibbles && has_bits(scheme_of(spec), 4) && has_integer_codes(spec) &&
         place.column_count % kWhole == 0 && group_size_in(spec, place) % kWhole == 0;
}

void code_run(const QuantizedSpec& spec, const float* weights, std::uint64_t count, float scale, std::int8_t zero_point,
              std::int8_t* codes, std::vector<kernels::ErrorSums>& sums) {
  const Scheme& scheme = scheme_of(spec);
  if (has_book_codes(scheme)) {
    kernels::ErrorSums* of_run = scheme.floats != nullptr ? &sums.emplace_back() : nullptr;
    return encode_values(scheme, weights, 1, count, std::max<std::uint64_t>(count, 1), &scale, codes, of_run);
  }
  kernel_table().quantize_run(weights, count, scale, zero_point, code_rule(scheme, spec), codes, &sums.emplace_back());
}

// By the same rule as everywhere: a row of just its two ends has that range.
ScaleOfRange scale_of_range(const QuantizedSpec& spec, const kernels::Range& range) {
  if (has_book_codes(scheme_of(spec))) return {BookScales(spec, 1).of(range), 0};
  const kernels::CodeRule rule = code_rule(scheme_of(spec), spec);
  const float ends[2] = {range.minimum, range.maximum};
  ScaleOfRange result;
  std::int8_t codes[2];
  kernel_table().quantize_rows(ends, 1, 2, 2, rule, &result.scale, rule.symmetric ? nullptr : &result.zero_point, codes,
                               nullptr);
  result.scale = round_scale(spec, result.scale);
  return result;
}

const Method kMinmaxMethod{
    .name = "minmax",
    .text = "the scale that the largest weight needs",
    .fits = fits,
    .code = code,
    .fits_halves = fits_halves,
    .code_halves = code_halves,
};

}  // namespace mnq
