// What happens to each tensor, and why: layers and settings in, a plan out. Pure: no data is read. The sizes of all
// outputs are known here.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_source.h"
#include "config/config.h"
#include "plan/layer_kinds.h"
#include "plan/storage.h"
#include "schemes/scheme.h"

namespace mnq {

enum class Action { kQuantize, kCast, kCopy, kDequantize };
std::string_view action_name(Action action);

/// A tensor the sink gets, and where its bytes come from.
struct PlannedOutput {
  TensorInfo info;
  std::size_t stored = 0;  ///< kCopy of bytes: the source's stored tensor
};

struct PlannedTensor {
  std::size_t logical = 0;  ///< index into the plan's logical tensors
  Layer layer;
  Action action = Action::kCopy;
  QuantizedSpec spec;              ///< what it becomes, or stays; kDequantize: what it was
  const Layout* layout = nullptr;  ///< of the codes that it becomes or stays
  const Method* method = nullptr;  ///< kQuantize: how its codes are chosen
  std::string reason;              ///< why it is not changed, or not as was asked
  bool keeps_scales = false;   ///< kQuantize: of a weight that is quantized, as its codes get another scheme or groups
  bool is_deselected = false;  ///< the settings leave it out, by only, skip or layer_types
  bool copies_nonfinite = false;
  std::vector<PlannedOutput> outputs;
  std::span<const std::string_view> taken_suffixes;  ///< no other output may have its name with one of these
  std::vector<std::size_t> fused;  ///< indices of all that have one global scale, this one too; empty: it has its own
};

/// Whether the codes of a quantized weight stay, and move into another layout.
bool is_recoded(const PlannedTensor& planned, const LogicalTensor& tensor);

/// Whether the output has codes of it, made now or kept.
bool has_codes(const PlannedTensor& planned, const LogicalTensor& tensor);

/// Of a source, which must outlive it: names lie there.
struct Plan {
  std::span<const LogicalTensor> logical;
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
  const Plan& plan() const { return *plan_; }
  const PlannedTensor& tensor(std::size_t item) const { return plan_->tensors[begin_ + item]; }
  const LogicalTensor& logical(std::size_t item) const { return plan_->logical[tensor(item).logical]; }

  /// What a sink is opened with, in its order. They lie in the plan.
  std::vector<const TensorInfo*> outputs() const;

 private:
  const Plan* plan_;
  std::size_t begin_, end_;
};

/// Weights that cannot be quantized for their values, and why.
using UnfitWeights = std::map<std::string, std::string>;

/// Quantizes what the settings choose and copies the rest, those that are unfit among them. storage: of the output's
/// format. What is quantized already stays so where the format can hold it, unless the settings name a dtype or bits
/// that are not its own, or it is of floats of 8 bits, which are quantized like floats. Errors: kConfig; kFormat where
/// the source is not sound, or outputs would share a name; kUnsupported where the tensors are no weights as they are:
/// see foreign_tensors.h.
Plan make_plan(const TensorSource& source, const Config& config, const Storage& storage = {},
               const UnfitWeights& unfit = {});

/// Turns every quantized weight back into floats, of the dtype that it had or of this one, and copies the rest. Errors:
/// kFormat and kUnsupported as above.
Plan make_dequantize_plan(const TensorSource& source, std::optional<DType> float_dtype = std::nullopt);

/// The same for one of the source's weights alone, whatever the others are.
Plan make_dequantize_plan(const TensorSource& source, std::size_t weight);

/// Copies every tensor; quantized weights that the output's format cannot hold are quantized anew, or become floats.
/// Tensors that are no weights as they are come along, with a warning, where the format holds everything. Errors: as
/// above.
Plan make_convert_plan(const TensorSource& source, const Config& config, const Storage& storage);

}  // namespace mnq
