#include "formats/told_layers.h"

#include <map>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/text.h"
#include "formats/memory.h"
#include "plan/layer_kinds.h"

namespace mnq {
namespace {

const LayerKind& require_kind(const ToldTensor& told) {
  if (const LayerKind* kind = find_layer_kind(*told.kind)) return *kind;
  std::string all;
  for (const LayerKind& kind : all_layer_kinds()) all += (all.empty() ? "" : ", ") + std::string(kind.name);
  throw Error(Status::kInvalidArg, formatted("tensor {}: no layer is of the kind {}", told.name, *told.kind),
              formatted("the kinds are {}", all), told.name);
}

// "encoder.0.weight" -> "encoder.0"; other tensors are one of several of their layer.
std::string layer_of(const std::string& tensor) {
  constexpr std::string_view kWeight = ".weight";
  return tensor.ends_with(kWeight) && tensor.size() > kWeight.size() ? tensor.substr(0, tensor.size() - kWeight.size())
                                                                     : tensor;
}

// The kind's axis, where the weight has the kind's dimensions.
std::int64_t axis_of(const ToldTensor& told, const LayerKind& kind) {
  const auto rank = static_cast<std::int64_t>(told.tensor->shape.size());
  if (told.channel_axis == -1) return kind.rank == told.tensor->shape.size() ? kind.channel_axis : 0;
  if (told.channel_axis >= 0 && told.channel_axis < rank) return told.channel_axis;
  throw Error(
      Status::kInvalidArg,
      formatted("tensor {}: channel_axis {} lies outside its {} dimensions", told.name, told.channel_axis, rank),
      "count axes from 0, or pass -1 for the axis of the kind", told.name);
}

std::optional<LayerHint> hint_of(const ToldTensor& told) {
  if (!told.kind && told.channel_axis == -1) return std::nullopt;
  if (!told.kind) {
    throw Error(Status::kInvalidArg, formatted("tensor {} has a channel_axis, but no kind", told.name),
                "pass its kind, or -1 for the axis", told.name);
  }
  if (told.kind->empty()) return LayerHint{told.name, "", 0, "no layer's weight, as was said when the model was made"};
  const LayerKind& kind = require_kind(told);
  return LayerHint{layer_of(told.name), std::string(kind.name), axis_of(told, kind), ""};
}

using ByName = std::map<std::string_view, const ToldTensor*>;

const ToldTensor& find_target(const ByName& by_name, const ToldTensor& tied) {
  const auto found = by_name.find(*tied.tied_to);
  if (found == by_name.end()) {
    throw Error(Status::kInvalidArg, formatted("tensor {} is tied to {}, which is not there", tied.name, *tied.tied_to),
                "pass the tensor that it is tied to, too", tied.name);
  }
  if (!found->second->tied_to) return *found->second;
  throw Error(Status::kInvalidArg, formatted("tensor {} is tied to {}, which is tied itself", tied.name, *tied.tied_to),
              formatted("tie both to {}", *found->second->tied_to), tied.name);
}

void require_same(const ToldTensor& tied, const ToldTensor& target) {
  if (!tied.tensor) return;
  const auto refuse = [&](Status status, const char* what) {
    throw Error(status, formatted("tensor {} is tied to {}, which has another {}", tied.name, target.name, what),
                "pass both as they are, without the tie", tied.name);
  };
  if (tied.tensor->dtype != target.tensor->dtype) refuse(Status::kDType, "element type");
  if (tied.tensor->shape != target.tensor->shape) refuse(Status::kShape, "shape");
}

bool is_sensitive(const ToldTensor& told) {
  return told.kind && !told.kind->empty() && require_kind(told).is_sensitive;
}

ByName index_by_name(const std::vector<ToldTensor>& tensors) {
  ByName by_name;
  for (const ToldTensor& told : tensors) {
    by_name.emplace(told.name, &told);
    if (told.tensor || told.tied_to) continue;
    throw Error(Status::kInvalidArg, formatted("tensor {} has no data, and is tied to none that has", told.name), "",
                told.name);
  }
  return by_name;
}

using Ties = std::map<std::string_view, std::vector<const ToldTensor*>>;  // by the name they are tied to

Ties find_ties(const std::vector<ToldTensor>& tensors) {
  const ByName by_name = index_by_name(tensors);
  Ties ties;
  for (const ToldTensor& told : tensors) {
    if (!told.tied_to) continue;
    const ToldTensor& target = find_target(by_name, told);
    require_same(told, target);
    ties[target.name].push_back(&told);
  }
  return ties;
}

NamedTensor named_tensor(const ToldTensor& told, const std::vector<const ToldTensor*>& ties) {
  NamedTensor named{told.name, *told.tensor};
  ToldTensor whole = told;
  for (const ToldTensor* tied : ties) {
    named.ties.push_back(tied->name);
    if (is_sensitive(*tied) && !is_sensitive(whole)) whole.kind = tied->kind;
  }
  named.hint = hint_of(whole);
  return named;
}

}  // namespace

std::shared_ptr<const TensorSource> make_told_source(const std::vector<ToldTensor>& tensors) {
  const Ties ties = find_ties(tensors);
  std::vector<NamedTensor> named;
  for (const ToldTensor& told : tensors) {
    if (told.tied_to) continue;
    const auto found = ties.find(told.name);
    named.push_back(found == ties.end() ? named_tensor(told, {}) : named_tensor(told, found->second));
  }
  return make_memory_source(std::move(named), {});
}

}  // namespace mnq
