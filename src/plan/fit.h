// What a file format can hold of quantized weights. A format says so with one function; plans ask it for every weight, for
// embeddings and output heads, too, which schemes below 8 bits leave as they are in formats without one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/config.h"
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
  std::span<const std::string_view> suffixes = {};  ///< of what its readers look for beside the weight, stored or not
};

/// Errors: kConfig for settings that the format cannot follow.
using FitWeight = Fit (*)(const FitRequest& request);

}  // namespace mnq
