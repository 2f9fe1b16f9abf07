// Validates a checkpoint: values, scales, shapes and, against an original, names.
#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/format.h"
#include "quantize/block_loop.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

// One tensor of the checkpoint that is validated.
struct Checked {
  std::once_flag reader_made;
  std::unique_ptr<WeightReader> reader;
  std::optional<std::uint64_t> bad_element;
};

// Scales that no decoder can use. ggml's may be 0, and of Q4_0 negative.
std::string scale_problem(const std::vector<float>& scales, const QuantizedSpec& spec) {
  const auto bad =
      std::ranges::find_if(scales, [&](float scale) { return !std::isfinite(scale) || !(scale > 0 || spec.is_ggml); });
  if (bad == scales.end()) return "";
  if (spec.is_ggml) return formatted("scale {} is {}, but must be finite", bad - scales.begin(), *bad);
  return formatted("scale {} is {}, but must be finite and above 0", bad - scales.begin(), *bad);
}

void check_shape_part(Report& report, const TensorSource& source, const LogicalTensor& tensor) {
  const std::vector<StoredPart> parts = scheme_of(*tensor.spec).parts(*tensor.spec);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].role != PartRole::kShape) continue;
    Shape stored(tensor.shape.size());
    source.read(tensor.parts[i], 0, std::as_writable_bytes(std::span(stored)));
    if (stored == tensor.shape) continue;
    report.add_problem({tensor.name, formatted("{}{} holds {}, but the metadata says {}", tensor.name, parts[i].suffix,
                                               shape_text(stored), shape_text(tensor.shape))});
  }
}

// Without our metadata an int8 weight still needs the scale beside it.
void check_orphans(Report& report, const TensorSource& source, const std::vector<LogicalTensor>& tensors) {
  const TensorByName by_name = index_by_name(tensors);
  if (source.metadata().contains(std::string(kMetadataKey))) return;
  for (const LogicalTensor& tensor : tensors) {
    const bool is_codes = tensor.dtype == DType::kI8 && tensor.name.ends_with("weight") && tensor.shape.size() >= 2;
    const bool is_packed = tensor.name.ends_with("weight_packed");
    const std::string base = is_packed ? tensor.name.substr(0, tensor.name.size() - 7) : tensor.name;
    if ((is_codes || is_packed) && !by_name.contains(base + "_scale")) {
      report.add_problem({tensor.name, formatted("{}_scale is missing", base)});
    }
  }
}

// Floats of another width still are the original's weights; GGUF does not even say what its blocks were made of.
void check_dtype(Report& report, const LogicalTensor& tensor, const LogicalTensor& expected) {
  if (tensor.dtype == expected.dtype || (tensor.spec && tensor.spec->is_ggml)) return;
  const std::string text =
      formatted("is {}, but the original is {}", dtype_name(tensor.dtype), dtype_name(expected.dtype));
  if (is_weight_dtype(tensor.dtype) && is_weight_dtype(expected.dtype)) {
    report.add_warning(formatted("{}: {}", tensor.name, text));
  } else {
    report.add_problem({tensor.name, text});
  }
}

void check_original(Report& report, const std::vector<LogicalTensor>& tensors, const TensorSource& original) {
  const std::vector<LogicalTensor> expected = require_logical_tensors(original);
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

void check_values(Report& report, const TensorSource& source, const std::vector<LogicalTensor>& tensors,
                  const JobSettings& job, RunControl& control) {
  std::vector<Checked> states(tensors.size());
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!is_weight_dtype(tensors[i].dtype) || element_count(tensors[i].shape) == 0) continue;
    cut_to_read(blocks, i, tensors[i].shape, stacked_axes(tensors[i]), stored_bits(source, tensors[i]));
  }
  const kernels::KernelTable& kernels = kernels::kernel_table();
  BlockLoop loop(job.threads, job.memory_budget, token_bytes(blocks), total_source_bytes(blocks), control);
  const auto work = [&](const Block& block, Scratch& scratch) {
    const LogicalTensor& tensor = tensors[block.item];
    Checked& state = states[block.item];
    std::call_once(state.reader_made, [&] { state.reader = std::make_unique<WeightReader>(source, tensor); });
    const RowView rows = rows_to_read(tensor.shape, stacked_axes(tensor));
    const std::uint64_t begin = block.first_row * rows.row_length + block.first_column;
    const std::uint64_t count = block.row_count * block.column_count;
    const float* values = state.reader->read(kernels, begin, count, scratch.raw, scratch.codes, scratch.weights);
    if (const auto bad = find_not_finite(kernels, values, count)) scratch.bad_element = begin + *bad;
  };
  const auto finish = [&](const Block& block, Scratch& scratch) {
    const LogicalTensor& tensor = tensors[block.item];
    Checked& state = states[block.item];
    if (scratch.bad_element && !state.bad_element) state.bad_element = scratch.bad_element;
    if (!block.is_last) return;
    const std::string problem = tensor.spec ? scale_problem(state.reader->scales(), *tensor.spec) : std::string();
    state.reader.reset();
    if (!problem.empty()) {
      report.add_problem({tensor.name, problem});
    } else if (state.bad_element) {
      report.add_problem({tensor.name, formatted("element {} is not finite", *state.bad_element)});
    }
  };
  loop.run([&] { loop.for_each(blocks, work, finish); });
}

}  // namespace

Report validate(const TensorSource& source, const TensorSource* original, const Config& config, RunControl& control) {
  const Stopwatch stopwatch;
  const JobSettings job = resolve_job(config);
  const LogicalTensors found = find_logical_tensors(source);
  Report report("validate", &source, "", job.threads);
  report.json()["problems"] = Json::array();
  for (const Problem& problem : found.problems) report.add_problem(problem);
  for (const LogicalTensor& tensor : found.tensors) {
    if (tensor.spec) check_shape_part(report, source, tensor);
  }
  check_orphans(report, source, found.tensors);
  if (original != nullptr) check_original(report, found.tensors, *original);
  check_values(report, source, found.tensors, job, control);
  source.require_unchanged();
  report.json()["model"]["valid"] = report.problems().empty();
  report.json()["model"]["tensors_checked"] = found.tensors.size();
  report.finish(stopwatch.seconds());
  return report;
}

}  // namespace mnq
