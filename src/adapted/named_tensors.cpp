#include "adapted/named_tensors.h"

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {

NamedTensors::NamedTensors(const TensorSource& source) : source_(source) {
  for (std::size_t i = 0; i < source.tensors().size(); ++i) by_name_.emplace(source.tensors()[i].name, i);
}

std::optional<std::size_t> NamedTensors::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

const TensorInfo* NamedTensors::find_info(const std::string& name) const {
  const auto found = find(name);
  return found ? &source_.tensors()[*found] : nullptr;
}

std::size_t NamedTensors::require(const std::string& name) const {
  const auto found = find(name);
  if (!found) fail(name, "is missing");
  return *found;
}

void NamedTensors::fail(const std::string& tensor, const std::string& what) const {
  throw Error(Status::kFormat, formatted("{}: tensor {}: {}", source_.title(), tensor, what),
              "config.json and weights are of different checkpoints, or damaged: fetch them again", tensor);
}

void NamedTensors::refuse(const std::string& tensor, const std::string& what) const {
  throw Error(Status::kUnsupported, formatted("{}: tensor {}: {}", source_.title(), tensor, what),
              "pass the float checkpoint it was made from: its provider has it", tensor);
}

std::string stem_of(const std::string& weight) {
  constexpr std::string_view kWeight = ".weight";
  return weight.ends_with(kWeight) ? weight.substr(0, weight.size() - kWeight.size()) : weight;
}

}  // namespace mnq
