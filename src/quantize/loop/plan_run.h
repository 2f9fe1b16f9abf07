// A plan, or a part of one, on its way into a sink: every job that writes goes through here. Which piece of which
// tensor goes where is decided here; a reader and a writer of each weight do the work.
//
// Weights whose scales lie within a piece are quantized in one pass, while the piece is in cache. A scale that spans
// pieces takes two: ranges first, then codes.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "quantize/loop/block_loop.h"
#include "quantize/loop/lazy.h"
#include "quantize/loop/weight_reader.h"
#include "quantize/loop/weight_writer.h"
#include "quantize/report.h"

namespace mnq {

/// A weight that cannot be quantized for its values, where the settings say to copy it then: the job starts over.
struct UnfitFound {};

class PlanRun {
 public:
  /// Called when a tensor is done, in order.
  using OnDone = std::function<void(const PlannedTensor&, const Accuracy&)>;

  /// All must outlive it.
  PlanRun(const TensorSource& source, const PlanSlice& plan, const JobSettings& job, RunControl& control,
          OnDone on_done = nullptr);

  /// Runs every block into the sink, which is left to be committed. Errors: as the jobs; UnfitFound.
  void run(TensorSink& sink);

  /// After run(): commits the sink, while progress goes on being reported.
  void commit(const std::function<void()>& body);

  std::uint64_t total_bytes() const { return total_bytes_; }

  /// Runs the weights that may be copied (nonfinite=copy) into nothing, and says of each that must be why.
  UnfitWeights find_unfit();

  /// For each tensor of the slice, in order.
  std::vector<Accuracy> accuracies() const;

 private:
  // What is known of one tensor while its blocks go by.
  struct Item {
    std::size_t first_output = 0;
    std::size_t first_block = 0;  // in blocks_
    std::size_t block_count = 0;
    Accuracy accuracy;
    Lazy<WeightReader> reader;
    Lazy<WeightWriter> writer;
  };

  void add_item(std::size_t index);
  bool needs_two_passes(std::size_t item) const;
  bool is_left_out(std::size_t item) const;
  WeightReader& reader_of(std::size_t item);
  WeightWriter& writer_of(std::size_t item);
  void work(const Block& block, Scratch& scratch);
  void survey(const Block& block, Scratch& scratch);
  void survey_fused(std::size_t item, BlockLoop& loop);
  std::uint64_t bytes_of_fused_elsewhere() const;
  void finish(const Block& block, Scratch& scratch);
  void refuse(std::size_t item, std::uint64_t element);
  void tell_until(std::size_t end);

  const TensorSource& source_;
  const PlanSlice plan_;
  const JobSettings& job_;
  RunControl& control_;
  OnDone on_done_;
  std::vector<Item> items_;
  std::vector<Block> blocks_;
  std::uint64_t total_bytes_ = 0;
  std::size_t told_ = 0;                                // items before this one
  std::map<std::size_t, kernels::Range> fused_ranges_;  // by the first tensor of those that have one global scale
  TensorSink* sink_ = nullptr;
  std::optional<UnfitWeights> unfit_;  // while they are looked for
};

}  // namespace mnq
