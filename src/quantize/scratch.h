// The memory of one token of the loop: buffers that grow to the largest block they saw and are then used again, so that
// no page is touched for the first time in the middle of the work, and what a block hands to the stage that runs in
// order.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "kernels/kernel_table.h"

namespace mnq {

class Buffer {
 public:
  /// Room for `count` values; what was in it before is unspecified.
  template <class Value>
  Value* get(std::uint64_t count) {
    const std::uint64_t size = count * sizeof(Value);
    if (size > capacity_) {
      bytes_.reset();  // first: the old and the new one are never there together
      capacity_ = 0;
      bytes_ = allocate_bytes(size);
      capacity_ = size;
    }
    return reinterpret_cast<Value*>(bytes_.get());
  }

 private:
  std::shared_ptr<std::byte> bytes_;
  std::uint64_t capacity_ = 0;
};

struct Scratch {
  Buffer raw;          ///< bytes as they were read
  Buffer weights;      ///< float32
  Buffer other;        ///< float32 to compare with, or converted values
  Buffer codes;        ///< one a byte
  Buffer stored;       ///< bytes as they are written
  Buffer scales;       ///< float32
  Buffer zero_points;  ///< one a byte
  Buffer doubles;      ///< float64, of weights that are stored so

  std::vector<kernels::ErrorSums> sums;      ///< of each row, or of the piece of one
  std::vector<kernels::Range> ranges;        ///< likewise
  std::optional<std::uint64_t> bad_element;  ///< of the tensor, flat: the first value that cannot be
  bool has_nan = false;                      ///< validate: the bad element is NaN
  bool differs = false;                      ///< compare: bytes that are not the same
};

}  // namespace mnq
