#include "quantize/weight_of_layer.h"

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/text.h"
#include "config/config.h"

namespace mnq {
namespace {

constexpr std::string_view kWeight = "weight", kBias = "bias";

bool is_called(const LogicalTensor& tensor, const std::string& layer) {
  return tensor.name == layer || layer_name_from(tensor.name).name == layer ||
         (tensor.hint != nullptr && !tensor.hint->kind.empty() && tensor.hint->layer == layer);
}

}  // namespace

const LogicalTensor& weight_of_layer(const TensorSource& source, const std::string& layer) {
  std::vector<std::string> names;
  for (const LogicalTensor& tensor : source.require_weights()) {
    if (is_called(tensor, layer)) return tensor;
    if (tensor.name.ends_with(kWeight)) names.emplace_back(layer_name_from(tensor.name).name);
  }
  throw Error(Status::kNotFound, formatted("{}: there is no layer {}", source.title(), layer),
              suggest_name(layer, names, "list the layers of the model"), layer);
}

std::size_t bias_of_weight(const TensorSource& source, const LogicalTensor& weight) {
  if (!weight.name.ends_with(kWeight)) return TensorSource::kNone;
  return source.find(weight.name.substr(0, weight.name.size() - kWeight.size()) + std::string(kBias));
}

}  // namespace mnq
