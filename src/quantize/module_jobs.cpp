#include "quantize/module_jobs.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/text/format.h"
#include "formats/torchscript/torchscript.h"
#include "kernels/kernel_table.h"
#include "module/loader.h"
#include "quantize/job_parts.h"
#include "quantize/jobs.h"

namespace mnq {
namespace {

const Module& require_module(const TensorSource& source) {
  const ModuleSource* module = source.as_module();
  if (module != nullptr) return *module->module();
  throw Error(Status::kUnsupported, formatted("{}: has tensors but no code that could run", source.title()),
              "open a TorchScript module (torch.jit.save)", source.title());
}

bool wants_integers(const Config& config) { return config.find("activations").value != "float"; }

using Outputs = std::vector<ModuleValue>;

bool is_float(const ModuleValue& output) {
  const auto* tensor = std::get_if<Tensor>(&output.value);
  return tensor == nullptr ? std::holds_alternative<double>(output.value) : is_weight_dtype(tensor->dtype);
}

// A float output as float32; empty for another.
std::vector<float> float_values(const ModuleValue& output) {
  if (!is_float(output)) return {};
  const auto* tensor = std::get_if<Tensor>(&output.value);
  if (tensor == nullptr) return {static_cast<float>(std::get<double>(output.value))};
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

// What outputs are like against others.
struct Comparison {
  Accuracy accuracy;                 // of all that is a float, together
  std::vector<Problem> misfits;      // another name, kind, dtype or shape
  std::vector<Problem> differences;  // values that are other ones and no finite floats

  bool is_exact() const { return misfits.empty() && differences.empty() && accuracy.error == 0; }
};

std::string form_of(const ModuleValue& output) {
  constexpr const char* kNames[] = {"None", "", "an int", "a float", "a bool", "a text"};
  const auto* tensor = std::get_if<Tensor>(&output.value);
  if (tensor == nullptr) return kNames[output.value.index()];
  return formatted("{} {}", dtype_name(tensor->dtype), shape_text(tensor->shape));
}

std::uint64_t count_differences(const std::vector<float>& a, const std::vector<float>& b) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i])) ? 1 : 0;
  return count;
}

// Of one kind that is no tensor.
bool is_equal(const ModuleValue& a, const ModuleValue& b) {
  return std::visit(
      [&]<class Value>(const Value& value) {
        if constexpr (std::is_same_v<Value, Tensor>)
          return false;
        else
          return value == std::get<Value>(b.value);
      },
      a.value);
}

// Of outputs of one form that are no floats.
std::uint64_t count_differences(const ModuleValue& a, const ModuleValue& b) {
  const auto* tensor = std::get_if<Tensor>(&a.value);
  if (tensor == nullptr) return is_equal(a, b) ? 0 : 1;
  const Tensor& other = std::get<Tensor>(b.value);
  const std::uint64_t size = dtype_bits(tensor->dtype) / 8;
  std::uint64_t count = 0;
  for (std::uint64_t at = 0; at < other.size_bytes; at += size) {
    count += std::memcmp(tensor->data.get() + at, other.data.get() + at, size) != 0 ? 1 : 0;
  }
  return count;
}

std::uint64_t value_count(const ModuleValue& output) {
  const auto* tensor = std::get_if<Tensor>(&output.value);
  return tensor == nullptr ? 1 : element_count(tensor->shape);
}

// Two outputs of one form.
void compare_values(Comparison& comparison, const ModuleValue& reference, const ModuleValue& output) {
  const std::vector<float> a = float_values(reference), b = float_values(output);
  const auto all_finite = [](const std::vector<float>& values) {
    return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
  };
  if (is_float(output) && all_finite(a) && all_finite(b)) {
    return comparison.accuracy.add(kernels::kernel_table().error_sums(a.data(), b.data(), a.size()));
  }
  const std::uint64_t count = is_float(output) ? count_differences(a, b) : count_differences(reference, output);
  if (count == 0) return;
  comparison.differences.push_back(
      {formatted("output {}", output.name), formatted("{} of {} values differ", count, value_count(output))});
}

Comparison compare_outputs(const Outputs& reference, const Outputs& outputs, const char* whose) {
  Comparison comparison;
  if (reference.size() != outputs.size()) {
    comparison.misfits.push_back({"", formatted("it has {} outputs, {} {}", outputs.size(), whose, reference.size())});
    return comparison;
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string form = form_of(outputs[i]), wanted = form_of(reference[i]);
    if (outputs[i].name == reference[i].name && form == wanted) {
      compare_values(comparison, reference[i], outputs[i]);
    } else {
      comparison.misfits.push_back({formatted("output {}", outputs[i].name),
                                    formatted("is {}, and {} gives {}: {}", form, whose, reference[i].name, wanted)});
    }
  }
  return comparison;
}

void add_problems(Report& report, const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) report.add_problem(problem);
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

namespace {

// One validation of a module by running it. Each run has a fresh copy: the state of the caller's own stays as it is.
class Trial {
 public:
  Trial(Report& report, const Outputs& inputs, const Config& config)
      : report_(report), inputs_(inputs), in_integers_(wants_integers(config)) {}

  bool run(const Module& module) {
    const bool ran = attempt(report_, "it does not run", [&] { outputs_ = run_fresh(module); });
    if (ran) check_finite(report_, outputs_);
    return ran;
  }

  void compare_with_saved(const Module& module, const Module& saved) {
    attempt(report_, "what was saved and loaded does not run", [&] {
      const Comparison comparison = compare_outputs(outputs_, run_fresh(saved), "the model");
      if (comparison.is_exact()) return;
      if (!compare_outputs(outputs_, run_fresh(module), "the model").is_exact()) {
        return report_.add_warning(
            "it gives other outputs at every call: that its saved copy gives the same is not known");
      }
      add_problems(report_, comparison.misfits);
      report_.add_problem({"", "its saved copy gives other outputs"});
    });
  }

  void compare_with_original(const TensorSource& original) {
    attempt(report_, "the original does not run", [&] {
      const Comparison comparison = compare_outputs(run_fresh(require_module(original)), outputs_, "the original");
      add_problems(report_, comparison.misfits);
      for (const Problem& difference : comparison.differences) {
        report_.add_warning(formatted("{}: {}", difference.tensor, difference.text));
      }
      const Accuracy& accuracy = comparison.accuracy;
      const bool is_finite = accuracy.is_measured && std::isfinite(accuracy.sqnr_db());
      Json& model = report_.json()["model"];
      model["output_sqnr_db"] = is_finite ? Json(accuracy.sqnr_db()) : Json(nullptr);
      model["output_exact"] = comparison.is_exact();
      model["output_max_error"] = accuracy.is_measured ? Json(accuracy.max_error) : Json(nullptr);
    });
  }

 private:
  Outputs run_fresh(const Module& module) const { return module.fresh()->run("forward", inputs_, in_integers_); }

  Report& report_;
  const Outputs& inputs_;
  bool in_integers_;
  Outputs outputs_;
};

}  // namespace

Report validate_model(const TensorSource& source, const TensorSource* original, const std::vector<ModuleValue>* inputs,
                      const Config& config, RunControl& control) {
  const Stopwatch stopwatch;
  if (inputs == nullptr && source.as_module() == nullptr) return validate(source, original, config, control);
  Report report = validate(source, original, config, control);
  bool ran = false;
  std::string bytes;
  std::shared_ptr<const TensorSource> saved;
  if (inputs == nullptr && !has_backend()) {
    report.add_warning("whether it can be loaded, saved and loaded again is not known: LibTorch is not there");
  } else {
    attempt(report, "it cannot be loaded, saved and loaded again", [&] {
      const auto is_cancelled = [&control] { return control.is_cancelled(); };
      write_torchscript(string_bytes(bytes), is_cancelled)(source.as_module()->module());
      saved = open_torchscript_source(memory_bytes(std::as_bytes(std::span(bytes))), {});
      saved->as_module()->loaded();
    });
  }
  if (inputs != nullptr) {
    const Module& module = require_module(source);
    Trial trial(report, *inputs, config);
    ran = trial.run(module);
    if (ran && saved != nullptr) trial.compare_with_saved(module, require_module(*saved));
    if (ran && original != nullptr) trial.compare_with_original(*original);
  }
  report.json()["model"]["ran"] = ran;
  report.json()["model"]["valid"] = report.problems().empty();
  report.finish(stopwatch.seconds());
  return report;
}

}  // namespace mnq
