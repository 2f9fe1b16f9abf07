#define FMT_HEADER_ONLY
#include <fmt/format.h>

#include "base/text/format.h"

namespace mnq {

std::string format_values(fmt::string_view text, fmt::format_args values) { return fmt::vformat(text, values); }

}  // namespace mnq
