// Compares two checkpoints: the accuracy of each tensor of one against that of the same name in the other.
#include "base/text/format.h"
#include "quantize/comparison.h"
#include "quantize/experts_view.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

// What became of a pair, into its object of the report. True where it was compared.
bool describe_pair(Report& report, ReportLayer& layer, const TensorPair& pair) {
  if (pair.bad_element) {
    layer.action = "skip";
    layer.reason = report.kept(formatted("element {} is not finite in one of the two", *pair.bad_element));
    return false;
  }
  if (pair.is_weight) {
    layer.accuracy = pair.accuracy;
    layer.accuracy.is_measured = true;
    return true;
  }
  layer.exact = !pair.differs;
  if (pair.differs) layer.reason = report.kept(formatted("its {} values differ", dtype_name(pair.a->dtype)));
  return true;
}

// Two checkpoints, tensor by tensor, on their way into a report.
class ComparedModels {
 public:
  ComparedModels(const TensorSource& reference, const TensorSource& other)
      : reference_(reference),
        other_(other),
        tensors_a_(reference.require_weights()),
        tensors_b_(other.require_weights()),
        layers_(find_layers(tensors_a_, reference.companion())),
        pairs_(tensors_a_.size()) {}

  void measure(const JobSettings& job, RunControl& control) {
    const TensorByName by_name = index_by_name(tensors_b_);
    TensorComparison comparison(reference_, other_);
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const auto found = by_name.find(tensors_a_[i].name);
      pairs_[i].a = &tensors_a_[i];
      pairs_[i].b = found == by_name.end() ? nullptr : found->second;
      pairs_[i].is_weight = is_weight_dtype(tensors_a_[i].dtype);
      if (reason_to_skip(*pairs_[i].a, pairs_[i].b).empty()) comparison.add(pairs_[i]);
    }
    comparison.run(job, control);
    reference_.require_unchanged();
    other_.require_unchanged();
  }

  void describe(Report& report) {
    for (std::size_t i = 0; i < pairs_.size(); ++i) add_pair(report, pairs_[i], layers_[i]);
    const TensorByName by_name = index_by_name(tensors_a_);
    for (const LogicalTensor& tensor : tensors_b_) {
      bytes_after_ += stored_bytes(other_, tensor);
      if (!by_name.contains(tensor.name)) add_unpaired(report, tensor);
    }
    add_totals(report.json()["model"]);
    if (compared_ == 0) report.add_warning("the two share no tensor that can be compared");
  }

 private:
  void add_pair(Report& report, const TensorPair& pair, const Layer& layer) {
    const std::string reason = reason_to_skip(*pair.a, pair.b);
    ReportLayer& row = report.layers().emplace_back(layer, *pair.a, reason.empty() ? "compare" : "skip");
    row.has_other = true;
    if (pair.b != nullptr) row.dtype_other = pair.b->dtype;
    row.bytes_before = stored_bytes(reference_, *pair.a);
    if (pair.b != nullptr) row.bytes_after = stored_bytes(other_, *pair.b);
    bytes_before_ += stored_bytes(reference_, *pair.a);
    if (pair.b != nullptr && pair.b->spec) row.scheme = report.kept(scheme_text(*pair.b->spec));
    row.reason = report.kept(reason);
    const bool done = reason.empty() && describe_pair(report, row, pair);
    ++(done ? compared_ : skipped_);
    if (done && is_changed(pair)) model_.add(pair.accuracy.sums());
    all_exact_ = all_exact_ && done && !pair.differs;
  }

  void add_unpaired(Report& report, const LogicalTensor& tensor) {
    Layer layer;
    layer.name = {tensor.name, tensor.name};
    ReportLayer& row = report.layers().emplace_back(layer, tensor, "skip");
    row.reason = "only in the second";
    row.bytes_after = stored_bytes(other_, tensor);
    ++skipped_;
    all_exact_ = false;
  }

  void add_totals(Json& object) const {
    object["tensors_compared"] = compared_;
    object["tensors_skipped"] = skipped_;
    object["bytes_before"] = bytes_before_;
    object["bytes_after"] = bytes_after_;
    object["compression_ratio"] = bytes_after_ == 0
                                      ? Json(nullptr)
                                      : Json(static_cast<double>(bytes_before_) / static_cast<double>(bytes_after_));
    Report::set_accuracy(object, model_);
    object["exact"] = all_exact_ && model_.error == 0;
  }

  const TensorSource &reference_, &other_;
  const std::vector<LogicalTensor>&tensors_a_, &tensors_b_;
  const std::vector<Layer> layers_;
  std::vector<TensorPair> pairs_;
  Accuracy model_;
  std::uint64_t bytes_before_ = 0, bytes_after_ = 0, compared_ = 0, skipped_ = 0;
  bool all_exact_ = true;
};

}  // namespace

Report compare(const TensorSource& reference, const TensorSource& other, const Config& config, RunControl& control) {
  const Stopwatch stopwatch;
  const JobSettings job = resolve_job(config);
  const ExpertsView seen(reference, other);
  ComparedModels models(seen.get(), other);
  models.measure(job, control);
  Report report("compare", &reference, other.path(), job.threads);
  models.describe(report);
  for (const TensorSource* source : {&reference, &other}) {
    for (const std::string& remark : source->remarks()) {
      report.add_warning(formatted("{}: {}", source->title(), remark));
    }
  }
  report.finish(stopwatch.seconds());
  return report;
}

}  // namespace mnq
