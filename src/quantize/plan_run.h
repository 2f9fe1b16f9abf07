// A plan, or a part of one, on its way into a sink: every job that writes goes through here.
//
// Weights whose scales lie within a block are quantized in one pass, while the block is in cache. A scale that spans
// blocks (one for the whole tensor, rows longer than kMaxRowElements, channels on another axis) takes two: ranges
// first, then codes.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "quantize/block_loop.h"
#include "quantize/report.h"
#include "quantize/weight_reader.h"

namespace mnq {

/// A weight that cannot be quantized for its values, where the settings say to copy it then: the job starts over.
struct UnfitFound {};

class PlanRun {
 public:
  /// All must outlive it.
  PlanRun(const TensorSource& source, const PlanSlice& plan, const JobSettings& job, RunControl& control);

  /// Runs every block into the sink, which is left to be committed. Errors: as the jobs; UnfitFound.
  void run(TensorSink& sink);

  /// After run(): commits the sink, while progress goes on being reported.
  void commit(const std::function<void()>& body);

  std::uint64_t total_bytes() const { return total_bytes_; }

  /// Runs the weights that may be copied (nonfinite=copy) into nothing, and says of each that must be why.
  UnfitWeights find_unfit();

  /// For each tensor of the slice, in order.
  std::vector<Accuracy> accuracies() const;

  /// Called when a tensor is done, in order.
  std::function<void(const PlannedTensor&, const Accuracy&)> on_done;

 private:
  static constexpr std::uint64_t kNoOutput = ~std::uint64_t{0};

  // What is known of one tensor while its blocks go by.
  struct ItemState {
    std::uint64_t first_output = 0;
    std::array<std::uint64_t, 5> output_of_role{kNoOutput, kNoOutput, kNoOutput, kNoOutput, kNoOutput};  // by PartRole
    Accuracy accuracy;
    std::once_flag reader_made;
    std::unique_ptr<WeightReader> reader;  // of a weight that is quantized in the source and decoded
    std::vector<kernels::Range> ranges;    // two passes: one for each scale
    std::vector<float> scales;             // two passes
    std::vector<std::int8_t> zero_points;  // [scale_shape], where they are stored

    std::uint64_t output(PartRole role) const { return output_of_role[static_cast<std::size_t>(role)]; }
  };

  const PlannedTensor& planned(const Block& block) const { return plan_.tensor(block.item); }
  const LogicalTensor& logical(const Block& block) const { return plan_.logical(block.item); }
  static bool fits_one_pass(const QuantizedSpec& spec);
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
  void range_columns(const Block& block, Scratch& scratch, const float* weights) const;
  void quantize_with_known_scales(const Block& block, Scratch& scratch);
  void quantize_columns(const Block& block, Scratch& scratch, const float* weights, std::int8_t* codes) const;
  void write_codes(const Block& block, Scratch& scratch, const std::int8_t* codes);
  void find_bad_element(const Block& block, Scratch& scratch, const float* weights, std::uint64_t count) const;
  void measure(const Block& block, Scratch& scratch, const float* weights, const float* decoded,
               std::uint64_t count) const;
  void measure_double(const Block& block, Scratch& scratch, const float* decoded, std::uint64_t count) const;
  bool is_double(const Block& block) const { return !logical(block).spec && logical(block).dtype == DType::kF64; }
  void refuse(std::size_t item, std::uint64_t element);
  std::string explain(std::size_t item, std::uint64_t element) const;
  bool is_passed_over(std::size_t item) const;
  bool is_unfit(std::size_t item) const { return unfit_ && unfit_->contains(plan_.logical(item).name); }
  void keep_ranges(const Block& block, Scratch& scratch);
  void add_ranges(const Block& block, const Scratch& scratch);
  std::optional<std::uint64_t> make_scales(std::size_t item);
  void keep_zero_points(const Block& block, Scratch& scratch);
  void write_shape(std::size_t item, const QuantizedSpec& spec);
  void finish_item(std::size_t item);

  const TensorSource& source_;
  const PlanSlice plan_;
  const kernels::KernelTable& kernels_ = kernels::kernel_table();
  const JobSettings& job_;
  RunControl& control_;
  mutable std::vector<ItemState> states_;
  std::vector<Block> blocks_;
  std::vector<std::pair<std::size_t, std::size_t>> blocks_of_item_;  // [begin, end) in blocks_
  std::uint64_t total_bytes_ = 0;
  TensorSink* sink_ = nullptr;
  std::optional<UnfitWeights> unfit_;  // while they are looked for
};

}  // namespace mnq
