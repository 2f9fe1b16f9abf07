#include "formats/strided_read.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace mnq {
namespace {

constexpr std::uint64_t kSpanBytes = 1u << 20;

// A box of a tensor: from start, sizes, in the tensor's own order of axes.
struct Box {
  std::vector<std::int64_t> start;
  std::vector<std::int64_t> size;
};

// The boxes that [first, first + count) consists of: the rest of a row, whole rows, then the start of one, at each level.
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

class BoxReader {
 public:
  BoxReader(const StridedLayout& layout, const std::function<void(std::uint64_t, std::span<std::byte>)>& read)
      : layout_(layout), read_(read), to_(layout.shape.size()) {}

  // Reads a box into `into`, where its elements lie row-major.
  void run(const Box& box, std::byte* into) {
    std::int64_t step = 1;
    for (std::size_t axis = box.size.size(); axis-- > 0;) {
      to_[axis] = step;
      step *= box.size[axis];
    }
    // The axes by their distance in the storage, the longest first: what is innermost lies together.
    std::vector<std::size_t> order(box.size.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t axis) { return layout_.strides[axis]; });
    std::uint64_t from = 0;
    for (std::size_t axis = 0; axis < box.start.size(); ++axis) {
      from += static_cast<std::uint64_t>(box.start[axis] * layout_.strides[axis]);
    }
    read_axes(box, order, 0, from, into);
  }

 private:
  // Elements from the first to the last of the axes from `depth` on.
  std::uint64_t extent(const Box& box, std::span<const std::size_t> axes) const {
    std::uint64_t extent = 1;
    for (const std::size_t axis : axes) {
      extent += static_cast<std::uint64_t>((box.size[axis] - 1) * layout_.strides[axis]);
    }
    return extent;
  }

  void read_axes(const Box& box, std::span<const std::size_t> axes, std::size_t depth, std::uint64_t from,
                 std::byte* into) {
    const std::uint64_t bytes = extent(box, axes.subspan(depth)) * layout_.item_bytes;
    if (bytes <= kSpanBytes || depth == axes.size()) {
      span_.resize(bytes);
      read_(from * layout_.item_bytes, span_);
      scatter(box, axes, depth, 0, into);
      return;
    }
    const std::size_t axis = axes[depth];
    // As many slices at once as lie close together.
    const std::uint64_t inner = extent(box, axes.subspan(depth + 1));
    const auto stride = static_cast<std::uint64_t>(layout_.strides[axis]);
    const std::uint64_t most = kSpanBytes / layout_.item_bytes;
    std::int64_t together = 1;
    if (inner < most && stride > 0 && stride <= 4 * inner) {
      together = static_cast<std::int64_t>((most - inner) / stride + 1);
    }
    for (std::int64_t i = 0; i < box.size[axis]; i += together) {
      Box part = box;
      part.size[axis] = std::min(together, box.size[axis] - i);
      std::byte* target = into + static_cast<std::uint64_t>(i * to_[axis]) * layout_.item_bytes;
      const std::uint64_t source = from + static_cast<std::uint64_t>(i) * stride;
      if (together > 1) {
        span_.resize(extent(part, axes.subspan(depth)) * layout_.item_bytes);
        read_(source * layout_.item_bytes, span_);
        scatter(part, axes, depth, 0, target);
      } else {
        read_axes(part, axes, depth + 1, source, target);
      }
    }
  }

  // From the span to the places the elements have in the box.
  void scatter(const Box& box, std::span<const std::size_t> axes, std::size_t depth, std::uint64_t from,
               std::byte* into) const {
    if (depth == axes.size()) {
      std::memcpy(into, span_.data() + from * layout_.item_bytes, layout_.item_bytes);
      return;
    }
    const std::size_t axis = axes[depth];
    for (std::int64_t i = 0; i < box.size[axis]; ++i) {
      scatter(box, axes, depth + 1, from + static_cast<std::uint64_t>(i * layout_.strides[axis]),
              into + static_cast<std::uint64_t>(i * to_[axis]) * layout_.item_bytes);
    }
  }

  const StridedLayout& layout_;
  const std::function<void(std::uint64_t, std::span<std::byte>)>& read_;
  std::vector<std::int64_t> to_;  // strides within the box
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
                  const std::function<void(std::uint64_t, std::span<std::byte>)>& read) {
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

}  // namespace mnq
