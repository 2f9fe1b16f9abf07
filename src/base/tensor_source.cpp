#include "base/tensor_source.h"

#include <algorithm>
#include <unordered_set>

namespace mnq {

bool TensorSource::reads_from(const std::string& path) const {
  return std::ranges::any_of(inputs_, [&](const auto& bytes) {
    const FilePlace* place = bytes->place();
    return place != nullptr && place->is_at_or_below(path);
  });
}

void TensorSource::require_unchanged() const {
  for (const auto& bytes : inputs_) bytes->require_unchanged();
}

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
