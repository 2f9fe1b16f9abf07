#include "quantize/loop/plan_run.h"

#include <cmath>
#include <limits>
#include <set>

#include "base/text/format.h"
#include "quantize/job_parts.h"
#include "quantize/loop/convert_piece.h"

namespace mnq {
namespace {

constexpr std::uint64_t kCodesOfAWord = 8;

// Pieces of a long row start where packed codes start a word and, where they get or keep a scale of their own, where a
// group starts. What is only read needs no groups, and those may be of any size: a file says it.
std::uint64_t piece_alignment(const PlannedTensor& planned, const LogicalTensor& tensor) {
  const bool has_tables = planned.layout == nullptr || planned.layout->has_tables;
  const bool keeps_tables = has_tables && (tensor.layout == nullptr || tensor.layout->has_tables);
  const bool makes_codes = planned.layout != nullptr && planned.action != Action::kDequantize && is_coded(planned.spec);
  const std::uint64_t row_length = row_view(tensor.shape, planned.spec.channel_axis).row_length;
  if (const std::uint64_t unit = makes_codes ? planned.layout->unit(planned.spec) : 1; unit > row_length) return unit;
  const bool needs_groups = planned.action == Action::kQuantize || (planned.action == Action::kCopy && !keeps_tables);
  return needs_groups ? kCodesOfAWord * std::max<std::uint64_t>(1, planned.spec.group_size) : kCodesOfAWord;
}

RowView rows_of(const PlannedTensor& planned, const LogicalTensor& tensor) {
  return row_view(tensor.shape, planned.spec.channel_axis);
}

bool is_copied(const PlannedTensor& planned, const LogicalTensor& tensor) {
  return planned.action == Action::kCopy && !is_recoded(planned, tensor);
}

// The part of a copied weight that is written by its spec, by which codes are read: what a source holds there may be
// another.
std::optional<std::size_t> told_part(const PlannedTensor& planned, const LogicalTensor& tensor) {
  if (!is_copied(planned, tensor) || !tensor.spec || tensor.layout->told_part == nullptr) return std::nullopt;
  return tensor.layout->told_part(*tensor.spec);
}

PieceOfTensor piece_of(const PlannedTensor& planned, const LogicalTensor& tensor, const Block& block, PartWriter out) {
  const PiecePlace place{block.first_row, block.row_count, block.first_column, block.column_count};
  return {planned, tensor, place, block.first_row * rows_of(planned, tensor).row_length + block.first_column, out};
}

// Of any tensor of the plan that is quantized.
std::vector<Block> blocks_to_survey(const TensorSource& source, const Plan& plan, std::size_t tensor,
                                    std::size_t item) {
  const PlannedTensor& planned = plan.tensors[tensor];
  const LogicalTensor& logical = plan.logical[planned.logical];
  std::vector<Block> blocks;
  cut_rows(blocks, item, rows_of(planned, logical), piece_alignment(planned, logical), stored_bits(source, logical));
  return blocks;
}

// Why a weight cannot be quantized, by the value that was found.
std::string explain(const TensorSource& source, const PlannedTensor& planned, const LogicalTensor& tensor,
                    std::uint64_t element) {
  ReadBuffers buffers;
  const std::uint64_t before =
      element % row_view(tensor.shape, tensor.spec ? tensor.spec->channel_axis : 0).row_length % kCodesOfAWord;
  const double value = WeightReader(source, tensor).read_double(element - before, before + 1, buffers)[before];
  const std::string where = element_text(tensor.shape, element);
  if (!std::isfinite(value)) return formatted("the value at {} is not finite", where);
  if (!std::isfinite(static_cast<float>(value))) {
    return formatted("the value at {} is {:g}, which float32 cannot hold", where, value);
  }
  if (planned.action == Action::kCast || planned.action == Action::kDequantize) {
    const std::string_view held_as =
        planned.action == Action::kCast ? scheme_of(planned.spec).text : dtype_name(planned.outputs.front().info.dtype);
    return formatted("the value at {} is {:g}, which {} cannot hold", where, value, held_as);
  }
  return formatted("the values at and behind {} are too large for codes with a scale of {}", where,
                   dtype_name(planned.spec.scale_dtype));
}

// Without tables they lie with the codes.
void inherit_scales(const QuantizedSpec& from, const WeightReader& reader, WeightWriter& writer) {
  if (!reader.tables().scales.empty()) return writer.inherit(from, reader.tables());
  writer.inherit(from, {.scales = reader.scales()});
}

// Of a weight that is changed and holds the rows of several, where a block can be of one alone; else 1.
std::uint64_t experts_of(const PlannedTensor& planned, const LogicalTensor& tensor) {
  const LayerKind* kind = planned.layer.kind;
  const bool is_changed = planned.action == Action::kQuantize || planned.action == Action::kCast;
  if (!is_changed || kind == nullptr || kind->stacked_axes == 0 || tensor.shape.size() != 3) return 1;
  const std::uint64_t count = element_count(tensor.shape), experts = static_cast<std::uint64_t>(tensor.shape[0]);
  if (count == 0) return 1;
  const std::uint64_t alignment = piece_alignment(planned, tensor), row_length = rows_of(planned, tensor).row_length;
  const bool has_rows_together = alignment > row_length && alignment % row_length == 0;
  return has_rows_together && count / experts % alignment != 0 ? 1 : experts;
}

// Cuts a matrix into blocks, none of which has rows of two parts.
void cut_parts(std::vector<Block>& blocks, std::size_t item, std::uint64_t parts, const RowView& rows,
               std::uint64_t alignment, std::uint64_t element_bits) {
  const RowView of_part{rows.row_count / parts, rows.row_length, rows.channel_count};
  for (std::uint64_t part = 0; part < parts; ++part) {
    const std::size_t first = blocks.size();
    if (first > 0 && blocks.back().item == item) blocks.back().is_last = false;
    cut_rows(blocks, item, of_part, alignment, element_bits);
    for (Block& block : std::span(blocks).subspan(first)) block.first_row += part * of_part.row_count;
  }
}

void copy_bytes(const TensorSource& source, const PlannedTensor& planned, const Block& block, const PartWriter& out,
                Scratch& scratch) {
  const std::size_t stored = planned.outputs[block.output].stored;
  const std::byte* bytes = fetch(source, stored, block.first_column, block.column_count, scratch.in.layout.raw);
  out.write(block.output, block.first_column, bytes, block.column_count);
}

}  // namespace

PlanRun::PlanRun(const TensorSource& source, const PlanSlice& plan, const JobSettings& job, RunControl& control,
                 OnDone on_done)
    : source_(source), plan_(plan), job_(job), control_(control), on_done_(std::move(on_done)), items_(plan.size()) {
  for (std::size_t item = 0; item < plan.size(); ++item) add_item(item);
  for (const Block& block : blocks_) total_bytes_ += block.source_bytes * (needs_two_passes(block.item) ? 2 : 1);
  total_bytes_ += bytes_of_fused_elsewhere();
}

void PlanRun::add_item(std::size_t index) {
  const PlannedTensor& planned = plan_.tensor(index);
  const LogicalTensor& tensor = plan_.logical(index);
  Item& item = items_[index];
  item.first_block = blocks_.size();
  if (index > 0) item.first_output = items_[index - 1].first_output + plan_.tensor(index - 1).outputs.size();
  if (is_copied(planned, tensor)) {
    const auto told = told_part(planned, tensor);
    for (std::size_t i = 0; i < planned.outputs.size(); ++i) {
      if (i != told) cut_bytes(blocks_, index, i, planned.outputs[i].info.size_bytes);
    }
  } else {
    const std::uint64_t experts = job_.measures_experts ? experts_of(planned, tensor) : 1;
    if (experts > 1) item.accuracy.experts.resize(experts);
    cut_parts(blocks_, index, experts, rows_of(planned, tensor), piece_alignment(planned, tensor),
              stored_bits(source_, tensor));
  }
  item.block_count = blocks_.size() - item.first_block;
}

std::vector<Accuracy> PlanRun::accuracies() const {
  std::vector<Accuracy> accuracies;
  accuracies.reserve(items_.size());
  for (const Item& item : items_) accuracies.push_back(item.accuracy);
  return accuracies;
}

// A tensor of a single block has its ranges made with its codes, whatever the scheme, unless others have a part in
// them.
bool PlanRun::needs_two_passes(std::size_t item) const {
  const PlannedTensor& planned = plan_.tensor(item);
  const bool is_cut = items_[item].block_count > 1 || !planned.fused.empty();
  return planned.action == Action::kQuantize && !planned.keeps_scales && needs_survey(planned.spec) && is_cut;
}

// Each of those that have one global scale is surveyed once, by the first one of the slice.
std::uint64_t PlanRun::bytes_of_fused_elsewhere() const {
  std::set<std::size_t> elsewhere;
  for (std::size_t item = 0; item < items_.size(); ++item) {
    for (const std::size_t tensor : plan_.tensor(item).fused) {
      if (tensor < plan_.begin() || tensor >= plan_.begin() + plan_.size()) elsewhere.insert(tensor);
    }
  }
  std::uint64_t bytes = 0;
  for (const std::size_t tensor : elsewhere) {
    for (const Block& block : blocks_to_survey(source_, plan_.plan(), tensor, 0)) bytes += block.source_bytes;
  }
  return bytes;
}

void PlanRun::run(TensorSink& sink) {
  sink_ = &sink;
  BlockLoop loop(job_.threads, job_.memory_budget, token_bytes(blocks_), total_bytes_, control_);
  const auto blocks = [&](std::size_t begin, std::size_t end) {
    return std::span(blocks_).subspan(begin, end - begin);
  };
  const auto run_blocks = [&](std::size_t begin, std::size_t end) {
    loop.for_each(
        blocks(begin, end), [&](const Block& block, Scratch& scratch) { work(block, scratch); },
        [&](const Block& block, Scratch& scratch) { finish(block, scratch); });
  };
  const auto survey_blocks = [&](std::size_t item, std::size_t begin, std::size_t end) {
    loop.for_each(
        blocks(begin, end), [&](const Block& block, Scratch& scratch) { survey(block, scratch); },
        [&](const Block& block, Scratch& scratch) {
          if (is_left_out(item)) return;
          if (scratch.bad_element) return refuse(item, *scratch.bad_element);
          writer_of(item).add_survey(piece_of(plan_.tensor(item), plan_.logical(item), block, {*sink_, 0}).place,
                                     scratch);
        });
  };
  loop.run([&] {
    std::size_t pending = 0;  // blocks from here on are waiting to be run
    for (std::size_t item = 0; item < items_.size(); ++item) {
      if (!needs_two_passes(item)) continue;
      const std::size_t begin = items_[item].first_block, end = begin + items_[item].block_count;
      run_blocks(pending, begin);
      pending = end;
      if (plan_.tensor(item).fused.empty() || unfit_) {
        survey_blocks(item, begin, end);
      } else {
        survey_fused(item, loop);
      }
      if (is_left_out(item)) continue;
      const auto bad = writer_of(item).settle();
      bad ? refuse(item, *bad) : run_blocks(begin, end);
    }
    run_blocks(pending, blocks_.size());
    tell_until(items_.size());
  });
}

void PlanRun::commit(const std::function<void()>& body) {
  BlockLoop(job_.threads, job_.memory_budget, 1, total_bytes_, control_).commit(body, total_bytes_);
}

UnfitWeights PlanRun::find_unfit() {
  class Nowhere final : public TensorSink {
    void write(std::size_t, std::uint64_t, std::span<const std::byte>) override {}
    void commit(std::span<const double>) override {}
  } nowhere;
  unfit_.emplace();
  run(nowhere);
  return std::move(*unfit_);
}

// While unfit weights are looked for: those that cannot be one, and those that are known to be.
bool PlanRun::is_left_out(std::size_t item) const {
  return unfit_ && (!plan_.tensor(item).copies_nonfinite || unfit_->contains(plan_.logical(item).name));
}

WeightReader& PlanRun::reader_of(std::size_t item) {
  return items_[item].reader.get([&] { return std::make_unique<WeightReader>(source_, plan_.logical(item)); });
}

WeightWriter& PlanRun::writer_of(std::size_t item) {
  return items_[item].writer.get([&] {
    auto writer = std::make_unique<WeightWriter>(plan_.tensor(item), PartWriter(*sink_, items_[item].first_output));
    if (plan_.tensor(item).action == Action::kCopy) writer->adopt(reader_of(item).tables());
    if (plan_.tensor(item).keeps_scales) inherit_scales(*plan_.logical(item).spec, reader_of(item), *writer);
    return writer;
  });
}

void PlanRun::work(const Block& block, Scratch& scratch) {
  const std::size_t item = block.item;
  if (unfit_ && !plan_.tensor(item).copies_nonfinite) return;
  const PlannedTensor& planned = plan_.tensor(item);
  const PartWriter out(*sink_, items_[item].first_output);
  if (is_copied(planned, plan_.logical(item))) return copy_bytes(source_, planned, block, out, scratch);
  const PieceOfTensor piece = piece_of(planned, plan_.logical(item), block, out);
  switch (planned.action) {
    case Action::kCopy:
      return recode_piece(piece, reader_of(item), writer_of(item), scratch);
    case Action::kCast:
      return cast_piece(piece, reader_of(item), scratch);
    case Action::kDequantize:
      return dequantize_piece(piece, reader_of(item), scratch);
    case Action::kQuantize:
      break;
  }
  if (planned.keeps_scales) return rescale_piece(piece, reader_of(item), writer_of(item), scratch);
  const bool is_settled = !has_scales_in_pieces(planned.spec);
  if (needs_survey(planned.spec) && !needs_two_passes(item)) {
    survey_piece(piece, reader_of(item), writer_of(item), scratch);
    if (scratch.bad_element) return;
    writer_of(item).add_survey(piece.place, scratch);
    if (scratch.bad_element = writer_of(item).settle(); scratch.bad_element) return;
  }
  quantize_piece(piece, reader_of(item), writer_of(item), is_settled, scratch);
}

void PlanRun::survey(const Block& block, Scratch& scratch) {
  const std::size_t item = block.item;
  if (unfit_ && !plan_.tensor(item).copies_nonfinite) return;
  survey_piece(piece_of(plan_.tensor(item), plan_.logical(item), block, {*sink_, 0}), reader_of(item), writer_of(item),
               scratch);
}

// All that have one global scale, this one among them. What is not finite is found when its own turn comes.
void PlanRun::survey_fused(std::size_t item, BlockLoop& loop) {
  const std::vector<std::size_t>& fused = plan_.tensor(item).fused;
  WeightWriter& writer = writer_of(item);
  if (const auto known = fused_ranges_.find(fused.front()); known != fused_ranges_.end()) {
    return writer.take_range(known->second);
  }
  for (const std::size_t tensor : fused) {
    const PlannedTensor& planned = plan_.plan().tensors[tensor];
    const LogicalTensor& logical = plan_.plan().logical[planned.logical];
    const WeightReader reader(source_, logical);
    const auto piece = [&](const Block& block) { return piece_of(planned, logical, block, {*sink_, 0}); };
    loop.for_each(
        blocks_to_survey(source_, plan_.plan(), tensor, item),
        [&](const Block& block, Scratch& scratch) { survey_piece(piece(block), reader, writer, scratch); },
        [&](const Block& block, Scratch& scratch) {
          if (!scratch.bad_element) writer.add_survey(piece(block).place, scratch);
        });
  }
  writer.take_range(fused_ranges_.emplace(fused.front(), writer.one_range()).first->second);
}

void PlanRun::finish(const Block& block, Scratch& scratch) {
  if (is_left_out(block.item)) return;
  if (scratch.bad_element) return refuse(block.item, *scratch.bad_element);
  Item& item = items_[block.item];
  const PlannedTensor& planned = plan_.tensor(block.item);
  if (planned.action == Action::kQuantize || planned.action == Action::kCast) {
    for (const kernels::ErrorSums& sums : scratch.sums) item.accuracy.add(sums);
    if (const std::size_t experts = item.accuracy.experts.size(); experts > 0) {
      const std::uint64_t rows = rows_of(planned, plan_.logical(block.item)).row_count / experts;
      for (const kernels::ErrorSums& sums : scratch.sums) item.accuracy.experts[block.first_row / rows].add(sums);
    }
  }
  const bool is_last = &block == &blocks_[item.first_block + item.block_count - 1];
  if (!is_last) return;
  const LogicalTensor& tensor = plan_.logical(block.item);
  if (planned.action == Action::kQuantize || is_recoded(planned, tensor)) {
    writer_of(block.item).finish();
  } else if (told_part(planned, tensor)) {
    tensor.layout->store_tables(*tensor.spec, {}, PartWriter(*sink_, item.first_output));
  }
  item.reader.reset();
  item.writer.reset();
  const bool is_measured = planned.action == Action::kQuantize || planned.action == Action::kCast;
  if (on_done_ && is_measured) on_done_(planned, item.accuracy);
  tell_until(block.item + 1);
}

// Tensors without a byte have no block that would say so.
void PlanRun::tell_until(std::size_t end) {
  if (unfit_ || !control_.has_observer()) return;
  for (; told_ < end; ++told_) {
    const PlannedTensor& planned = plan_.tensor(told_);
    const Accuracy& accuracy = items_[told_].accuracy;
    control_.tell_done({plan_.begin() + told_, std::string(planned.layer.name.name), action_name(planned.action),
                        accuracy.is_measured ? accuracy.sqnr_db() : std::numeric_limits<double>::quiet_NaN()});
  }
}

void PlanRun::refuse(std::size_t item, std::uint64_t element) {
  const LogicalTensor& weight = plan_.logical(item);
  const PlannedTensor& planned = plan_.tensor(item);
  if (unfit_) {
    if (!unfit_->contains(weight.name)) unfit_->emplace(weight.name, explain(source_, planned, weight, element));
    return;
  }
  if (planned.copies_nonfinite) throw UnfitFound{};
  const char* advice = planned.action == Action::kDequantize
                           ? "let floats be float32 (float_dtype=float32)"
                           : "repair the checkpoint, or keep such tensors as they are (nonfinite=copy)";
  throw Error(Status::kValidation,
              formatted("{}: tensor {}: {}", source_.title(), weight.name, explain(source_, planned, weight, element)),
              advice, weight.name);
}

}  // namespace mnq
