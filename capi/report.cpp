// Reports: one JSON object, and its fields one by one.
#include <cmath>

#include "base/text/format.h"
#include "guard.h"
#include "handles.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

// A number or truth value of an object of the report. Throws kNotFound where it has none.
double number_in(const Json& object, const char* name) {
  const Json* found = object.find(name);
  if (found != nullptr && found->is_number()) return found->get<double>();
  if (found != nullptr && found->is_boolean()) return found->get<bool>() ? 1 : 0;
  const bool is_exact = object.contains("exact") && object["exact"] == true;
  if (std::string_view(name) == "sqnr_db" && is_exact) return INFINITY;
  const bool is_output_exact = object.contains("output_exact") && object["output_exact"] == true;
  if (std::string_view(name) == "output_sqnr_db" && is_output_exact) return INFINITY;
  throw Error(Status::kNotFound, formatted("the report has no number '{}' here", name),
              "the report as JSON has the names of all fields", name);
}

const Json* layer_at(const mnq_report* report, size_t index) {
  return index < mnq_report_layer_count(report) ? &report->report.json()["layers"][index] : nullptr;
}

// JSON is made when it is asked for, and memory may be short by then.
template <class Make>
const char* text_or(const char* otherwise, Make&& make) noexcept {
  try {
    return make();
  } catch (...) {
    return otherwise;
  }
}

}  // namespace

const char* mnq_report_json(const mnq_report* report) noexcept {
  return text_or("", [&] { return live(report) == nullptr ? "" : report->report.text().c_str(); });
}

mnq_status mnq_report_number(const mnq_report* report, const char* name, double* value, mnq_error** error) noexcept {
  return guarded(error, [&] {
    require(value, "value");
    *value = number_in(require(report, "report")->report.head()["model"], require(name, "name"));
  });
}

size_t mnq_report_layer_count(const mnq_report* report) noexcept {
  return live(report) == nullptr ? 0 : report->report.layers().size();
}

const char* mnq_report_layer_text(const mnq_report* report, size_t index, const char* name) noexcept {
  return text_or(nullptr, [&]() -> const char* {
    const Json* layer = layer_at(report, index);
    if (layer == nullptr || name == nullptr) return nullptr;
    const Json* found = layer->find(name);
    return found != nullptr && found->is_string() ? found->text().c_str() : nullptr;
  });
}

mnq_status mnq_report_layer_number(const mnq_report* report, size_t index, const char* name, double* value,
                                   mnq_error** error) noexcept {
  return guarded(error, [&] {
    require(value, "value");
    const Json* layer = layer_at(require(report, "report"), index);
    if (layer == nullptr) {
      throw Error(Status::kInvalidArg,
                  formatted("there is no layer {}: the report has {}", index, mnq_report_layer_count(report)), "",
                  "index");
    }
    *value = number_in(*layer, require(name, "name"));
  });
}

size_t mnq_report_warning_count(const mnq_report* report) noexcept {
  return live(report) == nullptr ? 0 : report->report.warnings().size();
}

const char* mnq_report_warning(const mnq_report* report, size_t index) noexcept {
  return index < mnq_report_warning_count(report) ? report->report.warnings()[index].c_str() : nullptr;
}

size_t mnq_report_problem_count(const mnq_report* report) noexcept {
  return live(report) == nullptr ? 0 : report->report.problems().size();
}

const char* mnq_report_problem(const mnq_report* report, size_t index) noexcept {
  return index < mnq_report_problem_count(report) ? report->report.problems()[index].c_str() : nullptr;
}

void mnq_report_free(mnq_report* report) noexcept { delete live(report); }
