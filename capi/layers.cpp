// The layers of a model, and what settings make of them.
#include "guard.h"
#include "handles.h"
#include "plan/plan.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

const PlannedTensor* layer_at(const mnq_layers* layers, size_t index) {
  return index < mnq_layers_count(layers) ? &layers->plan.tensors[index] : nullptr;
}

const LogicalTensor* tensor_at(const mnq_layers* layers, size_t index) {
  const PlannedTensor* layer = layer_at(layers, index);
  return layer == nullptr ? nullptr : &layers->plan.logical[layer->logical];
}

}  // namespace

mnq_status mnq_model_list_layers(const mnq_model* model, const mnq_config* config, const mnq_run* run, mnq_layers** out,
                                 mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    const TensorSource& source = *require(model, "model")->source;
    auto layers = std::make_unique<mnq_layers>();
    layers->source = model->source;
    layers->plan = make_plan(source, settings_of(config, run));
    for (const PlannedTensor& tensor : layers->plan.tensors) {
      layers->names.emplace_back(tensor.layer.name.name);
      layers->schemes.push_back(tensor.action == Action::kCopy ? "" : scheme_text(tensor.spec));
    }
    *out = layers.release();
  });
}

size_t mnq_layers_count(const mnq_layers* layers) noexcept {
  return live(layers) == nullptr ? 0 : layers->plan.tensors.size();
}

const char* mnq_layers_name(const mnq_layers* layers, size_t index) noexcept {
  return layer_at(layers, index) == nullptr ? nullptr : layers->names[index].c_str();
}

const char* mnq_layers_tensor(const mnq_layers* layers, size_t index) noexcept {
  const LogicalTensor* tensor = tensor_at(layers, index);
  return tensor == nullptr ? nullptr : tensor->name.c_str();
}

const char* mnq_layers_kind(const mnq_layers* layers, size_t index) noexcept {
  const PlannedTensor* layer = layer_at(layers, index);
  if (layer == nullptr) return nullptr;
  return layer->layer.kind == nullptr ? "" : layer->layer.kind->name.data();
}

const char* mnq_layers_action(const mnq_layers* layers, size_t index) noexcept {
  const PlannedTensor* layer = layer_at(layers, index);
  return layer == nullptr ? nullptr : action_name(layer->action).data();
}

const char* mnq_layers_scheme(const mnq_layers* layers, size_t index) noexcept {
  return layer_at(layers, index) == nullptr ? nullptr : layers->schemes[index].c_str();
}

const char* mnq_layers_reason(const mnq_layers* layers, size_t index) noexcept {
  const PlannedTensor* layer = layer_at(layers, index);
  return layer == nullptr ? nullptr : layer->reason.c_str();
}

size_t mnq_layers_rank(const mnq_layers* layers, size_t index) noexcept {
  const LogicalTensor* tensor = tensor_at(layers, index);
  return tensor == nullptr ? 0 : tensor->shape.size();
}

const int64_t* mnq_layers_shape(const mnq_layers* layers, size_t index) noexcept {
  const LogicalTensor* tensor = tensor_at(layers, index);
  return tensor == nullptr ? nullptr : tensor->shape.data();
}

mnq_dtype mnq_layers_dtype(const mnq_layers* layers, size_t index) noexcept {
  const LogicalTensor* tensor = tensor_at(layers, index);
  return tensor == nullptr ? 0 : static_cast<mnq_dtype>(tensor->dtype);
}

size_t mnq_layers_tie_count(const mnq_layers* layers, size_t index) noexcept {
  const LogicalTensor* tensor = tensor_at(layers, index);
  return tensor == nullptr ? 0 : tensor->ties.size();
}

const char* mnq_layers_tie(const mnq_layers* layers, size_t index, size_t tie) noexcept {
  return tie < mnq_layers_tie_count(layers, index) ? tensor_at(layers, index)->ties[tie].c_str() : nullptr;
}

void mnq_layers_free(mnq_layers* layers) noexcept { delete live(layers); }
