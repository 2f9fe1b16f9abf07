// The structures of DLPack 1.x, as far as tensors in CPU memory need them. Layout: https://github.com/dmlc/dlpack,
// include/dlpack/dlpack.h.
#pragma once

#include <cstdint>

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
