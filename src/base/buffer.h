// Memory that is used again: it grows to the largest request it saw, so that no page is touched for the first time in
// the middle of the work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/tensor.h"

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

}  // namespace mnq
