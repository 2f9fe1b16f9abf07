#include "quantize/module_jobs.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "formats/torchscript.h"
#include "kernels/kernel_table.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

const Module& require_module(const TensorSource& source) {
  const ModuleSource* module = as_module_source(source);
  if (module != nullptr) return *module->module();
  throw Error(Status::kUnsupported, formatted("{}: has tensors but no code that could run", source.title()),
              "open a TorchScript module (torch.jit.save)", source.title());
}

bool wants_integers(const Config& config) { return config.find("activations").value != "float"; }

using Outputs = std::vector<ModuleValue>;

// A float output as float32; empty for another.
std::vector<float> float_values(const ModuleValue& output) {
  const auto* tensor = std::get_if<Tensor>(&output.value);
  if (tensor == nullptr || !is_weight_dtype(tensor->dtype)) return {};
  Buffer converted;
  const std::uint64_t count = element_count(tensor->shape);
  if (count == 0) return {};
  const float* values = to_float32(kernels::kernel_table(), tensor->dtype, tensor->data.get(), count, converted);
  return {values, values + count};
}

void check_finite(Report& report, const Outputs& outputs) {
  for (const ModuleValue& output : outputs) {
    const std::vector<float> values = float_values(output);
    const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    if (bad == values.end()) continue;
    report.add_problem(
        {formatted("output {}", output.name), formatted("element {} is not finite", bad - values.begin())});
  }
}

// The accuracy of all float outputs together; nothing where they do not fit each other.
std::optional<Accuracy> compare_outputs(Report& report, const Outputs& reference, const Outputs& outputs,
                                        const char* whose) {
  Accuracy accuracy;
  const auto fail = [&](const std::string& name) {
    report.add_problem({formatted("output {}", name), formatted("is not what {} gives: another shape or kind", whose)});
    return std::nullopt;
  };
  if (reference.size() != outputs.size()) return fail(formatted("{}", outputs.size()));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::vector<float> a = float_values(reference[i]), b = float_values(outputs[i]);
    if (a.size() != b.size()) return fail(outputs[i].name);
    const auto is_finite = [](float value) { return std::isfinite(value); };
    if (!std::ranges::all_of(a, is_finite) || !std::ranges::all_of(b, is_finite)) continue;
    accuracy.add(kernels::kernel_table().error_sums(a.data(), b.data(), a.size()));
  }
  return accuracy;
}

// A problem of the report in place of an error; what the caller got wrong stays one.
template <class Work>
bool attempt(Report& report, const std::string& what, Work&& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (error.status() == Status::kInvalidArg || error.status() == Status::kCancelled) throw;
    report.add_problem({"", formatted("{}: {}", what, error.message())});
    return false;
  }
}

}  // namespace

std::vector<ModuleValue> run_module(const TensorSource& source, const std::string& method,
                                    const std::vector<ModuleValue>& inputs, const Config& config) {
  return require_module(source).run(method, inputs, wants_integers(config));
}

Report validate_model(const TensorSource& source, const TensorSource* original, const std::vector<ModuleValue>* inputs,
                      const Config& config, RunControl& control) {
  const Stopwatch stopwatch;
  if (inputs == nullptr && as_module_source(source) == nullptr) return validate(source, original, config, control);
  const Module& module = require_module(source);
  Report report = validate(source, original, config, control);
  std::string bytes;
  std::shared_ptr<const TensorSource> loaded;
  attempt(report, "it cannot be saved and loaded again", [&] {
    write_torchscript(string_bytes(bytes))(as_module_source(source)->module());
    loaded = open_torchscript_source(memory_bytes(std::as_bytes(std::span(bytes))), {});
  });
  Outputs outputs;
  const bool ran = inputs != nullptr && attempt(report, "it does not run", [&] {
                     outputs = module.run("forward", *inputs, wants_integers(config));
                   });
  if (ran) check_finite(report, outputs);
  if (ran && loaded != nullptr) {
    attempt(report, "what was saved and loaded does not run", [&] {
      const auto again = require_module(*loaded).run("forward", *inputs, wants_integers(config));
      const auto accuracy = compare_outputs(report, outputs, again, "the saved copy");
      if (accuracy && accuracy->error != 0) report.add_problem({"", "its saved copy gives other outputs"});
    });
  }
  if (ran && original != nullptr) {
    attempt(report, "the original does not run", [&] {
      const auto reference = require_module(*original).run("forward", *inputs, wants_integers(config));
      const auto accuracy = compare_outputs(report, reference, outputs, "the original");
      if (!accuracy) return;
      const double sqnr_db = accuracy->sqnr_db();
      report.json()["model"]["output_sqnr_db"] = std::isfinite(sqnr_db) ? Json(sqnr_db) : Json(nullptr);
      report.json()["model"]["output_exact"] = accuracy->error == 0;
      report.json()["model"]["output_max_error"] = accuracy->max_error;
    });
  }
  report.json()["model"]["ran"] = ran;
  report.json()["model"]["valid"] = report.problems().empty();
  report.finish(stopwatch.seconds());
  return report;
}

}  // namespace mnq
