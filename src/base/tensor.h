// A tensor: what it is called and looks like, and, once read, its data.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/shape.h"

namespace mnq {

/// A tensor as a checkpoint lists it. size_bytes = elements × bits of the dtype / 8.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::uint64_t size_bytes = 0;
};

/// Row-major contiguous data that is never changed, shared by all who hold it.
struct Tensor {
  DType dtype = DType::kF32;
  Shape shape;
  std::shared_ptr<const std::byte> data;  ///< [size_bytes]; aliases whatever owns the memory; null only where empty
  std::uint64_t size_bytes = 0;
};

/// Fresh memory for data, aligned to 64 bytes, contents unspecified; null for 0 bytes. Throws std::bad_alloc.
std::shared_ptr<std::byte> allocate_bytes(std::uint64_t size_bytes);

}  // namespace mnq
