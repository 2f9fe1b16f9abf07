// A Linear layer that anyone can call: weights packed once, rows of activations multiplied with them in integers.
//
// A row of activations is quantized to int8 by itself in the same call, with a zero point unless its codes are to be
// symmetric. linear_kernels.h says what is computed: all of it is the same bits on every instruction set, in any number
// of threads and whatever rows come together. A row with a value that is NaN or infinite has NaN for all its outputs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "linear/linear_kernels.h"
#include "linear/pack.h"

namespace mnq::linear {

/// What one call gets. Dtypes are F32 or BF16.
struct LinearRows {
  const void* rows = nullptr;  ///< [count, row_length]
  DType dtype = DType::kF32;
  std::size_t count = 0;
  void* out = nullptr;  ///< [count, output_count]
  DType out_dtype = DType::kF32;
};

class PackedLinear {
 public:
  /// Errors: as pack_panels.
  PackedLinear(const LinearWeights& weights, bool symmetric_rows, const LinearKernel& kernel);

  std::size_t output_count() const { return packed_.panels.output_count; }
  std::size_t row_length() const { return row_length_; }
  std::size_t group_size() const { return group_size_; }  ///< 0: whole rows
  bool has_nibbles() const { return packed_.panels.has_nibbles; }
  bool has_zero_points() const { return packed_.panels.zero_points != nullptr; }
  bool has_bias() const { return packed_.panels.bias != nullptr; }
  bool has_symmetric_rows() const { return symmetric_rows_; }
  const char* isa() const { return kernel_.isa; }
  std::size_t size_bytes() const { return packed_.size_bytes; }

  /// Bytes that run needs for so many rows and threads. Errors: kShape where that is no number.
  std::size_t scratch_bytes(std::size_t row_count, std::size_t thread_count) const;

  /// Multiplies with up to so many threads, fewer where the scratch is not for as many. Nothing is allocated but what
  /// more than one thread need to start. Errors: kBufferTooSmall; kDType; kShape as scratch_bytes.
  void run(const LinearRows& rows, std::size_t thread_count, void* scratch, std::size_t scratch_bytes) const;

 private:
  struct Scratch;
  std::size_t stride() const;
  std::size_t shared_bytes(std::size_t row_count) const;
  std::size_t worker_bytes() const;
  void code_row(const LinearRows& rows, std::size_t row, const Scratch& scratch, std::size_t worker) const;

  const LinearKernel& kernel_;
  bool symmetric_rows_;
  std::size_t row_length_, group_size_;
  PackedPanels packed_;
};

}  // namespace mnq::linear
