// Many patterns at once: with 10,000 of them, trying each for each of 10,000 layers takes minutes. Each pattern is
// filed under a text that it demands at the start, at the end or within, whichever the fewest others are filed under; a
// name is looked up by its parts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mnq {

class GlobSet {
 public:
  /// Ranks grow from call to call; a pattern may come again. Without memory nothing changes.
  void insert(std::string_view glob, std::size_t rank);

  /// The least and the greatest rank of the patterns that match a text as matches_glob says it; empty where none does.
  std::optional<std::size_t> first_match(std::string_view text) const;
  std::optional<std::size_t> last_match(std::string_view text) const;

  /// The greatest rank of the pattern that is this text, letter by letter.
  std::optional<std::size_t> find(std::string_view glob) const;

  /// Calls it with the least rank of each pattern that matches.
  void for_each_match(std::string_view text, const std::function<void(std::size_t)>& match) const;

 private:
  struct Entry {
    std::string glob;
    std::size_t first, last;  // ranks
    bool is_plain;            // matches itself only
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <class Value>
  using ByText = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;
  using Bucket = std::vector<std::uint32_t>;  // of entries_
  using ByLength = std::map<std::size_t, ByText<Bucket>>;

  Bucket& choose_bucket(std::string_view glob);
  template <class Visit>
  void for_each_entry(std::string_view text, Visit&& visit) const;

  std::vector<Entry> entries_;
  ByText<std::uint32_t> by_text_;
  ByLength starts_, ends_, inner_;
  Bucket others_;
};

}  // namespace mnq
