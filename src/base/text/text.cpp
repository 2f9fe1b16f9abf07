#include "base/text/text.h"

#include "base/text/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace mnq {
namespace {

template <class Number>
std::optional<Number> parse_whole(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// Insertions, deletions and substitutions, without regard to case.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::int64_t> parse_int(std::string_view text) { return parse_whole<std::int64_t>(text); }

std::optional<double> parse_number(std::string_view text) { return parse_whole<double>(text); }

std::optional<std::uint64_t> parse_size(std::string_view text) {
  struct Unit {
    std::string_view suffix;
    double bytes;
  };
  constexpr std::array kUnits{Unit{"KiB", 1024.0}, Unit{"MiB", 1048576.0}, Unit{"GiB", 1073741824.0}, Unit{"kB", 1e3},
                              Unit{"KB", 1e3},     Unit{"MB", 1e6},        Unit{"GB", 1e9},           Unit{"", 1.0}};
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.suffix)) continue;
    const auto number = parse_number(text.substr(0, text.size() - unit.suffix.size()));
    if (!number || !std::isfinite(*number) || *number < 0 || *number * unit.bytes > 9e18) return std::nullopt;
    return static_cast<std::uint64_t>(*number * unit.bytes);
  }
  return std::nullopt;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& names) {
  constexpr std::size_t kShortestPart = 3, kLongest = 256;
  if (name.empty() || name.size() > kLongest) return "";
  const std::string* nearest = nullptr;
  // Two letters, more in long names, never all of them.
  std::size_t least = std::min(std::max<std::size_t>(2, name.size() / 3), name.size() - 1) + 1;
  for (const std::string& candidate : names) {
    const std::size_t longer = std::max(candidate.size(), name.size());
    const std::size_t difference = longer - std::min(candidate.size(), name.size());
    const bool is_part = name.size() >= kShortestPart && candidate.find(name) != std::string::npos;
    if (!is_part && difference >= least) continue;
    const std::size_t distance = is_part ? std::min<std::size_t>(1, difference) : edit_distance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    nearest = &candidate;
  }
  return nearest == nullptr ? "" : *nearest;
}

std::string suggest_name(std::string_view name, const std::vector<std::string>& names, std::string otherwise) {
  const std::string nearest = nearest_name(name, names);
  return nearest.empty() ? otherwise : formatted("did you mean '{}'?", nearest);
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return unit == 0 ? formatted("{} B", bytes) : formatted("{:.1f} {}", value, kUnits[unit]);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = trimmed(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (!item.empty()) items.emplace_back(item);
  }
  return items;
}

}  // namespace mnq
