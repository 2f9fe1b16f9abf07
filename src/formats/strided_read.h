// Elements of a tensor that lies in its storage with gaps or in another order, in the order of the tensor.
#pragma once

#include <functional>
#include <span>

#include "base/shape.h"

namespace mnq {

struct StridedLayout {
  Shape shape;
  std::vector<std::int64_t> strides;  ///< in elements, not negative
  std::uint64_t item_bytes = 4;
};

bool is_contiguous(const StridedLayout& layout);

/// Fills `into` with the elements from `first` on, row-major. read(offset, bytes): of the storage, from the tensor's
/// first element on. Memory: 1 MiB besides. What lies close together is read in one piece.
void read_strided(const StridedLayout& layout, std::uint64_t first, std::span<std::byte> into,
                  const std::function<void(std::uint64_t, std::span<std::byte>)>& read);

}  // namespace mnq
