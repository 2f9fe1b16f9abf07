// Tensors, from and to the caller's memory.
#include <cstring>

#include "base/text/format.h"
#include "guard.h"
#include "handles.h"

using namespace mnq;
using namespace mnq::capi;

namespace {

Tensor describe_tensor(mnq_dtype dtype, const int64_t* shape, size_t rank, const void* data, size_t size_bytes) {
  Tensor tensor;
  tensor.dtype = require_dtype(dtype, "dtype");
  require_array(shape, rank, "shape");
  if (rank != 0) tensor.shape = Shape(shape, shape + rank);
  const auto needed = checked_size_bytes(tensor.dtype, tensor.shape);
  if (!needed) {
    throw Error(Status::kShape, formatted("{} {} is impossible", dtype_name(tensor.dtype), shape_text(tensor.shape)),
                "sizes are >= 0 and their product must fit", "shape");
  }
  if (*needed != size_bytes) {
    throw Error(Status::kShape,
                formatted("{} {} needs {} bytes, not {}", dtype_name(tensor.dtype), shape_text(tensor.shape), *needed,
                          size_bytes),
                "", "size_bytes");
  }
  require_array(static_cast<const std::byte*>(data), size_bytes, "data");
  tensor.size_bytes = size_bytes;
  return tensor;
}

}  // namespace

DType mnq::capi::require_dtype(mnq_dtype dtype, const char* name) {
  const auto found = find_dtype(dtype);
  if (found) return *found;
  throw Error(Status::kDType, formatted("{} is no dtype", dtype), "pass one of MNQ_DTYPE_*", name);
}

FreshTensor mnq::capi::fresh_tensor(DType dtype, Shape shape) {
  const auto size = checked_size_bytes(dtype, shape);
  if (!size) throw Error(Status::kShape, formatted("{} does not fit in memory", shape_text(shape)), "", "out");
  const auto bytes = allocate_bytes(*size);
  return {std::make_unique<mnq_tensor>(mnq_tensor{{}, {dtype, std::move(shape), bytes, *size}}), bytes.get()};
}

mnq_status mnq_tensor_create(mnq_dtype dtype, const int64_t* shape, size_t rank, const void* data, size_t size_bytes,
                             mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    Tensor tensor = describe_tensor(dtype, shape, rank, data, size_bytes);
    const auto bytes = allocate_bytes(size_bytes);
    if (size_bytes != 0) std::memcpy(bytes.get(), data, size_bytes);
    tensor.data = bytes;
    *out = new mnq_tensor{{}, std::move(tensor)};
  });
}

mnq_status mnq_tensor_wrap(mnq_dtype dtype, const int64_t* shape, size_t rank, const void* data, size_t size_bytes,
                           mnq_release_fn release, void* user, mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    Tensor tensor = describe_tensor(dtype, shape, rank, data, size_bytes);
    const auto owner = std::make_shared<Releaser>();
    tensor.data = std::shared_ptr<const std::byte>(owner, static_cast<const std::byte*>(data));
    *out = new mnq_tensor{{}, std::move(tensor)};
    owner->arm(release, user);
  });
}

mnq_dtype mnq_tensor_dtype(const mnq_tensor* tensor) noexcept {
  return live(tensor) == nullptr ? 0 : static_cast<mnq_dtype>(tensor->tensor.dtype);
}
size_t mnq_tensor_rank(const mnq_tensor* tensor) noexcept {
  return live(tensor) == nullptr ? 0 : tensor->tensor.shape.size();
}
const int64_t* mnq_tensor_shape(const mnq_tensor* tensor) noexcept {
  return live(tensor) == nullptr ? nullptr : tensor->tensor.shape.data();
}
const void* mnq_tensor_data(const mnq_tensor* tensor) noexcept {
  return live(tensor) == nullptr ? nullptr : tensor->tensor.data.get();
}
size_t mnq_tensor_size_bytes(const mnq_tensor* tensor) noexcept {
  return live(tensor) == nullptr ? 0 : tensor->tensor.size_bytes;
}
void mnq_tensor_free(mnq_tensor* tensor) noexcept { delete live(tensor); }
