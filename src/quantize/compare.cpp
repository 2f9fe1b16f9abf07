// Compares two checkpoints: the accuracy of each tensor of one against that of the same name in the other.
#include "base/format.h"
#include "quantize/comparison.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

// What became of a pair, into its object of the report. True where it was compared.
bool describe_pair(ReportLayer& layer, const TensorPair& pair) {
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
  const std::vector<LogicalTensor>& tensors_a = reference.require_weights();
  const std::vector<LogicalTensor>& tensors_b = other.require_weights();
  const TensorByName by_name_a = index_by_name(tensors_a);
  const TensorByName by_name_b = index_by_name(tensors_b);
  const std::vector<Layer> layers = find_layers(tensors_a, reference.companion());

  std::vector<TensorPair> pairs(tensors_a.size());
  TensorComparison comparison(reference, other);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto found = by_name_b.find(tensors_a[i].name);
    pairs[i].a = &tensors_a[i];
    pairs[i].b = found == by_name_b.end() ? nullptr : found->second;
    pairs[i].is_weight = is_weight_dtype(tensors_a[i].dtype);
    if (reason_to_skip(*pairs[i].a, pairs[i].b).empty()) comparison.add(pairs[i]);
  }
  comparison.run(job, control);
  reference.require_unchanged();
  other.require_unchanged();

  Report report("compare", &reference, other.path(), job.threads);
  Accuracy model;
  std::uint64_t bytes_before = 0, bytes_after = 0, compared = 0, skipped = 0;
  bool all_exact = true;
  for (const TensorPair& pair : pairs) {
    const std::string reason = reason_to_skip(*pair.a, pair.b);
    ReportLayer& layer = report.layers().emplace_back(layers[static_cast<std::size_t>(&pair - pairs.data())], *pair.a,
                                                      reason.empty() ? "compare" : "skip");
    layer.has_other = true;
    if (pair.b != nullptr) layer.dtype_other = pair.b->dtype;
    layer.bytes_before = stored_bytes(reference, *pair.a);
    if (pair.b != nullptr) layer.bytes_after = stored_bytes(other, *pair.b);
    bytes_before += stored_bytes(reference, *pair.a);
    if (pair.b != nullptr && pair.b->spec) layer.scheme = scheme_text(*pair.b->spec);
    layer.reason = reason;
    const bool done = reason.empty() && describe_pair(layer, pair);
    ++(done ? compared : skipped);
    if (done && is_changed(pair)) model.add(pair.accuracy.sums());
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
