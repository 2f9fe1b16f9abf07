// What a job did and what it cost: README.md in this folder documents the JSON, which is the only form a report has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "kernels/kernel_table.h"
#include "plan/logical_tensors.h"
#include "plan/plan.h"

namespace mnq {

/// Sums of several rows or tensors, added in the order given.
struct Accuracy {
  double signal = 0;
  double error = 0;
  double max_error = 0;
  bool is_measured = false;  ///< something was added

  void add(const kernels::ErrorSums& sums);

  /// +infinity where nothing was lost.
  double sqnr_db() const;
};

class Report {
 public:
  /// The fields that all reports have. Lists are empty.
  Report(std::string_view kind, const TensorSource* input, const std::string& output, std::uint32_t threads);

  Json& json() { return json_; }
  const Json& json() const { return json_; }

  /// Adds an object to "layers"; what does not apply is null.
  Json& add_layer(const Layer& layer, const LogicalTensor& tensor, std::string_view action);

  void add_warning(std::string_view text);

  /// Adds to "remarks": what is worth knowing and needs nothing to be done.
  void add_remark(std::string_view text);

  /// Writes "sqnr_db", "exact" and "max_error" into an object.
  static void set_accuracy(Json& object, const Accuracy& accuracy);

  /// Writes the JSON as text; no change after it.
  void finish(double seconds);
  const std::string& text() const { return text_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::vector<std::string>& problems() const { return problems_; }
  void add_problem(const Problem& problem);

 private:
  Json json_;
  std::string text_;
  std::vector<std::string> warnings_;
  std::vector<std::string> problems_;
};

/// The report of a plan: every layer with its sizes, without accuracy, and the sums of sizes in "model".
Report make_plan_report(std::string_view kind, const Plan& plan, const TensorSource& input, const std::string& output,
                        std::uint32_t threads);

/// Names what lies beside the tensors where the output cannot have it, be it that its format does not carry it or that it is
/// of several shards.
void warn_of_members(Report& report, const TensorSource& source, bool carries_members);

/// What mnq_model_describe gives.
std::string describe_source(const TensorSource& source);

}  // namespace mnq
