#include "quantize/plan_run.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/format.h"
#include "quantize/job_parts.h"

namespace mnq {
namespace {

// Pieces of a long row start where packed codes start a word and, where they get a scale, where a group starts. What
// is read back needs no groups, and those may be of any size: a file says it.
std::uint64_t piece_alignment(const PlannedTensor& planned) {
  return planned.action == Action::kQuantize ? 8 * std::max<std::uint64_t>(1, planned.spec.group_size) : 8;
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

// What a dtype that a weight gets back can hold: the lowest code of 4 bits is a little beyond the weight it was made of.
float largest_finite(DType dtype) {
  if (dtype == DType::kF16) return 65504;
  if (dtype == DType::kBF16) return 0x1.fep127f;
  return std::numeric_limits<float>::max();
}

}  // namespace

PlanRun::PlanRun(const TensorSource& source, const PlanSlice& plan, const JobSettings& job, RunControl& control)
    : source_(source), plan_(plan), job_(job), control_(control), states_(plan.size()) {
  std::uint64_t next_output = 0;
  for (std::size_t item = 0; item < plan.size(); ++item) {
    const PlannedTensor& planned = plan.tensor(item);
    ItemState& state = states_[item];
    state.first_output = next_output;
    for (const PlannedOutput& output : planned.outputs) {
      state.output_of_role[static_cast<std::size_t>(output.role)] = next_output;
      ++next_output;
    }
  }
  cut_blocks();
}

std::vector<Accuracy> PlanRun::accuracies() const {
  std::vector<Accuracy> accuracies;
  accuracies.reserve(states_.size());
  for (const ItemState& state : states_) accuracies.push_back(state.accuracy);
  return accuracies;
}

bool PlanRun::fits_one_pass(const QuantizedSpec& spec) {
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  if (spec.granularity == Granularity::kGroup) return true;
  return spec.granularity == Granularity::kChannel && spec.channel_axis == spec.stacked_axes &&
         rows.row_length <= kMaxRowElements;
}

void PlanRun::cut_blocks() {
  for (std::size_t item = 0; item < plan_.size(); ++item) {
    const PlannedTensor& planned = plan_.tensor(item);
    const LogicalTensor& tensor = plan_.logical(item);
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
  const PlannedTensor& tensor = plan_.tensor(item);
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
    for (std::size_t item = 0; item < plan_.size(); ++item) {
      if (!needs_two_passes(item)) continue;
      const auto [begin, end] = blocks_of_item_[item];
      run_blocks(pending, begin);
      loop.for_each(
          std::span(blocks_).subspan(begin, end - begin),
          [&](const Block& block, Scratch& scratch) { range_block(block, scratch); },
          [&](const Block& block, Scratch& scratch) { keep_ranges(block, scratch); });
      pending = end;
      if (is_passed_over(item) || is_unfit(item)) continue;
      if (const auto bad = make_scales(item)) {
        refuse(item, *bad);
      } else {
        run_blocks(begin, end);
      }
    }
    run_blocks(pending, blocks_.size());
  });
}

void PlanRun::commit(const std::function<void()>& body) {
  BlockLoop(job_.threads, job_.memory_budget, 1, total_bytes_, control_).commit(body, total_bytes_);
}

UnfitWeights PlanRun::find_unfit() {
  class Nowhere final : public TensorSink {
    void write(std::size_t, std::uint64_t, std::span<const std::byte>) override {}
    void commit(const Metadata&) override {}
  } nowhere;
  unfit_.emplace();
  run(nowhere);
  return std::move(*unfit_);
}

// While unfit weights are looked for: those that cannot be one.
bool PlanRun::is_passed_over(std::size_t item) const { return unfit_ && !plan_.tensor(item).copies_nonfinite; }

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
  if (is_passed_over(block.item)) return;
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
        add_ranges(block, scratch);
        if (scratch.bad_element = make_scales(block.item); scratch.bad_element) return;
      }
      return quantize_with_known_scales(block, scratch);
  }
}

void PlanRun::copy_block(const Block& block, Scratch& scratch) {
  const PlannedOutput& output = planned(block).outputs[block.output];
  if (output.role == PartRole::kShape) return write_shape(block.item, *logical(block).spec);
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
      if (block.first_row == 0 && block.first_column == 0) write_shape(block.item, spec);
      continue;
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
  measure(block, scratch, weights, rounded, count);
  write(states_[block.item].output(PartRole::kCodes), first_element(block) * 2, halves, count * 2);
}

void PlanRun::dequantize_block(const Block& block, Scratch& scratch) {
  const LogicalTensor& tensor = logical(block);
  const std::uint64_t count = block.row_count * block.column_count;
  const std::uint64_t first = first_element(block);
  const float* weights = read_decoded(block, scratch, count);
  if (const float most = largest_finite(tensor.dtype); most < std::numeric_limits<float>::max()) {
    auto* clamped = scratch.other.get<float>(count);
    std::transform(weights, weights + count, clamped,
                   [most](float weight) { return std::isfinite(weight) ? std::clamp(weight, -most, most) : weight; });
    weights = clamped;
  }
  const std::byte* values = from_float32(kernels_, tensor.dtype, weights, count, scratch.stored);
  const std::uint64_t width = dtype_bits(tensor.dtype) / 8;
  write(states_[block.item].first_output, first * width, values, count * width);
}

// Remembers the first value of the block that is not finite, if there is one.
void PlanRun::find_bad_element(const Block& block, Scratch& scratch, const float* weights, std::uint64_t count) const {
  const auto bad = mnq::find_not_finite(kernels_, weights, count);
  if (bad) scratch.bad_element = first_element(block) + *bad;
}

// The accuracy of a block as a whole. decoded: [count], what its readers get.
void PlanRun::measure(const Block& block, Scratch& scratch, const float* weights, const float* decoded,
                      std::uint64_t count) const {
  if (is_double(block)) return measure_double(block, scratch, decoded, count);
  scratch.sums.assign(1, kernels_.error_sums(weights, decoded, count));
}

// Against the values themselves, and not against what float32 leaves of them.
void PlanRun::measure_double(const Block& block, Scratch& scratch, const float* decoded, std::uint64_t count) const {
  const std::uint64_t size = count * sizeof(double);
  const std::byte* bytes =
      fetch(source_, logical(block).parts.front(), first_element(block) * sizeof(double), size, scratch.raw);
  auto* others = scratch.doubles.get<double>(count);
  kernels_.f32_to_f64(decoded, count, others);
  scratch.sums.assign(1, error_sums_double(reinterpret_cast<const double*>(bytes), others, count));
}

// Why a weight cannot be quantized, by the value that was found.
std::string PlanRun::explain(std::size_t item, std::uint64_t element) const {
  const LogicalTensor& tensor = plan_.logical(item);
  const QuantizedSpec& spec = plan_.tensor(item).spec;
  Scratch scratch;
  const std::uint64_t before =
      element % row_view(tensor.shape, tensor.spec ? tensor.spec->channel_axis : 0).row_length % 8;
  const double value = WeightReader(source_, tensor)
                           .read_double(kernels_, element - before, before + 1, scratch.raw, scratch.codes,
                                        scratch.weights, scratch.doubles)[before];
  const std::string where = element_text(tensor.shape, element);
  if (!std::isfinite(value)) return formatted("the value at {} is not finite", where);
  if (!std::isfinite(static_cast<float>(value))) {
    return formatted("the value at {} is {:g}, which float32 cannot hold", where, value);
  }
  if (plan_.tensor(item).action == Action::kCast) {
    return formatted("the value at {} is {:g}, which float16 cannot hold", where, value);
  }
  const DType narrow = spec.is_rounded_as_ggml ? DType::kF16 : spec.scale_dtype;
  return formatted("the values at and behind {} are too large for codes with a scale of {}", where, dtype_name(narrow));
}

void PlanRun::refuse(std::size_t item, std::uint64_t element) {
  const LogicalTensor& weight = plan_.logical(item);
  if (unfit_) {
    if (!unfit_->contains(weight.name)) unfit_->emplace(weight.name, explain(item, element));
    return;
  }
  if (plan_.tensor(item).copies_nonfinite) throw UnfitFound{};
  throw Error(Status::kValidation, formatted("{}: tensor {}: {}", source_.title(), weight.name, explain(item, element)),
              "repair the checkpoint, or keep such tensors as they are (nonfinite=copy)", weight.name);
}

void PlanRun::finish(const Block& block, Scratch& scratch) {
  if (is_passed_over(block.item) || is_unfit(block.item)) return;
  if (scratch.bad_element) return refuse(block.item, *scratch.bad_element);
  ItemState& state = states_[block.item];
  const Action action = planned(block).action;
  if (action == Action::kQuantize || action == Action::kCast) {
    for (const kernels::ErrorSums& sums : scratch.sums) state.accuracy.add(sums);
  }
  if (action == Action::kQuantize) keep_zero_points(block, scratch);
  if (block.is_last && action != Action::kCopy) finish_item(block.item);
}

// By the metadata, by which codes are read: what a source holds as the shape beside them may be another.
void PlanRun::write_shape(std::size_t item, const QuantizedSpec& spec) {
  const std::uint64_t output = states_[item].output(PartRole::kShape);
  if (output != kNoOutput) write(output, 0, spec.shape.data(), spec.shape.size() * sizeof(std::int64_t));
}

// What is written once a tensor's blocks are all done.
void PlanRun::finish_item(std::size_t item) {
  ItemState& state = states_[item];
  const PlannedTensor& tensor = plan_.tensor(item);
  if (tensor.action == Action::kQuantize && state.output(PartRole::kZeroPoint) != kNoOutput) {
    const auto stored = scheme_of(tensor.spec).store_zero_points(state.zero_points, scale_shape(tensor.spec));
    write(state.output(PartRole::kZeroPoint), 0, stored.data(), stored.size());
  }
  if (tensor.action == Action::kQuantize) write_shape(item, tensor.spec);
  state.reader.reset();
  std::vector<kernels::Range>().swap(state.ranges);
  std::vector<float>().swap(state.scales);
  std::vector<std::int8_t>().swap(state.zero_points);
  if (on_done && tensor.action != Action::kDequantize) on_done(tensor, state.accuracy);
}

}  // namespace mnq
