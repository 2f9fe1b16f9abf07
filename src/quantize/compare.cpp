// Compares two checkpoints: the accuracy of each tensor of one against that of the same name in the other.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/format.h"
#include "quantize/block_loop.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

using kernels::KernelTable;

// Two tensors of one name.
struct Pair {
  const LogicalTensor* a = nullptr;
  const LogicalTensor* b = nullptr;
  Layer layer;
  bool is_weight = false;  // as floats; else byte for byte
  std::int64_t stacked_axes = 0;
  std::once_flag readers_made;
  std::unique_ptr<WeightReader> reader_a;
  std::unique_ptr<WeightReader> reader_b;
  Accuracy accuracy;
  bool differs = false;
  std::optional<std::uint64_t> bad_element;
};

// Where a float pair cannot be compared by numbers: the reason. Empty: it can.
std::string reason_to_skip(const LogicalTensor& a, const LogicalTensor* b) {
  if (b == nullptr) return "only in the first";
  if (a.shape != b->shape) return formatted("its shape is {} in the second", shape_text(b->shape));
  const bool floats = is_weight_dtype(a.dtype) && is_weight_dtype(b->dtype);
  if (!floats && a.dtype != b->dtype) {
    return formatted("{} and {} cannot be compared", dtype_name(a.dtype), dtype_name(b->dtype));
  }
  return "";
}

class Comparison {
 public:
  Comparison(const TensorSource& a, const TensorSource& b) : a_(a), b_(b) {}

  void add(Pair& pair, std::size_t item) {
    const std::uint64_t bits = stored_bits(a_, *pair.a);
    if (!pair.is_weight) {
      cut_bytes(blocks_, item, 0, stored_bytes(a_, *pair.a));
    } else {
      pair.stacked_axes = std::max(stacked_axes(*pair.a), stacked_axes(*pair.b));
      cut_to_read(blocks_, item, pair.a->shape, pair.stacked_axes, bits);
    }
    pairs_.push_back(&pair);
  }

  void run(const JobSettings& job, RunControl& control) {
    BlockLoop loop(job.threads, job.memory_budget, token_bytes(blocks_), total_source_bytes(blocks_), control);
    loop.run([&] {
      loop.for_each(
          blocks_, [&](const Block& block, Scratch& scratch) { work(block, scratch); },
          [&](const Block& block, Scratch& scratch) { finish(block, scratch); });
    });
  }

 private:
  void work(const Block& block, Scratch& scratch) const {
    Pair& pair = *pairs_[block.item];
    if (!pair.is_weight) {
      const auto* a = fetch(a_, pair.a->parts.front(), block.first_column, block.column_count, scratch.raw);
      const auto* b = fetch(b_, pair.b->parts.front(), block.first_column, block.column_count, scratch.stored);
      scratch.differs = std::memcmp(a, b, block.column_count) != 0;
      return;
    }
    std::call_once(pair.readers_made, [&] {
      pair.reader_a = std::make_unique<WeightReader>(a_, *pair.a);
      pair.reader_b = std::make_unique<WeightReader>(b_, *pair.b);
    });
    const std::uint64_t count = block.row_count * block.column_count;
    const std::uint64_t row_length = rows_to_read(pair.a->shape, pair.stacked_axes).row_length;
    const std::uint64_t begin = block.first_row * row_length + block.first_column;
    const float* a = pair.reader_a->read(kernels_, begin, count, scratch.raw, scratch.codes, scratch.weights);
    const float* b = pair.reader_b->read(kernels_, begin, count, scratch.stored, scratch.zero_points, scratch.other);
    for (const float* values : {a, b}) {
      const auto bad = find_not_finite(kernels_, values, count);
      if (!bad) continue;
      scratch.bad_element = begin + *bad;
      return;
    }
    scratch.sums.assign(1, kernels_.error_sums(a, b, count));
  }

  void finish(const Block& block, Scratch& scratch) {
    Pair& pair = *pairs_[block.item];
    if (!pair.is_weight) {
      pair.differs = pair.differs || scratch.differs;
      return;
    }
    if (scratch.bad_element) {
      if (!pair.bad_element) pair.bad_element = scratch.bad_element;
    } else {
      pair.accuracy.add(scratch.sums.front());
    }
    if (block.is_last) {
      pair.reader_a.reset();
      pair.reader_b.reset();
    }
  }

  const TensorSource& a_;
  const TensorSource& b_;
  const KernelTable& kernels_ = kernels::kernel_table();
  std::vector<Pair*> pairs_;
  std::vector<Block> blocks_;
};

// Whether the pair counts for the model's accuracy: weights that were quantized, cast or changed. What was copied would only
// make the number look better, and the report of the job that made the file leaves it out as well.
bool is_changed(const Pair& pair) {
  if (!pair.is_weight) return false;
  return pair.a->spec.has_value() || pair.b->spec.has_value() || pair.a->dtype != pair.b->dtype ||
         pair.accuracy.error > 0;
}

// What became of a pair, into its object of the report. True where it was compared.
bool describe_pair(ReportLayer& layer, const Pair& pair) {
  if (pair.bad_element) {
    layer.action = "skip";
    layer.reason = formatted("element {} is not finite in one of the two", *pair.bad_element);
    return false;
  }
  if (pair.is_weight) {
    layer.accuracy = pair.accuracy;
    layer.accuracy.is_measured = true;
    return true;
  }
  layer.exact = !pair.differs;
  if (pair.differs) layer.reason = formatted("its {} values differ", dtype_name(pair.a->dtype));
  return true;
}

}  // namespace

Report compare(const TensorSource& reference, const TensorSource& other, const Config& config, RunControl& control) {
  const Stopwatch stopwatch;
  const JobSettings job = resolve_job(config);
  const std::vector<LogicalTensor> tensors_a = require_logical_tensors(reference);
  const std::vector<LogicalTensor> tensors_b = require_logical_tensors(other);
  const TensorByName by_name_a = index_by_name(tensors_a);
  const TensorByName by_name_b = index_by_name(tensors_b);
  const std::vector<Layer> layers = find_layers(tensors_a, reference.companion());

  std::vector<Pair> pairs(tensors_a.size());
  Comparison comparison(reference, other);
  std::size_t compared_count = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto found = by_name_b.find(tensors_a[i].name);
    pairs[i].a = &tensors_a[i];
    pairs[i].b = found == by_name_b.end() ? nullptr : found->second;
    pairs[i].layer = layers[i];
    pairs[i].is_weight = is_weight_dtype(tensors_a[i].dtype);
    if (reason_to_skip(*pairs[i].a, pairs[i].b).empty()) comparison.add(pairs[i], compared_count++);
  }
  comparison.run(job, control);
  reference.require_unchanged();
  other.require_unchanged();

  Report report("compare", &reference, other.path(), job.threads);
  Accuracy model;
  std::uint64_t bytes_before = 0, bytes_after = 0, compared = 0, skipped = 0;
  bool all_exact = true;
  for (const Pair& pair : pairs) {
    const std::string reason = reason_to_skip(*pair.a, pair.b);
    ReportLayer& layer = report.layers().emplace_back(pair.layer, *pair.a, reason.empty() ? "compare" : "skip");
    layer.dtype_other = pair.b == nullptr ? Json(nullptr) : Json(dtype_name(pair.b->dtype));
    layer.bytes_before = stored_bytes(reference, *pair.a);
    if (pair.b != nullptr) layer.bytes_after = stored_bytes(other, *pair.b);
    bytes_before += stored_bytes(reference, *pair.a);
    if (pair.b != nullptr && pair.b->spec) layer.scheme = scheme_text(*pair.b->spec);
    layer.reason = reason;
    const bool done = reason.empty() && describe_pair(layer, pair);
    ++(done ? compared : skipped);
    if (done && is_changed(pair)) model.add({pair.accuracy.signal, pair.accuracy.error, pair.accuracy.max_error});
    all_exact = all_exact && done && !pair.differs;
  }
  for (const LogicalTensor& tensor : tensors_b) {
    bytes_after += stored_bytes(other, tensor);
    if (by_name_a.contains(tensor.name)) continue;
    Layer layer;
    layer.name = {tensor.name, tensor.name};
    ReportLayer& row = report.layers().emplace_back(layer, tensor, "skip");
    row.reason = "only in the second";
    row.bytes_after = stored_bytes(other, tensor);
    ++skipped;
    all_exact = false;
  }
  Json& object = report.json()["model"];
  object["tensors_compared"] = compared;
  object["tensors_skipped"] = skipped;
  object["bytes_before"] = bytes_before;
  object["bytes_after"] = bytes_after;
  object["compression_ratio"] =
      bytes_after == 0 ? Json(nullptr) : Json(static_cast<double>(bytes_before) / static_cast<double>(bytes_after));
  Report::set_accuracy(object, model);
  object["exact"] = all_exact && model.error == 0;
  if (compared == 0) report.add_warning("the two share no tensor that can be compared");
  for (const TensorSource* source : {&reference, &other}) {
    for (const std::string& remark : source->remarks()) {
      report.add_warning(formatted("{}: {}", source->title(), remark));
    }
  }
  report.finish(stopwatch.seconds());
  return report;
}

}  // namespace mnq
