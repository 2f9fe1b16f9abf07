#include "formats/folder/shard_names.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/text/format.h"

namespace mnq {
namespace {

// Takes digits off the end; empty where there are none, or too many.
std::optional<std::uint32_t> take_number(std::string_view& text) noexcept {
  constexpr std::size_t kMostDigits = 6;
  std::uint32_t number = 0, place = 1;
  std::size_t digits = 0;
  for (; !text.empty() && text.back() >= '0' && text.back() <= '9'; text.remove_suffix(1), place *= 10) {
    if (++digits > kMostDigits) return std::nullopt;
    number += place * static_cast<std::uint32_t>(text.back() - '0');
  }
  return digits == 0 ? std::nullopt : std::optional(number);
}

bool take_end(std::string_view& text, std::string_view end) noexcept {
  if (!text.ends_with(end)) return false;
  text.remove_suffix(end.size());
  return true;
}

[[noreturn]] void fail_incomplete(const std::string& folder, const std::string& name, const std::string& what) {
  throw Error(Status::kFormat, formatted("{}: {}", folder, what),
              "fetch the whole checkpoint, or pass a file by its own name to work on that alone", name);
}

std::string missing_text(const std::map<std::uint32_t, std::string>& found, std::uint32_t count) {
  std::string text;
  std::size_t named = 0;
  for (std::uint32_t number = 1; number <= count && named < 5; ++number) {
    if (found.contains(number)) continue;
    text += formatted("{}{}", named++ == 0 ? "" : ", ", number);
  }
  const std::size_t missing = count - found.size();
  return missing > named ? formatted("{} and {} more", text, missing - named) : text;
}

}  // namespace

std::optional<ShardName> parse_shard_name(std::string_view name) noexcept {
  const std::size_t of = name.rfind("-of-");
  const std::size_t dot = of == name.npos ? name.npos : name.find('.', of);
  if (dot == name.npos) return std::nullopt;
  ShardName shard;
  shard.extension = name.substr(dot);
  name = name.substr(0, dot);
  const auto count = take_number(name);
  if (!count || !take_end(name, "-of-")) return std::nullopt;
  const auto number = take_number(name);
  if (!number || !take_end(name, "-") || *number < 1 || *number > *count) return std::nullopt;
  shard.start = name;
  shard.number = *number;
  shard.count = *count;
  return shard;
}

std::vector<std::string> require_all_shards(const std::string& folder, const std::vector<std::string>& names) {
  std::map<std::uint32_t, std::string> found;
  std::optional<ShardName> first;
  for (const std::string& name : names) {
    const auto shard = parse_shard_name(name);
    if (!shard || (first && !shard->is_beside(*first))) return {};
    if (!first) first = shard;
    if (shard->count != first->count) {
      fail_incomplete(folder, name,
                      formatted("{} and {} are of two checkpoints, and there is no index", names.front(), name));
    }
    found.emplace(shard->number, name);
  }
  if (!first) return {};
  if (found.size() < first->count) {
    fail_incomplete(folder, names.front(),
                    formatted("has {} of {} shards and no index: {}; missing: {}", found.size(), first->count,
                              found.begin()->second, missing_text(found, first->count)));
  }
  std::vector<std::string> files;
  for (auto& [number, name] : found) files.push_back(std::move(name));
  return files;
}

}  // namespace mnq
