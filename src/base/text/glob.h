// Patterns for names of layers. Not fnmatch: what that matches hangs on the locale of the host, and a pattern of many *
// keeps it busy for ever.
#pragma once

#include <string_view>

namespace mnq {

/// Whether the whole text matches: * any text, dots included; ? one character; [a-z] one of these, [!a-z] none of them;
/// \* a star. A [ without its ] is itself. Characters are those of UTF-8. Takes glob × text steps at most.
bool matches_glob(std::string_view glob, std::string_view text);

}  // namespace mnq
