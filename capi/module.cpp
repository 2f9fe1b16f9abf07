// Modules: run, and validated by running them.
#include "guard.h"
#include "handles.h"
#include "quantize/module_jobs.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

const std::vector<ModuleValue>& values_or_none(const mnq_values* values) {
  static const std::vector<ModuleValue> none;
  return optional(values, "inputs") == nullptr ? none : values->values;
}

}  // namespace

mnq_status mnq_model_forward(const mnq_model* model, const char* method, const mnq_values* inputs, const mnq_run* run,
                             mnq_values** outputs, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(outputs, "outputs"));
    const TensorSource& source = *require(model, "model")->source;
    auto values = std::make_unique<mnq_values>();
    values->values =
        run_module(source, method == nullptr ? "forward" : method, values_or_none(inputs), settings_of(nullptr, run));
    *outputs = values.release();
  });
}

mnq_status mnq_model_validate(const mnq_model* model, const mnq_model* original, const mnq_values* inputs, mnq_run* run,
                              mnq_report** report, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(report, "report"));
    Call call(nullptr, run);
    const TensorSource& source = *require(model, "model")->source;
    const TensorSource* reference = optional(original, "original") == nullptr ? nullptr : original->source.get();
    auto made = std::make_unique<mnq_report>(
        mnq_report{{},
                   validate_model(source, reference, optional(inputs, "inputs") == nullptr ? nullptr : &inputs->values,
                                  call.config(), call.control())});
    *report = made.release();
  });
}
