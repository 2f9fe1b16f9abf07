#include "containers/pickle/pickle.h"

#include <algorithm>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_machine.h"

namespace mnq {

Pickle::Pickle(std::string_view bytes, std::string title, std::string record, PickleNumbers numbers)
    : title_(std::move(title)), record_(std::move(record)) {
  PickleMachine(*this, bytes, numbers).run();
}

std::span<const PickleIndex> Pickle::items(const PickleValue& value) const {
  if (value.kind != PickleKind::kTuple) return children_[value.children];
  return std::span(tuple_items_).subspan(value.children, value.tuple_size);
}

std::vector<std::pair<PickleIndex, PickleIndex>> Pickle::pairs(const PickleValue& value) const {
  std::vector<std::pair<PickleIndex, PickleIndex>> pairs;
  const auto flat = items(value);
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) pairs.emplace_back(flat[i], flat[i + 1]);
  return pairs;
}

void Pickle::fail(const std::string& what) const { fail_record(title_, record_, what); }

// All that a value refers to.
std::vector<PickleIndex> Pickle::parts(PickleIndex index) const {
  std::vector<PickleIndex> parts;
  for_each_part(values_[index], [&](PickleIndex part) { parts.push_back(part); });
  return parts;
}

// Depth first with a stack of its own. depths: 0 not seen yet, kOpen on the way down, else the levels from here on.
void Pickle::check_nesting(std::uint32_t max_depth) const {
  constexpr std::uint32_t kOpen = 0xffffffff;
  struct Step {
    PickleIndex index;
    std::vector<PickleIndex> parts;
    std::size_t next = 0;
    std::uint32_t depth = 1;
  };
  std::vector<std::uint32_t> depths(values_.size(), 0);
  std::vector<Step> path;
  const auto enter = [&](PickleIndex index) {
    if (path.size() >= max_depth) fail(formatted("its values are nested more than {} deep", max_depth));
    depths[index] = kOpen;
    path.push_back({index, parts(index)});
  };
  for (PickleIndex start = 0; start < values_.size(); ++start) {
    if (depths[start] == 0) enter(start);
    while (!path.empty()) {
      Step& step = path.back();
      if (step.next == step.parts.size()) {
        const std::uint32_t depth = depths[step.index] = step.depth;
        path.pop_back();
        if (!path.empty()) path.back().depth = std::max(path.back().depth, depth + 1);
        continue;
      }
      const PickleIndex part = step.parts[step.next++];
      if (depths[part] == kOpen) fail("holds a value that holds itself");
      if (depths[part] == 0) {
        enter(part);
        continue;
      }
      step.depth = std::max(step.depth, depths[part] + 1);
      if (path.size() + depths[part] > max_depth) fail(formatted("its values are nested more than {} deep", max_depth));
    }
  }
}

}  // namespace mnq
