#define FMT_HEADER_ONLY
#include "cli/terminal/format.h"

#include <fmt/format.h>

namespace cli {

std::string format_values(fmt::string_view text, fmt::format_args values) { return fmt::vformat(text, values); }

}  // namespace cli
