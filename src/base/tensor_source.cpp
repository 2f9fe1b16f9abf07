#include "base/tensor_source.h"

#include <unordered_set>

namespace mnq {

std::vector<std::pair<std::string, std::string>> tied_names(const Metadata& metadata,
                                                            const std::vector<TensorInfo>& tensors) {
  std::vector<std::pair<std::string, std::string>> tied;
  std::unordered_set<std::string_view> names;
  for (const TensorInfo& info : tensors) names.insert(info.name);
  for (const auto& [name, target] : metadata) {
    if (names.contains(target) && !names.contains(name)) tied.emplace_back(name, target);
  }
  return tied;
}

}  // namespace mnq
