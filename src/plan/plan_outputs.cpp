#include "plan/plan_outputs.h"

#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

// Tools have the same bytes under names and dtypes of their own: MLX's mxfp4 is that of compressed-tensors.
void name_as(const StoredPart& part, const std::string& weight, TensorInfo& info) {
  if (info.size_bytes != checked_size_bytes(part.dtype, part.shape)) return;
  info.name = part_name(weight, part);
  info.dtype = part.dtype;
  info.shape = part.shape;
}

// Scales of earlier versions get the shape that they have now.
void add_copies(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source) {
  const auto parts = tensor.spec ? tensor.layout->parts(*tensor.spec) : std::vector<StoredPart>();
  planned.outputs.reserve(tensor.parts.size());
  for (std::size_t i = 0; i < tensor.parts.size(); ++i) {
    PlannedOutput& output = planned.outputs.emplace_back(source.tensors()[tensor.parts[i]], tensor.parts[i]);
    if (i < parts.size() && tensor.layout != &kRowsLayout) name_as(parts[i], tensor.name, output.info);
    const bool is_former = i < parts.size() && !parts[i].former_shape.empty();
    if (is_former && output.info.shape == parts[i].former_shape) output.info.shape = parts[i].shape;
  }
}

void add_parts(PlannedTensor& planned, const LogicalTensor& tensor) {
  const auto parts = planned.layout->parts(planned.spec);
  planned.outputs.reserve(parts.size());
  for (const StoredPart& part : parts) {
    planned.outputs.push_back(
        {{part_name(tensor.name, part), part.dtype, part.shape, *checked_size_bytes(part.dtype, part.shape)}});
  }
}

void add_floats(PlannedTensor& planned, const LogicalTensor& tensor) {
  const DType dtype = planned.spec.weight_dtype;
  planned.outputs.push_back({{tensor.name, dtype, tensor.shape, *checked_size_bytes(dtype, tensor.shape)}});
}

// Of two tensors that would have an output of this name, the one that would not if it were left as it is.
std::string name_clash_hint(const PlannedTensor& a, const PlannedTensor& b, const std::string& name) {
  for (const PlannedTensor* tensor : {&a, &b}) {
    if (tensor->action == Action::kQuantize && tensor->layer.name.tensor != name) {
      return formatted("skip the layer {}, or rename the other tensor", tensor->layer.name.name);
    }
  }
  return formatted("rename the tensor {} of the input", name);
}

}  // namespace

void add_outputs(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source) {
  switch (planned.action) {
    case Action::kCopy:
      return is_recoded(planned, tensor) ? add_parts(planned, tensor) : add_copies(planned, tensor, source);
    case Action::kDequantize:
      return add_floats(planned, tensor);
    case Action::kQuantize:
    case Action::kCast:
      return add_parts(planned, tensor);
  }
}

void require_distinct_names(const Plan& plan) {
  std::unordered_map<std::string_view, const PlannedTensor*> owners;
  const auto require_own = [&](const PlannedTensor* owner, const PlannedTensor& tensor, const std::string& name) {
    if (owner == &tensor) return;
    throw Error(Status::kFormat, formatted("two tensors of the output would be called {}", name),
                name_clash_hint(*owner, tensor, name), name);
  };
  for (const PlannedTensor& tensor : plan.tensors) {
    for (const PlannedOutput& output : tensor.outputs) {
      const auto [owner, is_new] = owners.emplace(output.info.name, &tensor);
      if (!is_new) require_own(owner->second, tensor, output.info.name);
    }
  }
  for (const PlannedTensor& tensor : plan.tensors) {
    for (const std::string_view suffix : tensor.taken_suffixes) {
      const std::string name = std::string(tensor.layer.name.tensor) + std::string(suffix);
      if (const auto owner = owners.find(name); owner != owners.end()) require_own(owner->second, tensor, name);
    }
  }
}

}  // namespace mnq
