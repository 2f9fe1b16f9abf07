// Values of any float dtype as float32, and back, by the kernels of a table.
#pragma once

#include <cstddef>
#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "kernels/kernel_table.h"

namespace mnq::kernels {

/// from: [count] of F16, BF16, F32 or F64, aligned for it; to: [count]. Throws kInternal for another dtype.
inline void to_float32(const KernelTable& kernels, DType dtype, const void* from, std::size_t count, float* to) {
  switch (dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(to, from, count * sizeof(float));
      return;
    case DType::kF16:
      return kernels.f16_to_f32(static_cast<const std::uint16_t*>(from), count, to);
    case DType::kBF16:
      return kernels.bf16_to_f32(static_cast<const std::uint16_t*>(from), count, to);
    case DType::kF64:
      return kernels.f64_to_f32(static_cast<const double*>(from), count, to);
    default:
      throw Error(Status::kInternal, "a dtype that is no weight's was to be converted");
  }
}

/// The inverse, rounded half to even.
inline void from_float32(const KernelTable& kernels, DType dtype, const float* from, std::size_t count, void* to) {
  switch (dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(to, from, count * sizeof(float));
      return;
    case DType::kF16:
      return kernels.f32_to_f16(from, count, static_cast<std::uint16_t*>(to));
    case DType::kBF16:
      return kernels.f32_to_bf16(from, count, static_cast<std::uint16_t*>(to));
    case DType::kF64:
      return kernels.f32_to_f64(from, count, static_cast<double*>(to));
    default:
      throw Error(Status::kInternal, "a dtype that is no weight's was to be converted");
  }
}

}  // namespace mnq::kernels
