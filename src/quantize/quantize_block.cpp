// What a PlanRun does to a block that gets quantized.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/float_conversions.h"
#include "quantize/job_parts.h"
#include "quantize/plan_run.h"
#include "schemes/ggml_rounding.h"

namespace mnq {
namespace {

using kernels::ErrorSums;
using kernels::KernelTable;
using kernels::Range;

float round_scale(const KernelTable& kernels, DType dtype, float scale) {
  if (dtype == DType::kF32) return scale;
  std::uint64_t bytes = 0;
  float rounded = 0;
  kernels::from_float32(kernels, dtype, &scale, 1, &bytes);
  kernels::to_float32(kernels, dtype, &bytes, 1, &rounded);
  // Too small for it: the smallest there is.
  if (rounded == 0) rounded = dtype == DType::kF16 ? 0x1p-24f : 0x1p-126f;
  return rounded;
}

// The scale and zero point of a range, by the same rule as everywhere: a row of just its two ends has that range.
struct ScaleOfRange {
  float scale = 1;
  std::int8_t zero_point = 0;
};
ScaleOfRange scale_of(const KernelTable& kernels, const kernels::CodeRule& rule, const Range& range) {
  const float ends[2] = {range.minimum, range.maximum};
  ScaleOfRange result;
  std::int8_t codes[2];
  kernels.quantize_rows(ends, 1, 2, 2, rule, &result.scale, rule.symmetric ? nullptr : &result.zero_point, codes,
                        nullptr);
  return result;
}

Range merge(const Range& a, const Range& b) {
  return {std::min(a.minimum, b.minimum), std::max(a.maximum, b.maximum), std::max(a.max_abs_bits, b.max_abs_bits)};
}

void widen(Range& range, float weight) {
  range.minimum = std::min(range.minimum, weight);
  range.maximum = std::max(range.maximum, weight);
  range.max_abs_bits = std::max(range.max_abs_bits, std::bit_cast<std::uint32_t>(weight) & 0x7fffffff);
}

// Whether the channels are the last axis, so that neighbours have other scales, and the block is whole runs of them.
bool has_channels_last(const QuantizedSpec& spec, const Block& block) {
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  return spec.granularity == Granularity::kChannel && rows.row_length == 1 && rows.channel_count > 1 &&
         block.first_row % rows.channel_count == 0 && block.row_count % rows.channel_count == 0;
}

// [rows, columns] to [columns, rows], in tiles that stay in cache.
template <class Value>
void turn(const Value* from, std::uint64_t row_count, std::uint64_t column_count, Value* to) {
  constexpr std::uint64_t kTile = 16;
  for (std::uint64_t row = 0; row < row_count; row += kTile) {
    const std::uint64_t row_end = std::min(row + kTile, row_count);
    for (std::uint64_t column = 0; column < column_count; column += kTile) {
      const std::uint64_t column_end = std::min(column + kTile, column_count);
      for (std::uint64_t r = row; r < row_end; ++r) {
        for (std::uint64_t c = column; c < column_end; ++c) to[c * row_count + r] = from[r * column_count + c];
      }
    }
  }
}

}  // namespace

void PlanRun::quantize_block(const Block& block, Scratch& scratch) {
  const QuantizedSpec& spec = planned(block).spec;
  if (spec.is_rounded_as_ggml) return quantize_as_ggml(block, scratch);
  const Scheme& scheme = scheme_of(spec);
  const std::uint64_t count = block.row_count * block.column_count;
  const std::uint64_t group_size = spec.granularity == Granularity::kGroup ? spec.group_size : block.column_count;
  const std::uint64_t scale_count = block.row_count * ceil_div(block.column_count, group_size);
  const float* weights = load(block, scratch, count);
  auto* scales = scratch.scales.get<float>(scale_count);
  auto* zero_points = scratch.zero_points.get<std::int8_t>(scale_count);
  auto* codes = scratch.codes.get<std::int8_t>(count);
  scratch.sums.resize(block.row_count);
  const std::size_t done =
      kernels_.quantize_rows(weights, block.row_count, block.column_count, group_size, code_rule(scheme, spec), scales,
                             zero_points, codes, scratch.sums.data());
  if (done < block.row_count) return find_bad_element(block, scratch, weights, count);
  if (spec.symmetric) std::memset(zero_points, 0, scale_count);
  if (spec.scale_dtype != DType::kF32) round_scales(block, scratch, weights, group_size, scales, zero_points, codes);
  if (scratch.bad_element) return;
  if (is_double(block)) {
    auto* decoded = scratch.other.get<float>(count);
    kernels_.dequantize_rows(codes, block.row_count, block.column_count, group_size, scheme.rule.code_xor, scales,
                             zero_points, decoded);
    measure_double(block, scratch, decoded, count);
  }
  write_codes(block, scratch, codes);
  write_scales(block, PartRole::kScale, group_size, scales);
}

void PlanRun::write_scales(const Block& block, PartRole role, std::uint64_t group_size, const float* scales) {
  const std::uint64_t count = block.row_count * ceil_div(block.column_count, group_size);
  const std::uint64_t groups = scale_shape(planned(block).spec).groups;
  const std::uint64_t first = block.first_row * groups + block.first_column / group_size;
  write(states_[block.item].output(role), first * sizeof(float), scales, count * sizeof(float));
}

// Scales that are stored in fewer bits: the codes are made anew with what will be read.
void PlanRun::round_scales(const Block& block, Scratch& scratch, const float* weights, std::uint64_t group_size,
                           float* scales, const std::int8_t* zero_points, std::int8_t* codes) const {
  const QuantizedSpec& spec = planned(block).spec;
  const kernels::CodeRule rule = code_rule(scheme_of(spec), spec);
  std::size_t scale = 0;
  for (std::uint64_t row = 0; row < block.row_count; ++row) {
    scratch.sums[row] = {};
    for (std::uint64_t column = 0; column < block.column_count; column += group_size, ++scale) {
      const std::uint64_t begin = row * block.column_count + column;
      const std::uint64_t size = std::min(group_size, block.column_count - column);
      scales[scale] = round_scale(kernels_, spec.scale_dtype, scales[scale]);
      if (!std::isfinite(scales[scale])) {
        scratch.bad_element = first_element(block) + begin;
        return;
      }
      ErrorSums sums{};
      kernels_.quantize_run(weights + begin, size, scales[scale], zero_points[scale], rule, codes + begin, &sums);
      scratch.sums[row].signal += sums.signal;
      scratch.sums[row].error += sums.error;
      scratch.sums[row].max_error = std::max(scratch.sums[row].max_error, sums.max_error);
    }
  }
}

// ggml's own codes and scales; the accuracy is that of what its readers get.
void PlanRun::quantize_as_ggml(const Block& block, Scratch& scratch) {
  const QuantizedSpec& spec = planned(block).spec;
  const Scheme& scheme = scheme_of(spec);
  const std::uint64_t count = block.row_count * block.column_count;
  const std::uint64_t group_count = count / kGgmlGroup;
  const float* weights = load(block, scratch, count);
  find_bad_element(block, scratch, weights, count);
  if (scratch.bad_element) return;
  auto* scales = scratch.scales.get<float>(2 * group_count);
  float* minima = has_minima(spec) ? scales + group_count : nullptr;
  auto* codes = scratch.codes.get<std::int8_t>(count);
  if (minima != nullptr) {
    quantize_as_q4_1(kernels_, weights, count, scales, minima, codes);
  } else if (scheme.bits == 4) {
    quantize_as_q4_0(kernels_, weights, count, scales, codes);
  } else {
    quantize_as_q8_0(kernels_, weights, count, scales, codes);
  }
  const std::uint64_t scale_count = minima == nullptr ? group_count : 2 * group_count;
  if (const auto bad = mnq::find_not_finite(kernels_, scales, scale_count)) {
    scratch.bad_element = first_element(block) + *bad % group_count * kGgmlGroup;  // its scale is none in float16
    return;
  }
  auto* decoded = scratch.other.get<float>(count);
  decode_groups(kernels_, codes, count, kGgmlGroup, scales, minima, decoded);
  measure(block, scratch, weights, decoded, count);
  write_codes(block, scratch, codes);
  write_scales(block, PartRole::kScale, kGgmlGroup, scales);
  if (minima != nullptr) write_scales(block, PartRole::kMinimum, kGgmlGroup, minima);
}

void PlanRun::write_codes(const Block& block, Scratch& scratch, const std::int8_t* codes) {
  const QuantizedSpec& spec = planned(block).spec;
  const Scheme& scheme = scheme_of(spec);
  const std::uint64_t row_length = row_view(spec.shape, spec.channel_axis).row_length;
  const std::uint64_t offset = block.first_row * scheme.code_bytes(row_length) + scheme.code_bytes(block.first_column);
  const std::uint64_t size = block.row_count * scheme.code_bytes(block.column_count);
  const void* stored = codes;
  if (scheme.pack != nullptr) {
    auto* packed = scratch.stored.get<std::byte>(size);
    scheme.pack(kernels_, codes, block.row_count, block.column_count, packed);
    stored = packed;
  }
  write(states_[block.item].output(PartRole::kCodes), offset, stored, size);
}

void PlanRun::range_block(const Block& block, Scratch& scratch) {
  if (is_passed_over(block.item)) return;
  const std::uint64_t count = block.row_count * block.column_count;
  const float* weights = load(block, scratch, count);
  find_bad_element(block, scratch, weights, count);
  if (scratch.bad_element) return;
  scratch.ranges.clear();
  if (planned(block).spec.granularity == Granularity::kTensor) {
    scratch.ranges.push_back(kernels_.range(weights, count));
    return;
  }
  if (has_channels_last(planned(block).spec, block)) return range_columns(block, scratch, weights);
  for (std::uint64_t row = 0; row < block.row_count; ++row) {
    scratch.ranges.push_back(kernels_.range(weights + row * block.column_count, block.column_count));
  }
}

// A range for each channel of the matrices that the block is of.
void PlanRun::range_columns(const Block& block, Scratch& scratch, const float* weights) const {
  const ScaleShape scales = scale_shape(planned(block).spec);
  const std::uint64_t first = scales.row_of(block.first_row), channels = scales.channel_count;
  scratch.ranges.assign(scales.row_of(block.first_row + block.row_count - 1) - first + 1, Range{0, 0, 0});
  for (std::uint64_t row = 0; row < block.row_count; row += channels) {
    Range* ranges = &scratch.ranges[scales.row_of(block.first_row + row) - first];
    for (std::uint64_t i = 0; i < channels; ++i) widen(ranges[i], weights[row + i]);
  }
}

void PlanRun::keep_ranges(const Block& block, Scratch& scratch) {
  if (is_passed_over(block.item) || is_unfit(block.item)) return;
  if (scratch.bad_element) return refuse(block.item, *scratch.bad_element);
  add_ranges(block, scratch);
}

void PlanRun::add_ranges(const Block& block, const Scratch& scratch) {
  ItemState& state = states_[block.item];
  const ScaleShape scales = scale_shape(planned(block).spec);
  if (state.ranges.empty()) state.ranges.resize(scales.row_count, Range{0, 0, 0});
  const bool is_by_channel = has_channels_last(planned(block).spec, block);
  const std::uint64_t first = scales.row_of(block.first_row);
  for (std::uint64_t i = 0; i < scratch.ranges.size(); ++i) {
    Range& range = state.ranges[is_by_channel ? first + i : scales.row_of(block.first_row + i)];
    range = merge(range, scratch.ranges[i]);
  }
}

// Returns an element whose scale cannot be stored, if there is one.
std::optional<std::uint64_t> PlanRun::make_scales(std::size_t item) {
  ItemState& state = states_[item];
  const QuantizedSpec& spec = plan_.tensor(item).spec;
  const ScaleShape shape = scale_shape(spec);
  const kernels::CodeRule rule = code_rule(scheme_of(spec), spec);
  state.scales.resize(state.ranges.size());
  state.zero_points.assign(state.ranges.size(), 0);
  for (std::size_t i = 0; i < state.ranges.size(); ++i) {
    const ScaleOfRange result = scale_of(kernels_, rule, state.ranges[i]);
    state.scales[i] = round_scale(kernels_, spec.scale_dtype, result.scale);
    state.zero_points[i] = result.zero_point;
    if (std::isfinite(state.scales[i])) continue;
    const std::uint64_t row = i / shape.channel_count * shape.matrix_rows + i % shape.channel_count;
    return row * row_view(spec.shape, spec.channel_axis).row_length;
  }
  write(state.output(PartRole::kScale), 0, state.scales.data(), state.scales.size() * sizeof(float));
  return std::nullopt;
}

void PlanRun::quantize_with_known_scales(const Block& block, Scratch& scratch) {
  const QuantizedSpec& spec = planned(block).spec;
  const ItemState& state = states_[block.item];
  const ScaleShape scales = scale_shape(spec);
  const kernels::CodeRule rule = code_rule(scheme_of(spec), spec);
  const std::uint64_t count = block.row_count * block.column_count;
  const float* weights = load(block, scratch, count);
  auto* codes = scratch.codes.get<std::int8_t>(count);
  if (has_channels_last(spec, block)) {
    quantize_columns(block, scratch, weights, codes);
  } else {
    // One scale for all makes one run of all rows.
    const std::uint64_t run_rows = spec.granularity == Granularity::kTensor ? block.row_count : 1;
    const std::uint64_t run_length = run_rows * block.column_count;
    scratch.sums.resize(block.row_count / run_rows);
    for (std::uint64_t run = 0; run < scratch.sums.size(); ++run) {
      const std::uint64_t scale = scales.row_of(block.first_row + run * run_rows);
      const std::uint64_t begin = run * run_length;
      kernels_.quantize_run(weights + begin, run_length, state.scales[scale], state.zero_points[scale], rule,
                            codes + begin, &scratch.sums[run]);
    }
  }
  if (is_double(block)) {
    auto* decoded = scratch.other.get<float>(count);
    for (std::uint64_t row = 0; row < block.row_count; ++row) {
      const std::uint64_t scale = scales.row_of(block.first_row + row);
      const std::uint64_t begin = row * block.column_count;
      kernels_.dequantize_rows(codes + begin, 1, block.column_count, block.column_count, rule.code_xor,
                               &state.scales[scale], &state.zero_points[scale], decoded + begin);
    }
    measure_double(block, scratch, decoded, count);
  }
  write_codes(block, scratch, codes);
}

// Turned around, so that each channel of a matrix is a run.
void PlanRun::quantize_columns(const Block& block, Scratch& scratch, const float* weights, std::int8_t* codes) const {
  const QuantizedSpec& spec = planned(block).spec;
  const ItemState& state = states_[block.item];
  const ScaleShape scales = scale_shape(spec);
  const kernels::CodeRule rule = code_rule(scheme_of(spec), spec);
  const std::uint64_t channels = scales.channel_count;
  auto* turned = scratch.other.get<float>(block.row_count);
  auto* turned_codes = scratch.stored.get<std::int8_t>(block.row_count);
  scratch.sums.clear();
  for (std::uint64_t done = 0; done < block.row_count;) {
    const std::uint64_t row = block.first_row + done;
    const std::uint64_t count = std::min(scales.matrix_rows - row % scales.matrix_rows, block.row_count - done);
    const std::uint64_t length = count / channels, first_scale = scales.row_of(row);
    turn(weights + done, length, channels, turned);
    for (std::uint64_t i = 0; i < channels; ++i) {
      kernels_.quantize_run(turned + i * length, length, state.scales[first_scale + i],
                            state.zero_points[first_scale + i], rule, turned_codes + i * length,
                            &scratch.sums.emplace_back());
    }
    turn(turned_codes, channels, length, codes + done);
    done += count;
  }
}

void PlanRun::keep_zero_points(const Block& block, Scratch& scratch) {
  ItemState& state = states_[block.item];
  const QuantizedSpec& spec = planned(block).spec;
  if (state.output(PartRole::kZeroPoint) == kNoOutput || !fits_one_pass(spec)) return;
  const std::uint64_t group_size = spec.granularity == Granularity::kGroup ? spec.group_size : block.column_count;
  const std::uint64_t count = block.row_count * ceil_div(block.column_count, group_size);
  const ScaleShape scales = scale_shape(spec);
  state.zero_points.resize(scales.row_count * scales.groups);
  const std::uint64_t first = block.first_row * scales.groups + block.first_column / group_size;
  std::memcpy(&state.zero_points[first], scratch.zero_points.get<std::int8_t>(count), count);
}

}  // namespace mnq
