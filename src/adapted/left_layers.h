// Layers that a config leaves as they are.
#pragma once

#include <string_view>

#include "base/text/json.h"

namespace mnq {

/// Whether a pattern of a config may mean the layer: its name or a part of it, one with *, or behind "re:" a regular
/// expression, of which all that is hard to read may mean anything.
bool may_mean(std::string_view pattern, std::string_view layer);

/// Whether one of the config's lists of what is not quantized may mean the layer.
bool may_leave(const Json& config, std::string_view layer);

}  // namespace mnq
