// Elements of a tensor that lies in its storage with gaps or in another order, in the order of the tensor.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/shape.h"

namespace mnq {

struct StridedLayout {
  Shape shape;
  Shape strides;                 ///< in elements, not negative
  std::uint64_t item_bytes = 4;  ///< 1, 2, 4 or 8
};

/// Of the storage, from the tensor's first element on, in bytes.
using ReadStorage = std::function<void(std::uint64_t offset, std::span<std::byte> into)>;

bool is_contiguous(const StridedLayout& layout);

/// Fills `into` with the elements from `first` on, row-major. Memory: 1 MiB besides. What lies close together is read
/// in one piece.
void read_strided(const StridedLayout& layout, std::uint64_t first, std::span<std::byte> into, const ReadStorage& read);

/// As read_strided, for readers who take one small piece after the other, from any thread: a block of a transposed
/// matrix lies scattered over all of its storage, in runs of 128 bytes, and a system call for each costs 20 times the
/// rest. So more is read than was asked for and kept for the pieces that follow: two strips of 16 MiB.
class StridedStrips {
 public:
  /// tensor: tells the layouts apart.
  void read(std::size_t tensor, const StridedLayout& layout, std::uint64_t first, std::span<std::byte> into,
            const ReadStorage& read);

 private:
  static constexpr std::uint64_t kStripBytes = 16u << 20;
  static constexpr std::size_t kMostStrips = 2;

  struct Strip;

  static std::uint64_t strip_elements(const StridedLayout& layout);
  std::shared_ptr<Strip> strip_at(std::size_t tensor, std::uint64_t first);

  std::mutex mutex_;
  std::vector<std::shared_ptr<Strip>> strips_;
};

}  // namespace mnq
