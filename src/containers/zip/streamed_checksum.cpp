#include "containers/zip/streamed_checksum.h"

#include <zlib.h>

#include <algorithm>

#include "kernels/kernel_table.h"

namespace mnq {
namespace {

std::uint32_t combined(std::uint32_t first, std::uint32_t second, std::uint64_t second_size) {
  return static_cast<std::uint32_t>(crc32_combine(first, second, static_cast<z_off_t>(second_size)));
}

}  // namespace

bool StreamedChecksum::add(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty() || is_whole_.load(std::memory_order_acquire)) return false;
  std::unique_lock lock(mutex_);
  const std::vector<Range> ranges = missing({offset, offset + bytes.size()});
  lock.unlock();
  const auto* start = reinterpret_cast<const std::uint8_t*>(bytes.data());
  std::vector<std::uint32_t> crcs;
  for (const Range& range : ranges) {
    crcs.push_back(kernels::kernel_table().crc32(0, start + (range.begin - offset), range.end - range.begin));
  }
  lock.lock();
  if (is_whole_.load(std::memory_order_relaxed)) return false;
  for (std::size_t i = 0; i < ranges.size(); ++i) insert(ranges[i], crcs[i]);
  if (pieces_.empty() || pieces_.begin()->first != 0 || pieces_.begin()->second.end != size_) return false;
  crc_ = pieces_.begin()->second.crc;
  pieces_.clear();
  is_whole_.store(true, std::memory_order_release);
  return true;
}

std::vector<StreamedChecksum::Range> StreamedChecksum::missing(Range wanted) const {
  std::vector<Range> ranges;
  auto next = pieces_.upper_bound(wanted.begin);
  if (next != pieces_.begin()) wanted.begin = std::max(wanted.begin, std::prev(next)->second.end);
  for (; next != pieces_.end() && next->first < wanted.end; ++next) {
    if (wanted.begin < next->first) ranges.push_back({wanted.begin, next->first});
    wanted.begin = std::max(wanted.begin, next->second.end);
  }
  if (wanted.begin < wanted.end) ranges.push_back(wanted);
  return ranges;
}

// Another thread may have brought some of it meanwhile: then the piece is left to a later read, or is there already.
void StreamedChecksum::insert(Range range, std::uint32_t crc) {
  const std::vector<Range> still = missing(range);
  if (still.size() != 1 || still[0].begin != range.begin || still[0].end != range.end) return;
  auto place = pieces_.emplace(range.begin, Piece{range.end, crc}).first;
  if (place != pieces_.begin()) {
    const auto before = std::prev(place);
    if (before->second.end == range.begin) {
      before->second = {range.end, combined(before->second.crc, crc, range.end - range.begin)};
      pieces_.erase(place);
      place = before;
    }
  }
  const auto after = std::next(place);
  if (after == pieces_.end() || after->first != place->second.end) return;
  place->second = {after->second.end, combined(place->second.crc, after->second.crc, after->second.end - after->first)};
  pieces_.erase(after);
}

}  // namespace mnq
