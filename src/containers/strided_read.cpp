#include "containers/strided_read.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace mnq {
namespace {

constexpr std::uint64_t kSpanBytes = 1u << 20;

// A box of a tensor: from start, sizes, in the tensor's own order of axes.
struct Box {
  std::vector<std::int64_t> start;
  std::vector<std::int64_t> size;
};

// The boxes that [first, first + count) consists of: the rest of a row, whole rows, then the start of one, at each
// level.
void cut_into_boxes(const Shape& shape, std::uint64_t first, std::uint64_t count, std::vector<Box>& boxes) {
  const std::size_t rank = shape.size();
  std::vector<std::uint64_t> below(rank + 1, 1);  // elements behind one index of the axis before
  for (std::size_t axis = rank; axis-- > 0;) below[axis] = below[axis + 1] * static_cast<std::uint64_t>(shape[axis]);
  while (count > 0) {
    // The outermost axis whose slices start here and fit.
    std::size_t axis = 0;
    while (axis + 1 < rank && (first % below[axis + 1] != 0 || below[axis + 1] > count)) ++axis;
    Box box;
    box.start.resize(rank, 0);
    box.size.assign(rank, 1);
    std::uint64_t rest = first;
    for (std::size_t i = 0; i < rank; ++i) {
      box.start[i] = static_cast<std::int64_t>(rest / below[i + 1]);
      rest %= below[i + 1];
      if (i > axis) box.size[i] = shape[i];
    }
    std::uint64_t taken = 1;
    if (rank > 0) {
      const auto left = static_cast<std::uint64_t>(shape[axis] - box.start[axis]);
      const std::uint64_t slices = std::min(left, count / below[axis + 1]);
      box.size[axis] = static_cast<std::int64_t>(slices);
      taken = slices * below[axis + 1];
    }
    boxes.push_back(std::move(box));
    first += taken;
    count -= taken;
  }
}

// Two axes of a box: how many elements, and their distances in what is read and in what is written.
struct Plane {
  std::int64_t count[2];
  std::int64_t from_step[2];
  std::int64_t to_step[2];
};

// In stripes as wide as a line of the cache: each line that is read is used up before the next stripe.
template <class Item>
void copy_plane(const Plane& plane, const std::byte* from, std::byte* to) {
  constexpr std::int64_t kWidth = std::max<std::int64_t>(64 / sizeof(Item), 8), kItem = sizeof(Item);
  for (std::int64_t begin = 0; begin < plane.count[1]; begin += kWidth) {
    const std::int64_t end = std::min(begin + kWidth, plane.count[1]);
    for (std::int64_t i = 0; i < plane.count[0]; ++i) {
      const std::byte* source = from + i * plane.from_step[0] * kItem;
      std::byte* target = to + i * plane.to_step[0] * kItem;
      for (std::int64_t j = begin; j < end; ++j) {
        std::memcpy(target + j * plane.to_step[1] * kItem, source + j * plane.from_step[1] * kItem, sizeof(Item));
      }
    }
  }
}

using CopyPlane = void (*)(const Plane& plane, const std::byte* from, std::byte* to);

CopyPlane plane_copy(std::uint64_t item_bytes) {
  switch (item_bytes) {
    case 1:
      return copy_plane<std::uint8_t>;
    case 2:
      return copy_plane<std::uint16_t>;
    case 4:
      return copy_plane<std::uint32_t>;
    default:
      return copy_plane<std::uint64_t>;
  }
}

class BoxReader {
 public:
  BoxReader(const StridedLayout& layout, const ReadStorage& read)
      : layout_(layout),
        read_(read),
        copy_(plane_copy(layout.item_bytes)),
        most_(kSpanBytes / layout.item_bytes),
        from_(layout.strides.begin(), layout.strides.end()),
        to_(layout.shape.size()) {}

  // Reads a box into `into`, where its elements lie row-major.
  void run(const Box& box, std::byte* into) {
    size_ = box.size;
    std::int64_t step = 1;
    std::vector<std::size_t> order;
    std::uint64_t from = 0;
    for (std::size_t axis = size_.size(); axis-- > 0;) {
      to_[axis] = step;
      step *= size_[axis];
      from += static_cast<std::uint64_t>(box.start[axis] * layout_.strides[axis]);
      if (size_[axis] != 1) order.push_back(axis);
    }
    // The axes by their distance in the storage, the longest first: what is innermost lies together.
    std::ranges::reverse(order);
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t axis) { return layout_.strides[axis]; });
    read_axes(order, from, into);
  }

 private:
  using Axes = std::span<const std::size_t>;

  // Elements from the first to the last of these axes.
  std::uint64_t extent(Axes axes) const {
    std::uint64_t extent = 1;
    for (const std::size_t axis : axes) extent += static_cast<std::uint64_t>((size_[axis] - 1) * layout_.strides[axis]);
    return extent;
  }

  // Of the storage to a place in the span, both in elements.
  void read(std::uint64_t from, std::uint64_t place, std::uint64_t count) {
    const std::uint64_t item = layout_.item_bytes;
    if (span_.size() < (place + count) * item) span_.resize((place + count) * item);
    read_(from * item, std::span(span_).subspan(place * item, count * item));
  }

  std::byte* moved(std::byte* into, std::size_t axis, std::int64_t by) const {
    return into + static_cast<std::uint64_t>(by * to_[axis]) * layout_.item_bytes;
  }

  void read_axes(Axes axes, std::uint64_t from, std::byte* into) {
    const std::uint64_t whole = extent(axes);
    if (whole <= most_ || axes.empty()) {
      read(from, 0, whole);
      return copy(axes, span_.data(), into);
    }
    const std::size_t axis = axes[0];
    const std::int64_t count = size_[axis];
    const std::uint64_t inner = extent(axes.subspan(1));
    const auto stride = static_cast<std::uint64_t>(layout_.strides[axis]);
    const bool is_close = stride > 0 && stride <= 4 * inner;
    std::uint64_t together = 1;  // slices that find room in the span, in one piece or each in its own
    if (inner < most_) together = is_close ? (most_ - inner) / stride + 1 : most_ / inner;
    for (std::int64_t i = 0; i < count; i += size_[axis]) {
      size_[axis] = std::min(static_cast<std::int64_t>(together), count - i);
      const std::uint64_t start = from + static_cast<std::uint64_t>(i) * stride;
      if (together == 1) {
        read_axes(axes.subspan(1), start, moved(into, axis, i));
      } else {
        read_slices(axes, start, inner, is_close);
        copy(axes, span_.data(), moved(into, axis, i));
        from_[axis] = layout_.strides[axis];
      }
    }
    size_[axis] = count;
  }

  // The slices of the first axis, whose distance in the span is from_ then.
  void read_slices(Axes axes, std::uint64_t from, std::uint64_t inner, bool is_close) {
    const auto stride = static_cast<std::uint64_t>(layout_.strides[axes[0]]);
    const auto count = static_cast<std::uint64_t>(size_[axes[0]]);
    if (is_close) return read(from, 0, (count - 1) * stride + inner);
    from_[axes[0]] = static_cast<std::int64_t>(inner);
    for (std::uint64_t i = 0; i < count; ++i) read(from + i * stride, i * inner, inner);
  }

  // From the span to the places the elements have in the box.
  void copy(Axes axes, const std::byte* from, std::byte* into) const {
    if (axes.size() > 2) {
      const std::size_t axis = axes[0];
      for (std::int64_t i = 0; i < size_[axis]; ++i) {
        copy(axes.subspan(1), from + static_cast<std::uint64_t>(i * from_[axis]) * layout_.item_bytes,
             moved(into, axis, i));
      }
      return;
    }
    Plane plane{{1, 1}, {0, 0}, {0, 0}};
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const std::size_t place = 2 - axes.size() + i;
      plane.count[place] = size_[axes[i]];
      plane.from_step[place] = from_[axes[i]];
      plane.to_step[place] = to_[axes[i]];
    }
    copy_(plane, from, into);
  }

  const StridedLayout& layout_;
  const ReadStorage& read_;
  const CopyPlane copy_;
  const std::uint64_t most_;        // elements in the span
  std::vector<std::int64_t> size_;  // of what is read at once
  std::vector<std::int64_t> from_;  // strides within the span
  std::vector<std::int64_t> to_;    // strides within the box
  std::vector<std::byte> span_;
};

}  // namespace

bool is_contiguous(const StridedLayout& layout) {
  std::int64_t step = 1;
  for (std::size_t axis = layout.shape.size(); axis-- > 0;) {
    if (layout.shape[axis] == 0) return true;
    if (layout.shape[axis] != 1 && layout.strides[axis] != step) return false;
    step *= layout.shape[axis];
  }
  return true;
}

void read_strided(const StridedLayout& layout, std::uint64_t first, std::span<std::byte> into,
                  const ReadStorage& read) {
  std::vector<Box> boxes;
  cut_into_boxes(layout.shape, first, into.size() / layout.item_bytes, boxes);
  BoxReader reader(layout, read);
  std::byte* at = into.data();
  for (const Box& box : boxes) {
    reader.run(box, at);
    std::uint64_t count = 1;
    for (const std::int64_t size : box.size) count *= static_cast<std::uint64_t>(size);
    at += count * layout.item_bytes;
  }
}

struct StridedStrips::Strip {
  std::size_t tensor;
  std::uint64_t first;
  std::once_flag once;
  std::vector<std::byte> bytes;
};

std::uint64_t StridedStrips::strip_elements(const StridedLayout& layout) {
  const std::uint64_t most = kStripBytes / layout.item_bytes;
  std::uint64_t slice = 1;
  for (std::size_t axis = layout.shape.size(); axis-- > 0;) {
    const auto size = static_cast<std::uint64_t>(std::max<std::int64_t>(layout.shape[axis], 1));
    if (slice * size > most) break;
    slice *= size;
  }
  return most / slice * slice;
}

std::shared_ptr<StridedStrips::Strip> StridedStrips::strip_at(std::size_t tensor, std::uint64_t first) {
  const std::lock_guard lock(mutex_);
  const auto is_it = [&](const auto& strip) { return strip->tensor == tensor && strip->first == first; };
  const auto found = std::ranges::find_if(strips_, is_it);
  if (found != strips_.end()) return *found;
  auto next = std::make_shared<Strip>();
  next->tensor = tensor;
  next->first = first;
  if (strips_.size() == kMostStrips) {
    // Memory that nobody reads any more is used again: malloc would keep what was freed, for each thread.
    if (strips_.front().use_count() == 1) {
      std::atomic_thread_fence(std::memory_order_acquire);
      next->bytes = std::move(strips_.front()->bytes);
    }
    strips_.erase(strips_.begin());
  }
  strips_.push_back(std::move(next));
  return strips_.back();
}

void StridedStrips::read(std::size_t tensor, const StridedLayout& layout, std::uint64_t first,
                         std::span<std::byte> into, const ReadStorage& read) {
  const std::uint64_t item = layout.item_bytes, length = strip_elements(layout);
  const std::uint64_t total = element_count(layout.shape);
  if (into.size() >= std::min(length, total) * item) return read_strided(layout, first, into, read);
  while (!into.empty()) {
    const std::uint64_t start = first / length * length;
    const auto strip = strip_at(tensor, start);
    std::call_once(strip->once, [&] {
      strip->bytes.resize(std::min(length, total - start) * item);
      read_strided(layout, start, strip->bytes, read);
    });
    const auto rest = std::span(strip->bytes).subspan((first - start) * item);
    const std::size_t size = std::min(rest.size(), into.size());
    std::memcpy(into.data(), rest.data(), size);
    into = into.subspan(size);
    first += size / item;
  }
}

}  // namespace mnq
