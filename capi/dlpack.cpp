// Tensors from and to DLPack, without copies.
#include <array>
#include <cstdint>

#include "base/text/format.h"
#include "guard.h"
#include "handles.h"

// The structures of DLPack, as far as tensors in CPU memory need them. Layout: https://github.com/dmlc/dlpack,
// include/dlpack/dlpack.h.
constexpr std::uint32_t kDLPackMajor = 1;
constexpr std::uint32_t kDLPackMinor = 0;
constexpr std::int32_t kDLCPU = 1;
constexpr std::uint64_t kDLFlagReadOnly = 1;
constexpr std::uint64_t kDLFlagSubByteTypePadded = 4;

struct DLPackVersion {
  std::uint32_t major;
  std::uint32_t minor;
};

struct DLDevice {
  std::int32_t device_type;
  std::int32_t device_id;
};

struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;    // [ndim]
  std::int64_t* strides;  // [ndim], in elements; null: row-major and contiguous
  std::uint64_t byte_offset;
};

/// Before DLPack 1.0: no version, no flags.
extern "C" struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor* self);
};

extern "C" struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);
  std::uint64_t flags;
  DLTensor dl_tensor;
};

using namespace mnq;
using namespace mnq::capi;

namespace {

struct DLPackType {
  DType dtype;
  std::uint8_t code;  // DLDataTypeCode
};
constexpr std::array kTypes{
    DLPackType{DType::kI8, 0},          DLPackType{DType::kI16, 0},     DLPackType{DType::kI32, 0},
    DLPackType{DType::kI64, 0},         DLPackType{DType::kU8, 1},      DLPackType{DType::kU16, 1},
    DLPackType{DType::kU32, 1},         DLPackType{DType::kU64, 1},     DLPackType{DType::kF16, 2},
    DLPackType{DType::kF32, 2},         DLPackType{DType::kF64, 2},     DLPackType{DType::kBF16, 4},
    DLPackType{DType::kC64, 5},         DLPackType{DType::kBool, 6},    DLPackType{DType::kF8E4M3, 10},
    DLPackType{DType::kF8E5M2, 12},     DLPackType{DType::kF8E8M0, 14}, DLPackType{DType::kF6E2M3, 15},
    DLPackType{DType::kF6E3M2, 16},     DLPackType{DType::kF4, 17},     DLPackType{DType::kF8E4M3FNUZ, 11},
    DLPackType{DType::kF8E5M2FNUZ, 13},
};

[[noreturn]] void fail_unsupported(const std::string& what, const std::string& suggestion) {
  throw Error(Status::kUnsupported, "DLPack: " + what, suggestion, "managed");
}

DType dtype_from_dlpack(const DLDataType& type, std::uint64_t flags) {
  for (const DLPackType& row : kTypes) {
    if (row.code != type.code || dtype_bits(row.dtype) != type.bits || type.lanes != 1) continue;
    if (type.bits < 8 && (flags & kDLFlagSubByteTypePadded) != 0) {
      fail_unsupported("elements below a byte are padded to one", "pass them packed");
    }
    return row.dtype;
  }
  fail_unsupported(formatted("type code {} of {} bits and {} lanes", type.code, type.bits, type.lanes),
                   "pass a dtype of MNQ_DTYPE_*");
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

void require_contiguous(const DLTensor& tensor, const Shape& shape) {
  if (tensor.strides == nullptr || element_count(shape) == 0) return;
  const Shape expected = contiguous_strides(shape);
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != 1 && tensor.strides[axis] != expected[axis]) {
      fail_unsupported("the tensor is not contiguous", "pass tensor.contiguous()");
    }
  }
}

// Calls the deleter when nobody uses the data any more. Armed last: until then the tensor is the caller's.
template <class Managed>
struct Importer {
  Managed* managed = nullptr;
  ~Importer() {
    if (managed != nullptr && managed->deleter != nullptr) managed->deleter(managed);
  }
};

void check_version(const DLManagedTensorVersioned& managed) {
  if (managed.version.major == kDLPackMajor) return;
  fail_unsupported(formatted("version {}.{}", managed.version.major, managed.version.minor), "pass version 1");
}
void check_version(const DLManagedTensor&) {}

std::uint64_t flags_of(const DLManagedTensorVersioned& managed) { return managed.flags; }
std::uint64_t flags_of(const DLManagedTensor&) { return 0; }

template <class Managed>
Tensor import_tensor(const Managed& managed) {
  check_version(managed);
  const DLTensor& from = managed.dl_tensor;
  if (from.device.device_type != kDLCPU) {
    fail_unsupported(formatted("device type {}", from.device.device_type), "copy the tensor to the CPU first");
  }
  if (from.ndim < 0) throw Error(Status::kShape, "DLPack: the rank is negative", "", "managed");
  Tensor tensor;
  tensor.dtype = dtype_from_dlpack(from.dtype, flags_of(managed));
  const auto rank = static_cast<std::size_t>(from.ndim);
  require_array(from.shape, rank, "managed->dl_tensor.shape");
  if (rank != 0) tensor.shape = Shape(from.shape, from.shape + rank);
  const auto size = checked_size_bytes(tensor.dtype, tensor.shape);
  if (!size) throw Error(Status::kShape, formatted("DLPack: shape {}", shape_text(tensor.shape)), "", "managed");
  tensor.size_bytes = *size;
  require_contiguous(from, tensor.shape);
  require_array(from.data, tensor.size_bytes == 0 ? 0 : 1, "managed->dl_tensor.data");
  return tensor;
}

template <class Managed>
void take(Managed* managed, mnq_tensor** out) {
  clear(require(out, "out"));
  Tensor tensor = import_tensor(*require(managed, "managed"));
  const auto owner = std::make_shared<Importer<Managed>>();
  const auto* data = static_cast<const std::byte*>(managed->dl_tensor.data);
  if (tensor.size_bytes != 0) data += managed->dl_tensor.byte_offset;
  tensor.data = std::shared_ptr<const std::byte>(owner, data);
  *out = new mnq_tensor{{}, std::move(tensor)};
  owner->managed = managed;
}

// What an exported tensor needs to stay alive.
struct Exported {
  DLManagedTensorVersioned managed{};
  Tensor tensor;
  Shape strides;
};

}  // namespace

mnq_status mnq_tensor_from_dlpack(DLManagedTensorVersioned* managed, mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] { take(managed, out); });
}

mnq_status mnq_tensor_from_dlpack_unversioned(DLManagedTensor* managed, mnq_tensor** out, mnq_error** error) noexcept {
  return guarded(error, [&] { take(managed, out); });
}

mnq_status mnq_tensor_to_dlpack(const mnq_tensor* tensor, DLManagedTensorVersioned** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    auto exported = std::make_unique<Exported>();
    exported->tensor = require(tensor, "tensor")->tensor;
    exported->strides = contiguous_strides(exported->tensor.shape);
    DLManagedTensorVersioned& managed = exported->managed;
    managed.version = {kDLPackMajor, kDLPackMinor};
    managed.flags = kDLFlagReadOnly;
    managed.deleter = [](DLManagedTensorVersioned* self) { delete static_cast<Exported*>(self->manager_ctx); };
    DLTensor& to = managed.dl_tensor;
    to.data = const_cast<std::byte*>(exported->tensor.data.get());
    to.device = {kDLCPU, 0};
    to.ndim = static_cast<std::int32_t>(exported->tensor.shape.size());
    for (const DLPackType& row : kTypes) {
      if (row.dtype != exported->tensor.dtype) continue;
      to.dtype = {row.code, static_cast<std::uint8_t>(dtype_bits(row.dtype)), 1};
    }
    to.shape = exported->tensor.shape.data();
    to.strides = exported->strides.data();
    managed.manager_ctx = exported.get();
    *out = &exported.release()->managed;
  });
}
