// What an output can hold of quantized weights: the layout that they get there and, where a format cannot hold every weight, a
// function that says what becomes of one.
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

struct FitRequest {
  const QuantizedSpec& wanted;  ///< what the settings ask for, or what the weight is already
  const Layer& layer;
  const Config& config;
  bool is_stored = false;                ///< it is quantized so already: what differs must be quantized anew
  bool is_selected = false;              ///< this layer, not just all layers, was asked for
  const Companion* companion = nullptr;  ///< what comes with the source; null: nothing
};

struct Fit {
  std::optional<QuantizedSpec> spec;                ///< as it is stored there; empty: only as floats
  std::string reason;                               ///< where that is not what was wanted
  const Layout* layout = nullptr;                   ///< of codes; null: the storage's
  const Method* method = nullptr;                   ///< where the format has its own; null: the settings'
  std::span<const std::string_view> suffixes = {};  ///< of what its readers look for beside the weight, stored or not
};

/// Errors: kConfig for settings that the format cannot follow.
using FitWeight = Fit (*)(const FitRequest& request);

struct Storage {
  const Layout* layout = &kRowsLayout;
  FitWeight fit = nullptr;  ///< null: any quantized weight as it is

  /// Why a weight of this spec stays floats there; empty: it need not. Null: none does.
  std::string (*find_obstacle)(const QuantizedSpec& spec) = nullptr;
};

}  // namespace mnq
