// What happens to each tensor, and why: layers and settings in, a plan out. Pure: no data is read. The sizes of all
// outputs are known here.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_source.h"
#include "config/config.h"
#include "plan/fit.h"
#include "plan/layer_kinds.h"
#include "schemes/scheme.h"

namespace mnq {

enum class Action { kQuantize, kCast, kCopy, kDequantize };
std::string_view action_name(Action action);

/// A tensor the sink gets, and where its bytes come from.
struct PlannedOutput {
  TensorInfo info;
  PartRole role = PartRole::kCodes;  ///< of a quantized weight
  std::size_t stored = 0;            ///< kCopy: the source's stored tensor
};

struct PlannedTensor {
  std::size_t logical = 0;  ///< index into the plan's logical tensors
  Layer layer;
  Action action = Action::kCopy;
  QuantizedSpec spec;          ///< kQuantize and kCast: what it becomes; kDequantize: what it was
  std::string reason;          ///< why it is not changed, or not as was asked
  bool is_deselected = false;  ///< the settings leave it out, by only, skip or layer_types
  bool copies_nonfinite = false;
  std::vector<PlannedOutput> outputs;
  std::span<const std::string_view> taken_suffixes;  ///< no other output may have its name with one of these
};

struct Plan {
  std::vector<LogicalTensor> logical;
  std::vector<PlannedTensor> tensors;  ///< one for each logical tensor, in the same order
  std::vector<std::string> warnings;   ///< patterns of the settings that match no layer; remarks of the source
};

/// Consecutive tensors of a plan: all of them, or those of one shard.
class PlanSlice {
 public:
  explicit PlanSlice(const Plan& plan) : PlanSlice(plan, 0, plan.tensors.size()) {}
  PlanSlice(const Plan& plan, std::size_t begin, std::size_t end) : plan_(&plan), begin_(begin), end_(end) {}

  std::size_t begin() const { return begin_; }  ///< in the plan
  std::size_t size() const { return end_ - begin_; }
  const PlannedTensor& tensor(std::size_t item) const { return plan_->tensors[begin_ + item]; }
  const LogicalTensor& logical(std::size_t item) const { return plan_->logical[tensor(item).logical]; }

  /// What a sink is opened with.
  std::vector<TensorInfo> outputs() const;

 private:
  const Plan* plan_;
  std::size_t begin_, end_;
};

/// Weights that cannot be quantized for their values, and why.
using UnfitWeights = std::map<std::string, std::string>;

/// Quantizes what the settings choose and copies the rest, those that are unfit among them. fit: of the output's format;
/// null: it holds everything. What is quantized already stays so where the format can hold it. Errors: kConfig; kFormat where
/// outputs would share a name; kUnsupported where the tensors are no weights as they are: see foreign_tensors.h.
Plan make_plan(std::vector<LogicalTensor> logical, const TensorSource& source, const Config& config,
               FitWeight fit = nullptr, const UnfitWeights& unfit = {});

/// Turns every quantized weight back into floats and copies the rest. Errors: kFormat and kUnsupported as above.
Plan make_dequantize_plan(std::vector<LogicalTensor> logical, const TensorSource& source);

/// Copies every tensor; quantized weights that the output's format cannot hold are quantized anew, or become floats. Tensors
/// that are no weights as they are come along, with a warning, where the format holds everything. Errors: as above.
Plan make_convert_plan(std::vector<LogicalTensor> logical, const TensorSource& source, const Config& config,
                       FitWeight fit);

}  // namespace mnq
