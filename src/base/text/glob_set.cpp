#include "base/text/glob_set.h"

#include <algorithm>

#include "base/text/glob.h"

namespace mnq {
namespace {

// Bytes that may stand for something else than themselves. Those beyond ASCII are compared as characters.
bool is_special(char character) {
  constexpr std::string_view kSpecial = "*?[]\\";
  return kSpecial.find(character) != kSpecial.npos || static_cast<unsigned char>(character) >= 0x80;
}

// What a text must have to match.
struct Demands {
  std::string_view start, end;
  std::vector<std::string_view> inner;
};

Demands find_demands(std::string_view glob) {
  Demands demands;
  const auto first = std::ranges::find_if(glob, is_special);
  demands.start = glob.substr(0, static_cast<std::size_t>(first - glob.begin()));
  std::size_t end = glob.size();
  while (end > 0 && !is_special(glob[end - 1])) --end;
  demands.end = glob.substr(end);
  if (glob.find_first_of("[\\") != glob.npos) return demands;  // what is within a set is no text
  for (std::size_t at = demands.start.size(); at < end;) {
    std::size_t next = at;
    while (next < end && !is_special(glob[next])) ++next;
    if (next > at) demands.inner.push_back(glob.substr(at, next - at));
    at = next + 1;
  }
  return demands;
}

}  // namespace

GlobSet::Bucket& GlobSet::choose_bucket(std::string_view glob) {
  constexpr std::size_t kFew = 8;  // looking within a text costs more than trying so many
  ByLength* places = nullptr;
  std::string_view chosen;
  std::size_t least = 0;
  const auto offer = [&](ByLength& offered, std::string_view text) {
    if (text.empty() || (places != nullptr && least < kFew)) return;
    const ByText<Bucket>& buckets = offered[text.size()];
    const auto found = buckets.find(text);
    const std::size_t size = found == buckets.end() ? 0 : found->second.size();
    if (places != nullptr && size >= least) return;
    places = &offered;
    chosen = text;
    least = size;
  };
  const Demands demands = find_demands(glob);
  offer(ends_, demands.end);
  offer(starts_, demands.start);
  for (const std::string_view text : demands.inner) offer(inner_, text);
  return places == nullptr ? others_ : (*places)[chosen.size()][std::string(chosen)];
}

void GlobSet::insert(std::string_view glob, std::size_t rank) {
  if (const auto known = by_text_.find(glob); known != by_text_.end()) {
    entries_[known->second].last = rank;
    return;
  }
  const auto entry = static_cast<std::uint32_t>(entries_.size());
  const bool is_plain = std::ranges::none_of(glob, is_special);
  Bucket* bucket = is_plain ? nullptr : &choose_bucket(glob);
  entries_.push_back({std::string(glob), rank, rank, is_plain});
  try {
    if (bucket != nullptr) bucket->push_back(entry);
    by_text_.emplace(glob, entry);
  } catch (...) {
    if (bucket != nullptr && !bucket->empty() && bucket->back() == entry) bucket->pop_back();
    entries_.pop_back();
    throw;
  }
}

// Those that match; one may come twice.
template <class Visit>
void GlobSet::for_each_entry(std::string_view text, Visit&& visit) const {
  if (entries_.empty()) return;
  const auto try_all = [&](const Bucket& bucket) {
    for (const std::uint32_t entry : bucket) {
      if (matches_glob(entries_[entry].glob, text)) visit(entries_[entry]);
    }
  };
  const auto look_up = [&](const ByText<Bucket>& buckets, std::string_view part) {
    if (const auto found = buckets.find(part); found != buckets.end()) try_all(found->second);
  };
  if (const auto plain = by_text_.find(text); plain != by_text_.end() && entries_[plain->second].is_plain) {
    visit(entries_[plain->second]);
  }
  for (const auto& [length, buckets] : starts_) {
    if (length <= text.size()) look_up(buckets, text.substr(0, length));
  }
  for (const auto& [length, buckets] : ends_) {
    if (length <= text.size()) look_up(buckets, text.substr(text.size() - length));
  }
  for (const auto& [length, buckets] : inner_) {
    for (std::size_t at = 0; at + length <= text.size(); ++at) look_up(buckets, text.substr(at, length));
  }
  try_all(others_);
}

std::optional<std::size_t> GlobSet::first_match(std::string_view text) const {
  std::optional<std::size_t> found;
  for_each_entry(text, [&](const Entry& entry) { found = std::min(found.value_or(entry.first), entry.first); });
  return found;
}

std::optional<std::size_t> GlobSet::last_match(std::string_view text) const {
  std::optional<std::size_t> found;
  for_each_entry(text, [&](const Entry& entry) { found = std::max(found.value_or(entry.last), entry.last); });
  return found;
}

std::optional<std::size_t> GlobSet::find(std::string_view glob) const {
  const auto found = by_text_.find(glob);
  return found == by_text_.end() ? std::nullopt : std::optional(entries_[found->second].last);
}

void GlobSet::for_each_match(std::string_view text, const std::function<void(std::size_t)>& match) const {
  for_each_entry(text, [&](const Entry& entry) { match(entry.first); });
}

}  // namespace mnq
