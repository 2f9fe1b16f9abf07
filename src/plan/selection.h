// Which layers the settings select: the lists only, skip and layer_types, and layers that have settings of their own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/tensor_source.h"
#include "base/text/glob_set.h"
#include "config/config.h"
#include "plan/layer_kinds.h"
#include "plan/plan.h"

namespace mnq {

/// A choice for one layer: to quantize it, or the reason not to.
struct Choice {
  bool quantize = false;
  std::string reason;
};
inline Choice leave(std::string reason) { return {false, std::move(reason)}; }

/// The patterns of a list, in order.
struct NameList {
  explicit NameList(const std::vector<std::string>& texts = {});

  /// The first pattern that matches; null where none does.
  const std::string* find_match(const LayerName& layer) const;
  bool names_exactly(const LayerName& layer) const;

  std::vector<std::string> globs;
  GlobSet set;
};

/// The lists of the config, read once for all layers.
struct Selection {
  NameList only;
  NameList skip;
  std::vector<std::string> layer_types;
};
Selection read_selection(const Config& config);

/// By the lists alone. Where it is chosen, the reason is the pattern that did so.
Choice choose_by_selection(const Selection& selection, const Layer& layer);

/// Whether the lists are not about this tensor, which is no layer's weight.
bool leaves_out(const Selection& selection, const LayerName& name);

/// Whether this layer, not just all layers, was asked for.
bool is_selected(const Selection& selection, const Config& config, const Layer& layer);

/// Makes it what the key `kind` says. Errors: kConfig where the weight has another number of dimensions.
void adopt_kind(Layer& layer, const Config& config, const LogicalTensor& tensor);

/// Takes a weight that `only` names in full at its word, whatever its name looks like.
void adopt_named(Layer& layer, const Selection& selection, const LogicalTensor& tensor);

/// Adds a warning for each pattern that matches nothing, with the name that was most likely meant.
void warn_of_idle_globs(Plan& plan, const Config& config, const Selection& selection);

}  // namespace mnq
