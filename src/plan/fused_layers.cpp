#include "plan/fused_layers.h"

#include <algorithm>
#include <array>
#include <map>

namespace mnq {
namespace {

using Names = std::array<std::string_view, 3>;
constexpr std::array<Names, 6> kFused{
    Names{"q_proj", "k_proj", "v_proj"},
    Names{"query", "key", "value"},
    Names{"gate_proj", "up_proj"},
    Names{"w1", "w3"},
    Names{"wq_a", "wkv_a"},
    Names{"q_a_proj", "kv_a_proj_with_mqa"},
};

// What the layers that become one have in common: where they are, and the first of their names. Empty: it is none.
std::string place_of(std::string_view layer) {
  const std::size_t last = layer.rfind('.') + 1;
  const std::string_view name = layer.substr(last);
  const auto found =
      std::ranges::find_if(kFused, [&](const Names& names) { return std::ranges::find(names, name) != names.end(); });
  return name.empty() || found == kFused.end() ? "" : std::string(layer.substr(0, last)) + std::string(found->front());
}

}  // namespace

void find_fused_layers(Plan& plan) {
  std::map<std::string, std::vector<std::size_t>> places;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlannedTensor& planned = plan.tensors[i];
    if (planned.action != Action::kQuantize || !scheme_of(planned.spec).has_global_scale) continue;
    if (std::string place = place_of(planned.layer.name.name); !place.empty()) places[place].push_back(i);
  }
  for (const auto& [place, tensors] : places) {
    if (tensors.size() == 1) continue;
    for (const std::size_t tensor : tensors) plan.tensors[tensor].fused = tensors;
  }
}

}  // namespace mnq
