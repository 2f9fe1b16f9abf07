// The loop over a plan: every job that writes goes through PlanRun.
//
// Weights whose scales lie within a block are quantized in one pass, while the block is in cache. A scale that spans
// blocks (one for the whole tensor, rows longer than kMaxRowElements, channels on another axis) takes two: ranges
// first, then codes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "base/format.h"
#include "base/log.h"
#include "formats/compressed_tensors.h"
#include "kernels/float_conversions.h"
#include "quantize/block_loop.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"
#include "schemes/ggml_rounding.h"

namespace mnq {
namespace {

using kernels::ErrorSums;
using kernels::KernelTable;
using kernels::Range;

constexpr std::uint64_t kNoOutput = ~std::uint64_t{0};

// A weight with a value that is not finite, where the settings say to copy it then: the job starts over.
struct NotFiniteFound {};

bool fits_one_pass(const QuantizedSpec& spec) {
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  if (spec.granularity == Granularity::kGroup) return true;
  return spec.granularity == Granularity::kChannel && spec.channel_axis == 0 && rows.row_length <= kMaxRowElements;
}

// Pieces of a long row start where packed codes start a word and, where they get a scale, where a group starts. What
// is read back needs no groups, and those may be of any size: a file says it.
std::uint64_t piece_alignment(const PlannedTensor& planned) {
  return planned.action == Action::kQuantize ? 8 * std::max<std::uint64_t>(1, planned.spec.group_size) : 8;
}

std::string element_text(const Shape& shape, std::uint64_t element) {
  Shape position(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    position[axis] = static_cast<std::int64_t>(element % static_cast<std::uint64_t>(shape[axis]));
    element /= static_cast<std::uint64_t>(shape[axis]);
  }
  return shape_text(position);
}

// Codes, scales and minima of a group are copied in one step where a piece of rows has its own: a format may keep them
// together.
bool copies_parts_together(const PlannedTensor& planned, const LogicalTensor& tensor) {
  if (planned.action != Action::kCopy || !tensor.spec || tensor.spec->granularity != Granularity::kGroup) return false;
  const RowView rows = row_view(tensor.shape, tensor.spec->channel_axis);
  const bool has_zero_points = std::ranges::any_of(
      planned.outputs, [](const PlannedOutput& output) { return output.role == PartRole::kZeroPoint; });
  return !has_zero_points && rows.row_length % tensor.spec->group_size == 0 &&
         8 * tensor.spec->group_size <= kMaxRowElements;
}

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

// What a job knows of one tensor while its blocks go by.
struct ItemState {
  std::uint64_t first_output = 0;
  std::vector<std::uint64_t> output_of_role = std::vector<std::uint64_t>(5, kNoOutput);  // by PartRole
  Accuracy accuracy;
  std::once_flag reader_made;
  std::unique_ptr<WeightReader> reader;  // of a weight that is quantized in the source and decoded
  std::vector<Range> ranges;             // two passes: one for each scale
  std::vector<float> scales;             // two passes
  std::vector<std::int8_t> zero_points;  // [scale_shape], where they are stored

  std::uint64_t output(PartRole role) const { return output_of_role[static_cast<std::size_t>(role)]; }
};

class PlanRun {
 public:
  PlanRun(const TensorSource& source, const Plan& plan, const JobSettings& job, RunControl& control);

  /// Runs every block into the sink, which is left to be committed. Errors: as the jobs; NotFiniteFound.
  void run(TensorSink& sink);

  /// After run(): commits the sink, while progress goes on being reported.
  void commit(const std::function<void()>& body);

  std::uint64_t total_bytes() const { return total_bytes_; }

  /// Reads the weights that may be copied where they are not finite, and names those that must be.
  std::set<std::string> find_not_finite();

  const Accuracy& accuracy(std::size_t item) const { return states_[item].accuracy; }

  /// Called when a tensor is done, in order.
  std::function<void(const PlannedTensor&, const Accuracy&)> on_done;

 private:
  const PlannedTensor& planned(const Block& block) const { return plan_.tensors[block.item]; }
  const LogicalTensor& logical(const Block& block) const { return plan_.logical[planned(block).logical]; }
  void cut_blocks();
  bool needs_two_passes(std::size_t item) const;
  void write(std::uint64_t output, std::uint64_t offset, const void* bytes, std::uint64_t size) {
    sink_->write(output, offset, {static_cast<const std::byte*>(bytes), size});
  }

  const float* load(const Block& block, Scratch& scratch, std::uint64_t count) const;
  std::uint64_t first_element(const Block& block) const;
  void work(const Block& block, Scratch& scratch);
  void finish(const Block& block, Scratch& scratch);
  void copy_block(const Block& block, Scratch& scratch);
  void copy_parts(const Block& block, Scratch& scratch);
  void cast_block(const Block& block, Scratch& scratch);
  void dequantize_block(const Block& block, Scratch& scratch);
  void quantize_block(const Block& block, Scratch& scratch);
  void quantize_as_ggml(const Block& block, Scratch& scratch);
  void round_scales(const Block& block, Scratch& scratch, const float* weights, std::uint64_t group_size, float* scales,
                    const std::int8_t* zero_points, std::int8_t* codes) const;
  void write_scales(const Block& block, PartRole role, std::uint64_t group_size, const float* scales);
  const float* read_decoded(const Block& block, Scratch& scratch, std::uint64_t count) const;
  void range_block(const Block& block, Scratch& scratch);
  void quantize_with_known_scales(const Block& block, Scratch& scratch);
  void write_codes(const Block& block, Scratch& scratch, const std::int8_t* codes);
  void find_bad_element(const Block& block, Scratch& scratch, const float* weights, std::uint64_t count) const;
  void throw_not_finite(const Block& block, std::uint64_t element) const;
  void keep_ranges(const Block& block, Scratch& scratch);
  void make_scales(std::size_t item);
  void keep_zero_points(const Block& block, Scratch& scratch);
  void finish_item(std::size_t item);

  const TensorSource& source_;
  const Plan& plan_;
  const KernelTable& kernels_ = kernels::kernel_table();
  const JobSettings& job_;
  RunControl& control_;
  mutable std::vector<ItemState> states_;
  std::vector<Block> blocks_;
  std::vector<std::pair<std::size_t, std::size_t>> blocks_of_item_;  // [begin, end) in blocks_
  std::uint64_t total_bytes_ = 0;
  TensorSink* sink_ = nullptr;
};

PlanRun::PlanRun(const TensorSource& source, const Plan& plan, const JobSettings& job, RunControl& control)
    : source_(source), plan_(plan), job_(job), control_(control), states_(plan.tensors.size()) {
  std::uint64_t next_output = 0;
  for (std::size_t item = 0; item < plan.tensors.size(); ++item) {
    const PlannedTensor& planned = plan.tensors[item];
    ItemState& state = states_[item];
    state.first_output = next_output;
    for (const PlannedOutput& output : planned.outputs) {
      state.output_of_role[static_cast<std::size_t>(output.role)] = next_output;
      ++next_output;
    }
    if (planned.action == Action::kQuantize && state.output(PartRole::kZeroPoint) != kNoOutput) {
      const ScaleShape scales = scale_shape(planned.spec);
      state.zero_points.resize(scales.row_count * scales.groups);
    }
  }
  cut_blocks();
}

void PlanRun::cut_blocks() {
  for (std::size_t item = 0; item < plan_.tensors.size(); ++item) {
    const PlannedTensor& planned = plan_.tensors[item];
    const LogicalTensor& tensor = plan_.logical[planned.logical];
    const std::size_t begin = blocks_.size();
    if (copies_parts_together(planned, tensor)) {
      const QuantizedSpec& spec = *tensor.spec;
      const std::uint64_t bits = dtype_bits(source_.tensors()[tensor.parts.front()].dtype);
      const std::uint64_t stored_bits = scheme_of(spec).pack == nullptr ? bits : 4;
      cut_rows(blocks_, item, row_view(tensor.shape, spec.channel_axis), 8 * spec.group_size, stored_bits);
    } else if (planned.action == Action::kCopy) {
      for (std::size_t i = 0; i < planned.outputs.size(); ++i)
        cut_bytes(blocks_, item, i, planned.outputs[i].info.size_bytes);
    } else {
      const std::uint64_t bits = dtype_bits(source_.tensors()[tensor.parts.front()].dtype);
      const RowView rows = row_view(tensor.shape, planned.spec.channel_axis);
      cut_rows(blocks_, item, rows, piece_alignment(planned), bits);
    }
    blocks_of_item_.emplace_back(begin, blocks_.size());
  }
  for (const Block& block : blocks_) total_bytes_ += block.source_bytes * (needs_two_passes(block.item) ? 2 : 1);
}

// A tensor of a single block has its ranges made with its codes, whatever the scheme.
bool PlanRun::needs_two_passes(std::size_t item) const {
  const PlannedTensor& tensor = plan_.tensors[item];
  const auto [begin, end] = blocks_of_item_[item];
  return tensor.action == Action::kQuantize && !fits_one_pass(tensor.spec) && end - begin > 1;
}

void PlanRun::run(TensorSink& sink) {
  sink_ = &sink;
  BlockLoop loop(job_.threads, job_.memory_budget, token_bytes(blocks_), total_bytes_, control_);
  loop.run([&] {
    const auto run_blocks = [&](std::size_t begin, std::size_t end) {
      loop.for_each(
          std::span(blocks_).subspan(begin, end - begin),
          [&](const Block& block, Scratch& scratch) { work(block, scratch); },
          [&](const Block& block, Scratch& scratch) { finish(block, scratch); });
    };
    std::size_t pending = 0;  // blocks from here on are waiting to be run
    for (std::size_t item = 0; item < plan_.tensors.size(); ++item) {
      if (!needs_two_passes(item)) continue;
      const auto [begin, end] = blocks_of_item_[item];
      run_blocks(pending, begin);
      loop.for_each(
          std::span(blocks_).subspan(begin, end - begin),
          [&](const Block& block, Scratch& scratch) { range_block(block, scratch); },
          [&](const Block& block, Scratch& scratch) { keep_ranges(block, scratch); });
      make_scales(item);
      run_blocks(begin, end);
      pending = end;
    }
    run_blocks(pending, blocks_.size());
  });
}

void PlanRun::commit(const std::function<void()>& body) {
  BlockLoop(job_.threads, job_.memory_budget, 1, total_bytes_, control_).commit(body, total_bytes_);
}

std::set<std::string> PlanRun::find_not_finite() {
  std::vector<Block> blocks;
  for (const Block& block : blocks_) {
    if (planned(block).action != Action::kCopy && planned(block).copies_nonfinite) blocks.push_back(block);
  }
  std::set<std::string> names;
  BlockLoop loop(job_.threads, job_.memory_budget, token_bytes(blocks_), total_bytes_, control_);
  loop.run([&] {
    loop.for_each(
        blocks,
        [&](const Block& block, Scratch& scratch) {
          const std::uint64_t count = block.row_count * block.column_count;
          find_bad_element(block, scratch, load(block, scratch, count), count);
        },
        [&](const Block& block, Scratch& scratch) {
          if (scratch.bad_element) names.insert(logical(block).name);
        });
  });
  return names;
}

std::uint64_t PlanRun::first_element(const Block& block) const {
  const RowView rows = row_view(logical(block).shape, planned(block).spec.channel_axis);
  return block.first_row * rows.row_length + block.first_column;
}

// The block's weights as float32; for tensors that are not quantized yet.
const float* PlanRun::load(const Block& block, Scratch& scratch, std::uint64_t count) const {
  const LogicalTensor& tensor = logical(block);
  if (tensor.spec) return read_decoded(block, scratch, count);
  const std::uint64_t width = dtype_bits(tensor.dtype) / 8;
  const std::byte* bytes =
      fetch(source_, tensor.parts.front(), first_element(block) * width, count * width, scratch.raw);
  return to_float32(kernels_, tensor.dtype, bytes, count, scratch.weights);
}

// A weight that is quantized in the source.
const float* PlanRun::read_decoded(const Block& block, Scratch& scratch, std::uint64_t count) const {
  ItemState& state = states_[block.item];
  std::call_once(state.reader_made, [&] { state.reader = std::make_unique<WeightReader>(source_, logical(block)); });
  return state.reader->read(kernels_, first_element(block), count, scratch.raw, scratch.codes, scratch.weights);
}

void PlanRun::work(const Block& block, Scratch& scratch) {
  switch (planned(block).action) {
    case Action::kCopy:
      if (copies_parts_together(planned(block), logical(block))) return copy_parts(block, scratch);
      return copy_block(block, scratch);
    case Action::kCast:
      return cast_block(block, scratch);
    case Action::kDequantize:
      return dequantize_block(block, scratch);
    case Action::kQuantize:
      if (fits_one_pass(planned(block).spec)) return quantize_block(block, scratch);
      if (!needs_two_passes(block.item)) {
        range_block(block, scratch);
        if (scratch.bad_element) return;
        keep_ranges(block, scratch);
        make_scales(block.item);
      }
      return quantize_with_known_scales(block, scratch);
  }
}

void PlanRun::copy_block(const Block& block, Scratch& scratch) {
  const PlannedOutput& output = planned(block).outputs[block.output];
  const std::byte* bytes = fetch(source_, output.stored, block.first_column, block.column_count, scratch.raw);
  write(states_[block.item].first_output + block.output, block.first_column, bytes, block.column_count);
}

void PlanRun::copy_parts(const Block& block, Scratch& scratch) {
  const PlannedTensor& tensor = planned(block);
  const QuantizedSpec& spec = *logical(block).spec;
  const Scheme& scheme = scheme_of(spec);
  const std::uint64_t row_length = row_view(spec.shape, spec.channel_axis).row_length;
  const std::uint64_t first_group = first_element(block) / spec.group_size;
  const std::uint64_t group_count = block.row_count * block.column_count / spec.group_size;
  for (std::size_t i = 0; i < tensor.outputs.size(); ++i) {
    const PlannedOutput& output = tensor.outputs[i];
    std::uint64_t offset = first_group * sizeof(float), size = group_count * sizeof(float);
    if (output.role == PartRole::kCodes) {
      offset = block.first_row * scheme.code_bytes(row_length) + scheme.code_bytes(block.first_column);
      size = block.row_count * scheme.code_bytes(block.column_count);
    } else if (output.role == PartRole::kShape) {
      offset = 0;
      size = block.first_row == 0 && block.first_column == 0 ? output.info.size_bytes : 0;
    }
    if (size == 0) continue;
    write(states_[block.item].first_output + i, offset, fetch(source_, output.stored, offset, size, scratch.raw), size);
  }
}

void PlanRun::cast_block(const Block& block, Scratch& scratch) {
  const std::uint64_t count = block.row_count * block.column_count;
  const float* weights = load(block, scratch, count);
  auto* halves = scratch.stored.get<std::uint16_t>(count);
  kernels_.f32_to_f16(weights, count, halves);
  auto* rounded = scratch.other.get<float>(count);
  kernels_.f16_to_f32(halves, count, rounded);
  find_bad_element(block, scratch, rounded, count);
  if (scratch.bad_element) return;
  scratch.sums.assign(1, kernels_.error_sums(weights, rounded, count));
  write(states_[block.item].output(PartRole::kCodes), first_element(block) * 2, halves, count * 2);
}

void PlanRun::dequantize_block(const Block& block, Scratch& scratch) {
  const LogicalTensor& tensor = logical(block);
  const std::uint64_t count = block.row_count * block.column_count;
  const std::uint64_t first = first_element(block);
  const float* weights = read_decoded(block, scratch, count);
  const std::byte* values = from_float32(kernels_, tensor.dtype, weights, count, scratch.stored);
  const std::uint64_t width = dtype_bits(tensor.dtype) / 8;
  write(states_[block.item].first_output, first * width, values, count * width);
}

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
  scratch.sums.assign(1, kernels_.error_sums(weights, decoded, count));
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

// Remembers the first value of the block that is not finite, if there is one.
void PlanRun::find_bad_element(const Block& block, Scratch& scratch, const float* weights, std::uint64_t count) const {
  const auto bad = mnq::find_not_finite(kernels_, weights, count);
  if (bad) scratch.bad_element = first_element(block) + *bad;
}

void PlanRun::range_block(const Block& block, Scratch& scratch) {
  const std::uint64_t count = block.row_count * block.column_count;
  const float* weights = load(block, scratch, count);
  find_bad_element(block, scratch, weights, count);
  if (scratch.bad_element) return;
  scratch.ranges.clear();
  if (planned(block).spec.granularity == Granularity::kTensor) {
    scratch.ranges.push_back(kernels_.range(weights, count));
    return;
  }
  for (std::uint64_t row = 0; row < block.row_count; ++row) {
    scratch.ranges.push_back(kernels_.range(weights + row * block.column_count, block.column_count));
  }
}

void PlanRun::keep_ranges(const Block& block, Scratch& scratch) {
  if (scratch.bad_element) throw_not_finite(block, *scratch.bad_element);
  ItemState& state = states_[block.item];
  const std::uint64_t scale_count = scale_shape(planned(block).spec).row_count;
  if (state.ranges.empty()) state.ranges.resize(scale_count, Range{0, 0, 0});
  for (std::uint64_t i = 0; i < scratch.ranges.size(); ++i) {
    Range& range = state.ranges[(block.first_row + i) % scale_count];
    range = merge(range, scratch.ranges[i]);
  }
}

void PlanRun::make_scales(std::size_t item) {
  ItemState& state = states_[item];
  const QuantizedSpec& spec = plan_.tensors[item].spec;
  const kernels::CodeRule rule = code_rule(scheme_of(spec), spec);
  state.scales.resize(state.ranges.size());
  state.zero_points.assign(state.ranges.size(), 0);
  for (std::size_t i = 0; i < state.ranges.size(); ++i) {
    const ScaleOfRange result = scale_of(kernels_, rule, state.ranges[i]);
    state.scales[i] = round_scale(kernels_, spec.scale_dtype, result.scale);
    state.zero_points[i] = result.zero_point;
  }
  write(state.output(PartRole::kScale), 0, state.scales.data(), state.scales.size() * sizeof(float));
}

void PlanRun::quantize_with_known_scales(const Block& block, Scratch& scratch) {
  const QuantizedSpec& spec = planned(block).spec;
  const ItemState& state = states_[block.item];
  const kernels::CodeRule rule = code_rule(scheme_of(spec), spec);
  const std::uint64_t count = block.row_count * block.column_count;
  const float* weights = load(block, scratch, count);
  auto* codes = scratch.codes.get<std::int8_t>(count);
  scratch.sums.resize(block.row_count);
  for (std::uint64_t row = 0; row < block.row_count; ++row) {
    const std::uint64_t scale = (block.first_row + row) % state.scales.size();
    const std::uint64_t begin = row * block.column_count;
    kernels_.quantize_run(weights + begin, block.column_count, state.scales[scale], state.zero_points[scale], rule,
                          codes + begin, &scratch.sums[row]);
  }
  write_codes(block, scratch, codes);
}

void PlanRun::throw_not_finite(const Block& block, std::uint64_t element) const {
  const PlannedTensor& tensor = planned(block);
  if (tensor.copies_nonfinite) throw NotFiniteFound{};
  const LogicalTensor& weight = logical(block);
  const char* what = tensor.action == Action::kCast ? "is not finite as float16" : "is not finite";
  throw Error(Status::kValidation,
              formatted("{}: tensor {}: the value at {} {}", source_.title(), weight.name,
                        element_text(weight.shape, element), what),
              "repair the checkpoint, or keep such tensors as they are (nonfinite=copy)", weight.name);
}

void PlanRun::keep_zero_points(const Block& block, Scratch& scratch) {
  ItemState& state = states_[block.item];
  const QuantizedSpec& spec = planned(block).spec;
  if (state.output(PartRole::kZeroPoint) == kNoOutput || !fits_one_pass(spec)) return;
  const std::uint64_t group_size = spec.granularity == Granularity::kGroup ? spec.group_size : block.column_count;
  const std::uint64_t count = block.row_count * ceil_div(block.column_count, group_size);
  const std::uint64_t first = block.first_row * scale_shape(spec).groups + block.first_column / group_size;
  std::memcpy(&state.zero_points[first], scratch.zero_points.get<std::int8_t>(count), count);
}

void PlanRun::finish(const Block& block, Scratch& scratch) {
  if (scratch.bad_element) throw_not_finite(block, *scratch.bad_element);
  ItemState& state = states_[block.item];
  const Action action = planned(block).action;
  if (action == Action::kQuantize || action == Action::kCast) {
    for (const ErrorSums& sums : scratch.sums) state.accuracy.add(sums);
  }
  if (action == Action::kQuantize) keep_zero_points(block, scratch);
  if (block.is_last && action != Action::kCopy) finish_item(block.item);
}

// What is written once a tensor's blocks are all done.
void PlanRun::finish_item(std::size_t item) {
  ItemState& state = states_[item];
  const PlannedTensor& tensor = plan_.tensors[item];
  if (tensor.action == Action::kQuantize && state.output(PartRole::kZeroPoint) != kNoOutput) {
    const auto stored = scheme_of(tensor.spec).store_zero_points(state.zero_points, scale_shape(tensor.spec));
    write(state.output(PartRole::kZeroPoint), 0, stored.data(), stored.size());
  }
  if (tensor.action == Action::kQuantize && state.output(PartRole::kShape) != kNoOutput) {
    write(state.output(PartRole::kShape), 0, tensor.spec.shape.data(), tensor.spec.shape.size() * sizeof(std::int64_t));
  }
  state.reader.reset();
  std::vector<Range>().swap(state.ranges);
  std::vector<float>().swap(state.scales);
  std::vector<std::int8_t>().swap(state.zero_points);
  if (on_done && tensor.action != Action::kDequantize) on_done(tensor, state.accuracy);
}

// Tied tensors are stored once. Where the other names point to is written as safetensors' own save_model does it: name to
// name.
void add_ties(Metadata& metadata, const PlannedTensor& planned, const LogicalTensor& tensor) {
  for (const std::string& tie : planned.layer.ties) {
    for (const PlannedOutput& output : planned.outputs) {
      if (output.info.name.starts_with(tensor.name)) {
        metadata.emplace(tie + output.info.name.substr(tensor.name.size()), output.info.name);
      }
    }
  }
}

// The metadata of the output: what the input had, and what our own reader needs.
Metadata output_metadata(const TensorSource& source, const Plan& plan,
                         const std::function<std::optional<double>(std::size_t item)>& sqnr_of) {
  Metadata metadata = source.metadata();
  metadata.erase(std::string(kMetadataKey));
  metadata.erase(std::string(kFolderJobKey));
  metadata.emplace("format", "pt");
  std::vector<QuantizedEntry> entries;
  for (std::size_t item = 0; item < plan.tensors.size(); ++item) {
    const PlannedTensor& planned = plan.tensors[item];
    const LogicalTensor& tensor = plan.logical[planned.logical];
    if (planned.action == Action::kQuantize || planned.action == Action::kCast) {
      entries.push_back({tensor.name, planned.spec, sqnr_of(item)});
    } else if (planned.action == Action::kCopy && tensor.spec) {
      entries.push_back({tensor.name, *tensor.spec, tensor.sqnr_db});
    }
  }
  if (!entries.empty()) metadata.emplace(kMetadataKey, write_quantized_metadata(entries));
  for (const PlannedTensor& planned : plan.tensors) add_ties(metadata, planned, plan.logical[planned.logical]);
  return metadata;
}

// Room in the header for accuracies that are known at the end: no SQNR has more digits before the point, and where JSON
// does not find the shortest form of a number, it is shorter than this by a few digits.
constexpr double kWidestSqnr = -9999.9999;
constexpr std::size_t kSqnrSlack = 10;

struct Work {
  const TensorSource& source;
  const Plan& plan;
  const JobSettings& job;
  RunControl& control;
  const Output& output;
  std::function<void(const PlannedTensor&, const Accuracy&)> on_done;  ///< a tensor is done; in order
};

// For each tensor of a plan, in their order.
using Accuracies = std::vector<Accuracy>;

struct Outcome {
  Accuracies accuracies;
  std::vector<std::string> notes;  ///< for the report's warnings
};

Metadata reserved_metadata(const TensorSource& source, const Plan& plan) {
  Metadata reserved = output_metadata(source, plan, [](std::size_t) { return kWidestSqnr; });
  if (const auto ours = reserved.find(std::string(kMetadataKey)); ours != reserved.end()) {
    ours->second.append(plan.tensors.size() * kSqnrSlack, ' ');
  }
  return reserved;
}

Accuracies accuracies_of(const PlanRun& run, const Plan& plan) {
  Accuracies accuracies;
  for (std::size_t item = 0; item < plan.tensors.size(); ++item) accuracies.push_back(run.accuracy(item));
  return accuracies;
}

Outcome write_file(const Work& work) {
  PlanRun run(work.source, work.plan, work.job, work.control);
  run.on_done = work.on_done;
  const std::unique_ptr<TensorSink> sink =
      work.output.open(work.plan.outputs(), reserved_metadata(work.source, work.plan));
  run.run(*sink);
  run.commit([&] {
    sink->commit(
        output_metadata(work.source, work.plan, [&](std::size_t item) { return run.accuracy(item).sqnr_db(); }));
  });
  return {accuracies_of(run, work.plan), {}};
}

// The plan's tensors in runs, none of more output bytes than max_bytes unless a single tensor is: [begin, end) of each.
std::vector<std::pair<std::size_t, std::size_t>> cut_shards(const Plan& plan, std::uint64_t max_bytes) {
  std::vector<std::pair<std::size_t, std::size_t>> shards{{0, 0}};
  std::uint64_t bytes = 0;
  for (std::size_t item = 0; item < plan.tensors.size(); ++item) {
    std::uint64_t size = 0;
    for (const PlannedOutput& output : plan.tensors[item].outputs) size += output.info.size_bytes;
    if (bytes > 0 && size > max_bytes - std::min(bytes, max_bytes)) {
      shards.emplace_back(item, item);
      bytes = 0;
    }
    bytes += size;
    shards.back().second = item + 1;
  }
  return shards;
}

// Everything that decides the bytes of the shards.
std::string describe_plan(const TensorSource& source, const Plan& plan) {
  std::string text = formatted("{} bytes\n", source.size_bytes());
  std::vector<QuantizedEntry> entries;
  for (const PlannedTensor& planned : plan.tensors) {
    for (const PlannedOutput& output : planned.outputs) {
      text += formatted("{} {} {} {}\n", output.info.name, dtype_name(output.info.dtype), shape_text(output.info.shape),
                        action_name(planned.action));
    }
    if (planned.action == Action::kQuantize || planned.action == Action::kCast) {
      entries.push_back({plan.logical[planned.logical].name, planned.spec, std::nullopt});
    }
  }
  return text + write_quantized_metadata(entries);
}

// config.json of the output: that of the source, with what the plan says of quantization.
std::string folder_config(const Plan& plan, const FolderOutput& folder) {
  const std::string text = folder.companion() == nullptr ? std::string() : folder.companion()->config;
  const Json config = text.empty() ? Json::object() : parse_json(text);
  Json result = Json::object();
  for (const auto& [key, value] : config.members()) {
    if (key != "quantization_config") result.add(key, value);
  }
  const bool is_compressed = folder.format().name == "compressed-tensors";
  Json quantization = is_compressed ? compressed_tensors_config(plan, config) : Json(nullptr);
  if (!quantization.is_null()) result.add("quantization_config", std::move(quantization));
  return result.empty() ? std::string() : result.dump_lines() + "\n";
}

// Commits shards while the next one is worked on.
class Committer {
 public:
  ~Committer() {
    if (thread_.joinable()) thread_.join();
  }

  void commit(std::function<void()> body) {
    wait();
    body_ = std::move(body);
    try {
      thread_ = std::thread([this] {
        try {
          body_();
        } catch (...) {
          failure_ = std::current_exception();
        }
      });
    } catch (const std::system_error&) {  // no thread is to be had
      body_();
    }
  }

  void wait() {
    if (thread_.joinable()) thread_.join();
    body_ = nullptr;
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  std::function<void()> body_;
  std::exception_ptr failure_;
  std::thread thread_;
};

Outcome write_folder(const Work& work) {
  FolderOutput& folder = *work.output.folder;
  const auto shards = cut_shards(work.plan, work.job.max_shard_size);
  folder.start({describe_plan(work.source, work.plan), shards.size(), folder_config(work.plan, folder)});
  Accuracies accuracies(work.plan.tensors.size());
  std::size_t already = 0;
  std::vector<std::size_t> pending;
  std::vector<Plan> plans;
  std::vector<std::unique_ptr<PlanRun>> runs;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (!folder.is_mine(i)) continue;
    if (folder.is_done(i)) {
      ++already;
      continue;
    }
    Plan& plan = plans.emplace_back();
    plan.logical = work.plan.logical;
    const auto first = work.plan.tensors.begin();
    plan.tensors.assign(first + static_cast<std::ptrdiff_t>(shards[i].first),
                        first + static_cast<std::ptrdiff_t>(shards[i].second));
    pending.push_back(i);
  }
  for (const Plan& plan : plans) {
    runs.push_back(std::make_unique<PlanRun>(work.source, plan, work.job, work.control));
    runs.back()->on_done = work.on_done;
    total += runs.back()->total_bytes();
  }
  std::uint64_t done = 0;
  Committer committer;
  for (std::size_t k = 0; k < pending.size(); ++k) {
    const RunControl::Span span(work.control, done, total);
    Metadata reserved = reserved_metadata(work.source, plans[k]);
    reserved.insert(folder.mark(pending[k]));
    std::shared_ptr<TensorSink> sink = folder.open_shard(pending[k], plans[k].outputs(), reserved);
    runs[k]->run(*sink);
    const auto first = static_cast<std::ptrdiff_t>(shards[pending[k]].first);
    std::ranges::copy(accuracies_of(*runs[k], plans[k]), accuracies.begin() + first);
    Metadata metadata =
        output_metadata(work.source, plans[k], [&](std::size_t item) { return runs[k]->accuracy(item).sqnr_db(); });
    metadata.insert(folder.mark(pending[k]));
    committer.commit([sink = std::move(sink), metadata = std::move(metadata)] { sink->commit(metadata); });
    done += runs[k]->total_bytes();
    runs[k].reset();
  }
  committer.wait();
  folder.finish();
  Outcome outcome{std::move(accuracies), {}};
  if (already > 0) {
    outcome.notes.push_back(
        formatted("{} of {} shards were there already: their accuracy is not in this report", already, shards.size()));
  }
  if (work.job.part_count > 0) {
    outcome.notes.push_back(formatted("part {} of {}: {} of {} shards; merge makes the folder once all parts are there",
                                      work.job.part + 1, work.job.part_count, already + pending.size(), shards.size()));
  }
  return outcome;
}

Outcome write_output(const Work& work) { return work.output.folder == nullptr ? write_file(work) : write_folder(work); }

// Judges a layer's accuracy: the text of a warning, empty where it is fine.
std::string accuracy_warning(const PlannedTensor& tensor, const Accuracy& accuracy, const JobSettings& job) {
  const double sqnr_db = accuracy.sqnr_db();
  const bool critical = sqnr_db < job.sqnr_critical_db;
  if (!(sqnr_db < job.sqnr_warning_db)) return "";
  return formatted("{}: {:.1f} dB is below {} dB{}", tensor.layer.name.name, sqnr_db,
                   critical ? job.sqnr_critical_db : job.sqnr_warning_db, critical ? ": critical" : "");
}

void warn_of_extremes(Report& report, const Plan& plan) {
  std::size_t layers = 0, changed = 0, already = 0;
  for (const PlannedTensor& tensor : plan.tensors) {
    if (tensor.layer.kind != nullptr) ++layers;
    if (tensor.action != Action::kCopy) ++changed;
    if (plan.logical[tensor.logical].spec) ++already;
  }
  if (changed == 0)
    report.add_warning(already > 0 ? "no layer was quantized: the input is quantized already"
                                   : "no layer was quantized");
  if (changed == layers && layers > 1) report.add_warning("every layer was quantized, the first and the last included");
}

void fill_accuracy(Report& report, const Accuracies& accuracies, const Plan& plan) {
  Accuracy model;
  bool any = false;
  for (std::size_t item = 0; item < plan.tensors.size(); ++item) {
    const Action action = plan.tensors[item].action;
    if (action != Action::kQuantize && action != Action::kCast) continue;
    if (!accuracies[item].is_measured) continue;  // made by another run
    Report::set_accuracy(report.json()["layers"][item], accuracies[item]);
    model.add({accuracies[item].signal, accuracies[item].error, accuracies[item].max_error});
    any = true;
  }
  if (any) Report::set_accuracy(report.json()["model"], model);
}

void log_warnings(const Report& report) {
  for (const std::string& warning : report.warnings()) log_message(LogLevel::kWarning, warning);
}

}  // namespace

Report quantize(const TensorSource& source, const Config& config, RunControl& control, const Output& output) {
  const Stopwatch stopwatch;
  const JobSettings job = resolve_job(config);
  std::set<std::string> not_finite;
  for (;;) {
    const Plan plan = make_plan(require_logical_tensors(source), source, config, output.fit, not_finite);
    std::vector<std::string> warnings;
    const auto judge = [&](const PlannedTensor& tensor, const Accuracy& accuracy) {
      std::string warning = accuracy_warning(tensor, accuracy, job);
      if (warning.empty() || job.accuracy_warning == AccuracyWarning::kIgnore) return;
      if (job.accuracy_warning == AccuracyWarning::kError) {
        throw Error(Status::kValidation, formatted("layer {}", warning),
                    "give this layer more bits or smaller groups, skip it, or set accuracy_warning=warn",
                    tensor.layer.name.name);
      }
      warnings.push_back(std::move(warning));
    };
    Outcome outcome;
    try {
      outcome = write_output({source, plan, job, control, output, judge});
    } catch (const NotFiniteFound&) {
      if (job.part_count > 0 || job.is_resumed) {
        throw Error(Status::kConfig, "nonfinite=copy found a value that is not finite, and cannot be had in parts",
                    "leave shard and resume unset, or name the tensor in skip", "nonfinite");
      }
      not_finite = PlanRun(source, plan, job, control).find_not_finite();
      continue;
    }
    Report report = make_plan_report("quantize", plan, source, output.path, job.threads);
    fill_accuracy(report, outcome.accuracies, plan);
    for (std::string& note : outcome.notes) report.add_warning(std::move(note));
    for (std::string& warning : warnings) report.add_warning(std::move(warning));
    for (const std::string& name : not_finite) {
      report.add_warning(formatted("{}: kept as it was, it has values that are not finite", name));
    }
    if (job.accuracy_warning != AccuracyWarning::kIgnore) warn_of_extremes(report, plan);
    report.finish(stopwatch.seconds());
    log_warnings(report);
    return report;
  }
}

Report plan_quantize(const TensorSource& source, const Config& config) {
  const JobSettings job = resolve_job(config);
  const Plan plan = make_plan(require_logical_tensors(source), source, config, planned_fit(source, config));
  Report report = make_plan_report("quantize", plan, source, "", job.threads);
  report.json()["dry_run"] = true;
  warn_of_extremes(report, plan);
  report.finish(0);
  return report;
}

namespace {

Report run_plan(const char* kind, const TensorSource& source, const Plan& plan, const Config& config,
                RunControl& control, const Output& output) {
  const Stopwatch stopwatch;
  const JobSettings job = resolve_job(config);
  Outcome outcome = write_output({source, plan, job, control, output, nullptr});
  Report report = make_plan_report(kind, plan, source, output.path, job.threads);
  fill_accuracy(report, outcome.accuracies, plan);
  for (std::string& note : outcome.notes) report.add_warning(std::move(note));
  report.finish(stopwatch.seconds());
  log_warnings(report);
  return report;
}

}  // namespace

Report dequantize(const TensorSource& source, const Config& config, RunControl& control, const Output& output) {
  const Plan plan = make_dequantize_plan(require_logical_tensors(source), source);
  return run_plan("dequantize", source, plan, config, control, output);
}

Report convert(const TensorSource& source, const Config& config, RunControl& control, const Output& output) {
  const Plan plan = make_convert_plan(require_logical_tensors(source), source, config, output.fit);
  return run_plan("convert", source, plan, config, control, output);
}

}  // namespace mnq
