// Small files of text, read whole.
#pragma once

#include <string>

namespace cli {

/// Throws Failure (NOT_FOUND, IO).
std::string read_file(const std::string& path);

}  // namespace cli
