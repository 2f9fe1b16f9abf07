// The formats there are.
#pragma once

#include "formats/format.h"

namespace mnq {

std::span<const Format* const> all_formats();

/// The format of that name; null where there is none.
const Format* find_format(std::string_view name);

}  // namespace mnq
