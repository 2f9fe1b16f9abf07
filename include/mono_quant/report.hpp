// report.hpp - part of mono_quant.hpp: what a job did.
#ifndef MONO_QUANT_REPORT_HPP
#define MONO_QUANT_REPORT_HPP

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "handle.hpp"
#include "mono_quant.h"

namespace mono_quant {

/// One layer of a report. A view: valid while the report is.
class ReportLayer {
 public:
  ReportLayer(const mnq_report* report, std::size_t index) : report_(report), index_(index) {}

  /// "name", "tensor", "kind", "dtype", "scheme", "action", "reason"; empty where it has none.
  std::string text(const std::string& field) const {
    return detail::text_or_empty(mnq_report_layer_text(report_, index_, detail::c_text(field)));
  }
  /// "sqnr_db", "max_error", "bytes_before"...; nothing where it has none.
  std::optional<double> number(const std::string& field) const {
    return detail::number(mnq_report_layer_number, report_, index_, detail::c_text(field));
  }

 private:
  const mnq_report* report_;
  std::size_t index_;
};

/// What a job did, and what it cost. report.md among the installed documents lists the fields.
class Report : public detail::Owning<mnq_report, mnq_report_free> {
 public:
  using Owning::Owning;

  std::string json() const { return mnq_report_json(get()); }

  /// A number of the whole model: "sqnr_db", "bytes_after"...; nothing where it has none.
  std::optional<double> number(const std::string& field) const {
    return detail::number(mnq_report_number, get(), detail::c_text(field));
  }

  /// Every tensor of the input, in its order. Views: of a report that has a name.
  std::vector<ReportLayer> layers() && = delete;
  std::vector<ReportLayer> layers() const& {
    std::vector<ReportLayer> layers;
    for (std::size_t i = 0; i < mnq_report_layer_count(get()); ++i) layers.emplace_back(get(), i);
    return layers;
  }
  std::vector<std::string> warnings() const { return texts(mnq_report_warning_count, mnq_report_warning); }
  std::vector<std::string> problems() const { return texts(mnq_report_problem_count, mnq_report_problem); }

 private:
  template <class Count, class At>
  std::vector<std::string> texts(Count count, At at) const {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count(get()); ++i) all.emplace_back(at(get(), i));
    return all;
  }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_REPORT_HPP
