// What a job did and what it cost: report.md in this folder documents the JSON, which is the only form a report has.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/text/json.h"
#include "kernels/kernel_table.h"
#include "plan/plan.h"

namespace mnq {

/// Sums of several rows or tensors, added in the order given.
struct Accuracy {
  double signal = 0;
  double error = 0;
  double max_error = 0;
  bool is_measured = false;       ///< something was added
  std::vector<Accuracy> experts;  ///< of each by itself, where that was asked for

  void add(const kernels::ErrorSums& sums);

  kernels::ErrorSums sums() const { return {signal, error, max_error}; }

  /// +infinity where nothing was lost.
  double sqnr_db() const;
};

/// What a report says of a spec besides its text.
struct SpecFields {
  std::int32_t code_bits = 0;
  bool is_coded = true;  ///< else none of what follows
  bool symmetric = true;
  std::uint64_t group_size = 0;  ///< 0: no groups
  std::int64_t channel_axis = 0;
};

/// What a report says of a tensor, in a fraction of the memory of its JSON. What does not apply is empty.
struct ReportLayer {
  ReportLayer(const Layer& layer, const LogicalTensor& tensor, std::string_view what_was_done);

  Json json() const;

  std::string name;
  std::string tensor;
  std::vector<std::string> ties;
  const LayerKind* kind;
  std::string_view role;
  DType dtype;
  Shape shape;
  std::string_view action;
  std::string_view scheme;  ///< in the report's texts, as the reason
  std::optional<SpecFields> spec;
  std::string_view method;  ///< how scales were chosen
  std::string_view reason;
  std::optional<std::uint64_t> bytes_before;
  std::optional<std::uint64_t> bytes_after;
  Accuracy accuracy;
  std::optional<bool> exact;                        ///< of what has no accuracy
  std::optional<std::vector<std::string>> outputs;  ///< in reports of plans
  bool has_other = false;                           ///< in reports of compare: dtype_other says something
  std::optional<DType> dtype_other;                 ///< of that; empty: there is none
};

class Report {
 public:
  /// The fields that all reports have. Lists are empty.
  Report(std::string_view kind, const TensorSource* input, const std::string& output, std::uint32_t threads);

  /// Until it is finished without what "layers" holds: that is made when it is asked for. Any thread.
  Json& json();
  const Json& json() const;

  /// All but the layers, at any time.
  const Json& head() const { return json_; }

  /// In the order of "layers".
  std::vector<ReportLayer>& layers() { return layers_; }
  const std::vector<ReportLayer>& layers() const { return layers_; }

  /// A text for its layers, which many of them share.
  std::string_view kept(std::string text) { return *texts_.insert(std::move(text)).first; }

  /// Scheme and settings.
  void set_spec(ReportLayer& layer, const QuantizedSpec& spec);

  void add_warning(std::string_view text);

  /// Adds to "remarks": what is worth knowing and needs nothing to be done.
  void add_remark(std::string_view text);

  /// Writes "sqnr_db", "exact" and "max_error" into an object.
  static void set_accuracy(Json& object, const Accuracy& accuracy);

  /// No change of layers() after it.
  void finish(double seconds);

  /// The JSON as text, which is made when it is asked for. Any thread.
  const std::string& text() const;
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::vector<std::string>& problems() const { return problems_; }
  void add_problem(const Problem& problem);

 private:
  // Made when they are asked for, once.
  struct Made {
    std::mutex mutex;
    bool has_layers = false;
    std::string text;
  };

  void write_text(std::string& text) const;

  mutable Json json_;
  std::vector<ReportLayer> layers_;
  std::set<std::string> texts_;
  bool is_finished_ = false;
  std::unique_ptr<Made> made_ = std::make_unique<Made>();
  std::vector<std::string> warnings_;
  std::vector<std::string> problems_;
};

/// The report of a plan: every layer with its sizes, without accuracy, and the sums of sizes in "model". It takes the
/// plan apart: with 100,000 tensors there is no room for both.
Report make_plan_report(std::string_view kind, Plan plan, const TensorSource& input, const std::string& output,
                        std::uint32_t threads);

/// Names what lies beside the tensors where the output cannot have it, be it that its format does not carry it or that
/// it is of several shards.
void warn_of_members(Report& report, const TensorSource& source, bool carries_members);

/// What mnq_model_describe gives.
std::string describe_source(const TensorSource& source);

}  // namespace mnq
