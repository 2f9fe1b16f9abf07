// Validates a checkpoint: values, scales, shapes and, against an original, names.
#include <algorithm>
#include <cmath>

#include "base/text/format.h"
#include "kernels/not_finite.h"
#include "plan/foreign_tensors.h"
#include "quantize/comparison.h"
#include "quantize/experts_view.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"
#include "quantize/loop/lazy.h"

namespace mnq {
namespace {

// One tensor of the checkpoint that is validated.
struct Checked {
  Lazy<WeightReader> reader;
  std::optional<std::uint64_t> bad_element;
  bool has_nan = false;
};

// Scales that no decoder can use.
std::string scale_problem(const std::vector<float>& scales, const QuantizedSpec& spec) {
  const auto bad = std::ranges::find_if(
      scales, [&](float scale) { return !std::isfinite(scale) || !(scale > 0 || spec.has_free_scales); });
  if (bad == scales.end()) return "";
  if (spec.has_free_scales) return formatted("scale {} is {}, but must be finite", bad - scales.begin(), *bad);
  return formatted("scale {} is {}, but must be finite and above 0", bad - scales.begin(), *bad);
}

void check_parts(Report& report, const TensorSource& source, const LogicalTensor& tensor) {
  if (tensor.layout->find_problem == nullptr) return;
  const std::string problem = tensor.layout->find_problem(*tensor.spec, PartReader(source, tensor.parts));
  if (!problem.empty()) report.add_problem({tensor.name, problem});
}

// What no metadata calls a weight, but looks like the codes of one, needs the scale beside it.
void check_orphans(Report& report, const std::vector<LogicalTensor>& tensors) {
  const TensorByName by_name = index_by_name(tensors);
  for (const LogicalTensor& tensor : tensors) {
    const bool is_codes = tensor.dtype == DType::kI8 && tensor.name.ends_with("weight") && tensor.shape.size() >= 2;
    const bool is_packed = tensor.name.ends_with("weight_packed");
    const std::string base = is_packed ? tensor.name.substr(0, tensor.name.size() - 7) : tensor.name;
    if ((is_codes || is_packed) && !by_name.contains(base + "_scale")) {
      report.add_problem({tensor.name, formatted("{}_scale is missing", base)});
    }
  }
}

// Whether the tensors are no weights as they are. A part of a checkpoint is no model; of another tool's codes it is not
// known.
bool check_foreign(Report& report, const std::vector<LogicalTensor>& tensors) {
  const auto foreign = find_foreign_tensors(tensors);
  if (!foreign) return false;
  if (foreign->is_part) {
    report.add_problem({"", foreign->text()});
  } else {
    report.add_warning(formatted("{}: whether its codes are sound is not checked", foreign->text()));
  }
  return true;
}

// Floats of another width still are the original's weights; GGUF does not even say what its blocks were made of.
void check_dtype(Report& report, const LogicalTensor& tensor, const LogicalTensor& expected) {
  if (tensor.dtype == expected.dtype || (tensor.spec && tensor.spec->has_free_scales)) return;
  const std::string text =
      formatted("is {}, but the original is {}", dtype_name(tensor.dtype), dtype_name(expected.dtype));
  if (is_weight_dtype(tensor.dtype) && is_weight_dtype(expected.dtype)) {
    report.add_warning(formatted("{}: {}", tensor.name, text));
  } else {
    report.add_problem({tensor.name, text});
  }
}

void check_original(Report& report, const std::vector<LogicalTensor>& tensors,
                    const std::vector<LogicalTensor>& expected) {
  const TensorByName by_name = index_by_name(tensors);
  const TensorByName expected_by_name = index_by_name(expected);
  for (const LogicalTensor& tensor : expected) {
    const auto found = by_name.find(tensor.name);
    if (found == by_name.end()) {
      report.add_problem({tensor.name, "is missing: the original has it"});
    } else if (found->second->shape != tensor.shape) {
      report.add_problem({tensor.name, formatted("has the shape {}, but the original's is {}",
                                                 shape_text(found->second->shape), shape_text(tensor.shape))});
    } else {
      check_dtype(report, *found->second, tensor);
    }
  }
  for (const LogicalTensor& tensor : tensors) {
    if (!expected_by_name.contains(tensor.name)) report.add_problem({tensor.name, "is not in the original"});
  }
}

// What codes and scales as they are can lose at most: half of the widest step each, on the average over all.
double most_rounding_error(const std::vector<float>& scales, const LogicalTensor& tensor) {
  double sum = 0;
  const double step = scheme_of(*tensor.spec).widest_step;
  for (const float scale : scales) sum += static_cast<double>(scale) * scale * step * step / 4;
  return sum * static_cast<double>(element_count(tensor.shape)) /
         static_cast<double>(std::max<std::size_t>(1, scales.size()));
}

// Whether so little accuracy is what quantizing this very weight costs: the file says so itself, or else its scales are
// that coarse.
bool is_honest(const TensorSource& source, const TensorPair& pair) {
  constexpr double kSlackDb = 1;
  const LogicalTensor& tensor = *pair.b;
  if (tensor.sqnr_db) return pair.accuracy.sqnr_db() >= *tensor.sqnr_db - kSlackDb;
  if (!tensor.spec) return false;
  return pair.accuracy.error <= most_rounding_error(WeightReader(source, tensor).scales(), tensor);
}

void judge_accuracy(Report& report, const TensorSource& source, const TensorPair& pair, const JobSettings& job) {
  const LogicalTensor& tensor = *pair.b;
  const double sqnr_db = pair.accuracy.sqnr_db();
  const std::string measured = formatted("{:.1f} dB against the original", sqnr_db);
  const bool honest = is_honest(source, pair);
  if (sqnr_db < job.sqnr_critical_db && !honest) {
    report.add_problem({tensor.name, formatted("its values are not the original's: {:.1f} dB, below {} dB "
                                               "(sqnr_critical_db)",
                                               sqnr_db, job.sqnr_critical_db)});
  } else if (sqnr_db < job.sqnr_critical_db) {
    report.add_warning(formatted("{}: {}, below {} dB: critical, and what its scales make of the original", tensor.name,
                                 measured, job.sqnr_critical_db));
  } else if (tensor.sqnr_db && !honest) {
    report.add_warning(formatted("{}: {}, {:.1f} dB when it was quantized: that was another version of the original",
                                 tensor.name, measured, *tensor.sqnr_db));
  }
}

// What a pair is like, into the report. Its shapes and dtypes are checked.
void describe_pair(Report& report, const TensorSource& source, const TensorPair& pair, const Layer& layer,
                   const JobSettings& job) {
  const std::string skipped = pair.a == nullptr ? "not in the original" : reason_to_skip(*pair.a, pair.b);
  const bool is_compared = skipped.empty() && !pair.bad_element;
  ReportLayer& row = report.layers().emplace_back(layer, *pair.b, is_compared ? "compare" : "skip");
  row.bytes_after = stored_bytes(source, *pair.b);
  if (pair.b->spec) row.scheme = report.kept(scheme_text(*pair.b->spec));
  if (!skipped.empty()) {
    row.reason = report.kept(skipped);
  } else if (pair.bad_element) {
    row.reason = report.kept(formatted("element {} is not finite in one of the two", *pair.bad_element));
  } else if (pair.is_weight) {
    row.accuracy = pair.accuracy;
    row.accuracy.is_measured = true;
    judge_accuracy(report, source, pair, job);
  } else {
    row.exact = !pair.differs;
    if (pair.differs) report.add_problem({pair.b->name, "its values are not the original's"});
  }
}

// The accuracy of every tensor against the original's: what a file of the same names and shapes was made of.
std::vector<TensorPair> check_accuracy(Report& report, const TensorSource& source,
                                       const std::vector<LogicalTensor>& tensors, const TensorSource& original,
                                       const std::vector<LogicalTensor>& expected, const std::vector<Layer>& layers,
                                       const JobSettings& job, RunControl& control) {
  const TensorByName expected_by_name = index_by_name(expected);
  std::vector<TensorPair> pairs(tensors.size());
  TensorComparison comparison(original, source);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto found = expected_by_name.find(tensors[i].name);
    pairs[i].b = &tensors[i];
    if (found == expected_by_name.end()) continue;
    pairs[i].a = found->second;
    pairs[i].is_weight = is_weight_dtype(tensors[i].dtype);
    if (reason_to_skip(*pairs[i].a, pairs[i].b).empty()) comparison.add(pairs[i]);
  }
  comparison.run(job, control);
  Accuracy model;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    describe_pair(report, source, pairs[i], layers[i], job);
    const bool counts = pairs[i].accuracy.is_measured && !pairs[i].bad_element && is_changed(pairs[i]);
    if (counts) model.add(pairs[i].accuracy.sums());
  }
  if (model.is_measured) Report::set_accuracy(report.json()["model"], model);
  return pairs;
}

// Masks hold infinities, and what was copied holds what it held: only a weight, or what has changed, is wrong for that.
void judge_not_finite(Report& report, const LogicalTensor& tensor, const Layer& layer, const Checked& state,
                      const TensorPair* pair) {
  const bool is_compared = pair != nullptr && (pair->accuracy.is_measured || pair->bad_element);
  const bool is_same = is_compared && !pair->bad_element;
  const bool is_buffer = !tensor.spec && layer.kind == nullptr;
  if (is_buffer && (is_same || (!is_compared && !state.has_nan))) {
    report.add_warning(formatted("{}: element {} is {}{}", tensor.name, *state.bad_element,
                                 state.has_nan ? "not finite" : "infinite", is_same ? ", as in the original" : ""));
  } else {
    report.add_problem({tensor.name, formatted("element {} is not finite", *state.bad_element)});
  }
}

class ValueCheck {
 public:
  ValueCheck(Report& report, const TensorSource& source, const std::vector<LogicalTensor>& tensors,
             const std::vector<Layer>& layers, const std::vector<TensorPair>& pairs)
      : report_(report), source_(source), tensors_(tensors), layers_(layers), pairs_(pairs), states_(tensors.size()) {}

  void run(const JobSettings& job, RunControl& control) {
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (!is_weight_dtype(tensors_[i].dtype) || element_count(tensors_[i].shape) == 0) continue;
      cut_to_read(blocks, i, tensors_[i].shape, stacked_axes(tensors_[i]), stored_bits(source_, tensors_[i]));
    }
    BlockLoop loop(job.threads, job.memory_budget, token_bytes(blocks), total_source_bytes(blocks), control);
    loop.run([&] {
      loop.for_each(
          blocks, [&](const Block& block, Scratch& scratch) { work(block, scratch); },
          [&](const Block& block, Scratch& scratch) { finish(block, scratch); });
    });
  }

 private:
  void work(const Block& block, Scratch& scratch) {
    const LogicalTensor& tensor = tensors_[block.item];
    Checked& state = states_[block.item];
    const WeightReader& reader = state.reader.get([&] { return std::make_unique<WeightReader>(source_, tensor); });
    const RowView rows = rows_to_read(tensor.shape, stacked_axes(tensor));
    const std::uint64_t begin = block.first_row * rows.row_length + block.first_column;
    const std::uint64_t count = block.row_count * block.column_count;
    if (reader.is_double()) {
      const double* values = reader.read_double(begin, count, scratch.in);
      return keep_worst(scratch, begin, values, count, find_not_finite(values, count));
    }
    const float* values = reader.read(begin, count, scratch.in);
    keep_worst(scratch, begin, values, count, find_not_finite(values, count));
  }

  // The first NaN, else the first infinity.
  template <class Value>
  static void keep_worst(Scratch& scratch, std::uint64_t begin, const Value* values, std::uint64_t count,
                         std::optional<std::uint64_t> bad) {
    if (!bad) return;
    const Value* nan = std::find_if(values + *bad, values + count, [](Value value) { return std::isnan(value); });
    scratch.has_nan = nan != values + count;
    scratch.bad_element = begin + (scratch.has_nan ? static_cast<std::uint64_t>(nan - values) : *bad);
  }

  void finish(const Block& block, Scratch& scratch) {
    Checked& state = states_[block.item];
    if (scratch.bad_element && (!state.bad_element || (scratch.has_nan && !state.has_nan))) {
      state.bad_element = scratch.bad_element;
      state.has_nan = scratch.has_nan;
    }
    if (block.is_last) judge(block.item);
  }

  void judge(std::size_t item) {
    const LogicalTensor& tensor = tensors_[item];
    Checked& state = states_[item];
    const std::string problem = scale_problem_of(tensor, state);
    state.reader.reset();
    if (!problem.empty()) {
      report_.add_problem({tensor.name, problem});
    } else if (state.bad_element) {
      judge_not_finite(report_, tensor, layers_[item], state, pairs_.empty() ? nullptr : &pairs_[item]);
    }
  }

  // Scales that lie with their codes were read with them: a bad one has made a bad value.
  std::string scale_problem_of(const LogicalTensor& tensor, Checked& state) {
    if (!tensor.spec || (!tensor.layout->has_tables && !state.bad_element)) return "";
    const auto reader = [&] { return std::make_unique<WeightReader>(source_, tensor); };
    return scale_problem(state.reader.get(reader).scales(), *tensor.spec);
  }

  Report& report_;
  const TensorSource& source_;
  const std::vector<LogicalTensor>& tensors_;
  const std::vector<Layer>& layers_;
  const std::vector<TensorPair>& pairs_;
  std::vector<Checked> states_;
};

}  // namespace

Report validate(const TensorSource& source, const TensorSource* given, const Config& config, RunControl& control) {
  const Stopwatch stopwatch;
  const JobSettings job = resolve_job(config);
  const std::vector<LogicalTensor>& tensors = source.weights();
  Report report("validate", &source, "", job.threads);
  report.json()["problems"] = Json::array();
  for (const Problem& problem : source.problems()) report.add_problem(problem);
  for (const LogicalTensor& tensor : tensors) {
    if (tensor.spec) check_parts(report, source, tensor);
  }
  if (!check_foreign(report, tensors)) check_orphans(report, tensors);
  const std::vector<Layer> layers = find_layers(tensors, source.companion());
  std::vector<TensorPair> pairs;
  std::optional<ExpertsView> seen;
  if (given != nullptr) seen.emplace(*given, source);
  const TensorSource* original = seen ? &seen->get() : nullptr;
  const std::uint64_t bytes = original == nullptr ? 0 : original->size_bytes();
  if (original != nullptr) {
    const std::vector<LogicalTensor>& expected = original->require_weights();
    check_original(report, tensors, expected);
    const RunControl::Span span(control, 0, bytes + source.size_bytes());
    pairs = check_accuracy(report, source, tensors, *original, expected, layers, job, control);
    original->require_unchanged();
  }
  const RunControl::Span span(control, bytes, bytes + source.size_bytes());
  ValueCheck(report, source, tensors, layers, pairs).run(job, control);
  source.require_unchanged();
  report.json()["model"]["valid"] = report.problems().empty();
  report.json()["model"]["tensors_checked"] = tensors.size();
  report.finish(stopwatch.seconds());
  return report;
}

}  // namespace mnq
