#include "plan/plan.h"

#include <algorithm>
#include <map>

#include "base/text/format.h"
#include "plan/foreign_tensors.h"
#include "plan/fused_layers.h"
#include "plan/plan_outputs.h"
#include "plan/plan_tensor.h"
#include "plan/selection.h"

namespace mnq {
namespace {

// Few formats, and of their layers few, can follow it.
void warn_of_idle_activation_bits(Plan& plan, const Config& config) {
  bool is_asked_for = config.find("activation_bits").value == "8";
  for (const PlannedTensor& planned : plan.tensors) {
    if (planned.action == Action::kQuantize && planned.spec.activation_bits != 0) return;
    is_asked_for = is_asked_for || config.find("activation_bits", planned.layer.name).value == "8";
  }
  if (is_asked_for) {
    plan.warnings.emplace_back(
        "activation_bits=8 has no effect here: int8 layers of compressed-tensors folders follow it, nothing else");
  }
}

// Nothing but the tensors says so.
void remark_on_conv1d(Plan& plan, const Companion* companion) {
  if (is_conv1d_model(companion)) return;
  const auto count = std::ranges::count_if(plan.tensors, [](const PlannedTensor& planned) {
    return planned.layer.kind != nullptr && planned.layer.kind->name == "Conv1D";
  });
  if (count == 0) return;
  plan.warnings.push_back(formatted(
      "{} layers are taken for the Conv1D of GPT-2, whose weights are [in, out]: by their names and shapes", count));
}

// One planned copy for each logical tensor.
Plan start_plan(const TensorSource& source) {
  Plan plan;
  plan.logical = source.require_weights();
  std::vector<Layer> layers = find_layers(plan.logical, source.companion());
  plan.tensors.resize(plan.logical.size());
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    plan.tensors[i].logical = i;
    plan.tensors[i].layer = std::move(layers[i]);
  }
  return plan;
}

// Nothing says what they stand for.
void remark_on_bare_codes(Plan& plan) {
  const auto is_bare = [](const LogicalTensor& tensor) {
    const bool is_byte = tensor.dtype == DType::kI8 || tensor.dtype == DType::kU8;
    return !tensor.spec && is_byte && tensor.shape.size() >= 2 && tensor.name.ends_with(".weight");
  };
  const auto first = std::ranges::find_if(plan.logical, is_bare);
  if (first == plan.logical.end()) return;
  plan.warnings.push_back(formatted("weights that are integers without scales, copied as they are: {}, as {}",
                                    std::ranges::count_if(plan.logical, is_bare), first->name));
}

// Where floats were not asked for.
void warn_of_floats(Plan& plan, const TensorSource& source) {
  struct Lost {
    std::size_t count = 0;
    std::string_view first;
  };
  std::map<std::string_view, Lost> by_reason;
  for (const PlannedTensor& planned : plan.tensors) {
    const bool is_copied_as_floats =
        planned.action == Action::kCopy && !source.quantized_as(plan.logical[planned.logical].parts.front()).empty();
    if (planned.action != Action::kDequantize && !is_copied_as_floats) continue;
    Lost& lost = by_reason[planned.reason];
    if (lost.count++ == 0) lost.first = plan.logical[planned.logical].name;
  }
  for (const auto& [reason, lost] : by_reason) {
    plan.warnings.push_back(
        formatted("quantized weights that become floats: {}, as {}: {}", lost.count, lost.first, reason));
  }
}

void finish_plan(Plan& plan, const TensorSource& source) {
  remark_on_bare_codes(plan);
  for (const std::string& remark : source.remarks()) plan.warnings.push_back(remark);
  require_distinct_names(plan);
}

void plan_floats(PlannedTensor& planned, const LogicalTensor& tensor) {
  planned.action = Action::kDequantize;
  planned.spec = *tensor.spec;
}

// A plan for weights that are quantized already; all others are copied.
template <class Decide>
Plan plan_quantized(const TensorSource& source, const Decide& decide) {
  Plan plan = start_plan(source);
  for (PlannedTensor& planned : plan.tensors) {
    const LogicalTensor& tensor = plan.logical[planned.logical];
    if (tensor.spec) {
      decide(planned, tensor);
    } else {
      planned.reason = "not quantized";
    }
    add_outputs(planned, tensor, source);
  }
  finish_plan(plan, source);
  return plan;
}

}  // namespace

std::string_view action_name(Action action) {
  switch (action) {
    case Action::kQuantize:
      return "quantize";
    case Action::kCast:
      return "cast";
    case Action::kCopy:
      return "copy";
    case Action::kDequantize:
      break;
  }
  return "dequantize";
}

bool is_recoded(const PlannedTensor& planned, const LogicalTensor& tensor) {
  const bool is_as_stored = planned.layout == tensor.layout && tensor.stack_size == 0;
  return planned.action == Action::kCopy && tensor.spec && is_coded(*tensor.spec) && !is_as_stored;
}

bool has_codes(const PlannedTensor& planned, const LogicalTensor& tensor) {
  if (planned.action == Action::kQuantize) return true;
  return planned.action == Action::kCopy && tensor.spec && is_coded(*tensor.spec);
}

std::vector<const TensorInfo*> PlanSlice::outputs() const {
  std::vector<const TensorInfo*> infos;
  std::size_t count = 0;
  for (std::size_t item = 0; item < size(); ++item) count += tensor(item).outputs.size();
  infos.reserve(count);
  for (std::size_t item = 0; item < size(); ++item) {
    for (const PlannedOutput& output : tensor(item).outputs) infos.push_back(&output.info);
  }
  return infos;
}

Plan make_plan(const TensorSource& source, const Config& config, const Storage& storage, const UnfitWeights& unfit) {
  refuse_foreign_tensors(source, source.require_weights());
  Plan plan = start_plan(source);
  const Selection selection = read_selection(config);
  resolve_layer(config, {});  // a combination that cannot be is an error even where no layer would use it
  for (PlannedTensor& planned : plan.tensors) {
    plan_tensor(planned, plan.logical[planned.logical], source, config, selection, storage, unfit);
    add_outputs(planned, plan.logical[planned.logical], source);
  }
  if (storage.is_for_fused_layers) find_fused_layers(plan);
  remark_on_conv1d(plan, source.companion());
  warn_of_idle_globs(plan, config, selection);
  warn_of_idle_activation_bits(plan, config);
  warn_of_floats(plan, source);
  finish_plan(plan, source);
  return plan;
}

Plan make_dequantize_plan(const TensorSource& source, std::optional<DType> float_dtype) {
  refuse_foreign_tensors(source, source.require_weights());
  return plan_quantized(source, [&](PlannedTensor& planned, const LogicalTensor& tensor) {
    plan_floats(planned, tensor);
    planned.spec.weight_dtype = float_dtype.value_or(tensor.dtype);
  });
}

Plan make_dequantize_plan(const TensorSource& source, std::size_t weight) {
  refuse_foreign_tensors(source, source.require_weights());
  Plan plan;
  plan.logical = source.require_weights();
  PlannedTensor& planned = plan.tensors.emplace_back();
  const LogicalTensor& tensor = plan.logical[weight];
  planned.logical = weight;
  planned.layer.name = {tensor.name, tensor.name};
  if (tensor.spec) plan_floats(planned, tensor);
  add_outputs(planned, tensor, source);
  return plan;
}

Plan make_convert_plan(const TensorSource& source, const Config& config, const Storage& storage) {
  const auto foreign = find_foreign_tensors(source.require_weights());
  const bool is_copied = foreign && foreign->is_part && storage.holds_everything();
  if (!is_copied) refuse_foreign_tensors(source, source.require_weights());
  Plan plan = plan_quantized(source, [&](PlannedTensor& planned, const LogicalTensor& tensor) {
    plan_stored(planned, tensor, source, config, storage);
  });
  warn_of_floats(plan, source);
  if (is_copied) {
    plan.warnings.push_back(
        formatted("{}: its tensors are copied as they are, none is read as a weight", foreign->text()));
  }
  return plan;
}

}  // namespace mnq
