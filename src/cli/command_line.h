// From arguments to options: the one place that knows the names of commands and flags.
#pragma once

#include <string>
#include <vector>

#include "cli/commands/options.h"

namespace cli {

/// arguments: without the program's name. Throws Failure (INVALID_ARG).
Options parse_command_line(const std::vector<std::string>& arguments);

}  // namespace cli
