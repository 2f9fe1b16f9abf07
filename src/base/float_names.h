// The dtypes that weights can have, as frameworks and settings call them: "float32".
#pragma once

#include <optional>
#include <string_view>

#include "base/dtype.h"

namespace mnq {

/// Empty for a name that is none.
std::optional<DType> find_float_dtype(std::string_view name);

}  // namespace mnq
