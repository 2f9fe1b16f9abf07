#include "quantize/weight_of_layer.h"

#include <algorithm>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/text.h"
#include "config/config.h"

namespace mnq {
namespace {

constexpr std::string_view kWeight = "weight", kBias = "bias";

bool is_called(const LogicalTensor& tensor, const std::string& layer) {
  const auto names_it = [&](const std::string& name) { return name == layer || layer_name_from(name).name == layer; };
  return names_it(tensor.name) || std::ranges::any_of(tensor.ties, names_it) ||
         (tensor.hint != nullptr && !tensor.hint->kind.empty() && tensor.hint->layer == layer);
}

}  // namespace

const LogicalTensor& weight_of_layer(const TensorSource& source, const std::string& layer) {
  const std::vector<LogicalTensor>& weights = source.require_weights();
  const auto found = std::ranges::find_if(weights, [&](const LogicalTensor& each) { return is_called(each, layer); });
  if (found != weights.end()) return *found;
  std::vector<std::string> names;
  for (const LogicalTensor& tensor : weights) {
    if (tensor.name.ends_with(kWeight)) names.emplace_back(layer_name_from(tensor.name).name);
  }
  throw Error(Status::kNotFound, formatted("{}: there is no layer {}", source.title(), layer),
              suggest_name(layer, names, "list the layers of the model"), layer);
}

std::size_t bias_of_weight(const TensorSource& source, const LogicalTensor& weight) {
  const std::size_t last = weight.name.rfind('.') + 1;
  if (std::string_view(weight.name).substr(last).starts_with("weight_")) {  // weight_ih_l0, bias_ih_l0
    return source.find(std::string(weight.name).replace(last, kWeight.size(), kBias));
  }
  if (!weight.name.ends_with(kWeight)) return TensorSource::kNone;
  return source.find(weight.name.substr(0, weight.name.size() - kWeight.size()) + std::string(kBias));
}

}  // namespace mnq
