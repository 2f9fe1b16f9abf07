// What an output can hold of quantized weights: the layout that they get there, whose rows say which weights it holds
// (layouts/held_kinds.h), and what only the format itself can tell of one. The plan puts both together with what the
// settings ask for.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/config.h"
#include "layouts/layout.h"
#include "methods/method.h"
#include "plan/layer_kinds.h"

namespace mnq {

struct WeightRequest {
  const QuantizedSpec& wanted;  ///< what the settings ask for, or what the weight is already
  const Layer& layer;
  const Companion* companion = nullptr;  ///< what comes with the source; null: nothing
  bool is_stored = false;                ///< it is quantized so already: what differs must be quantized anew
  bool is_held = false;                  ///< it is stored, and can stay as it is
  bool is_selected = false;              ///< this layer, not just all layers, was asked for
};

/// What a format says of one weight that the rows of its layout cannot say.
struct WeightRule {
  std::string leaves_for = "";  ///< why it stays float, or becomes it; empty: it need not
  std::string_view widens_for =
      "";  ///< why it gets the most accurate kind unless its bits were asked for; empty: it need not
};

/// How what loads a format wants the weights that a model may hold in one tensor for all its experts.
enum class ExpertForm {
  kTogether,  ///< as they are
  kApart,     ///< those of each expert by themselves, as Linear layers
  kStacked,   ///< those of all experts in one tensor, but gate and up by themselves
};

struct Storage {
  std::string_view title = "";   ///< in messages: "GGUF"
  std::string_view advice = "";  ///< where the settings ask for what it cannot hold
  const Layout* layout = &kRowsLayout;
  const Method* method = nullptr;  ///< of codes, where the format has its own; null: the settings'

  /// Null: nothing but what the rows say.
  WeightRule (*rule)(const WeightRequest& request) = nullptr;

  /// Which of several layouts with the same rows a model needs. Null: `layout`.
  const Layout& (*choose_layout)(const QuantizedSpec& spec, const Companion* companion) = nullptr;

  /// What its readers look for beside a quantized weight, stored or not.
  std::span<const std::string_view> suffixes = {};

  /// Whether its readers make one layer of several, whose weights must then have one global scale: fused_layers.h.
  bool is_for_fused_layers = false;

  ExpertForm experts = ExpertForm::kTogether;

  bool holds_everything() const { return layout->holds.empty(); }
};

/// What becomes of a weight that is quantized, or is to be.
struct Fit {
  std::optional<QuantizedSpec> spec;                ///< as it is stored there; empty: only as floats
  std::string reason;                               ///< where that is not what was wanted
  const Layout* layout = nullptr;                   ///< of codes
  const Method* method = nullptr;                   ///< the format's own; null: the settings'
  std::span<const std::string_view> suffixes = {};  ///< no other output may have its name with one of these
};

/// is_held is found here. Errors: kConfig for settings that the format cannot follow.
Fit fit_weight(const Storage& storage, WeightRequest request, const Config& config);

}  // namespace mnq
