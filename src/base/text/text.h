// Reading and writing of values as text, the same in every locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mnq {

/// The whole text as a number; empty where it is none.
std::optional<std::int64_t> parse_int(std::string_view text);
std::optional<double> parse_number(std::string_view text);

/// Bytes: "1048576", "64KiB", "256MiB", "1.5GiB"; empty where it is none.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// "90.9 MB", "1.2 kB"
std::string size_text(std::uint64_t bytes);

/// Without the blanks and tabs around it.
std::string_view trimmed(std::string_view text);

/// The comma-separated items without surrounding blanks; empty items are left out.
std::vector<std::string> split_list(std::string_view text);

/// Of these names the one that was most likely meant: it differs in few letters, or has the name in it. Empty where
/// none is near enough.
std::string nearest_name(std::string_view name, const std::vector<std::string>& names);

/// "did you mean 'X'?" for the nearest of these; `otherwise` where none is near enough.
std::string suggest_name(std::string_view name, const std::vector<std::string>& names, std::string otherwise);

}  // namespace mnq
