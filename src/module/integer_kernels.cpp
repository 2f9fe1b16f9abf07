#include "module/integer_kernels.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "base/threads.h"
#include "kernels/kernel_table.h"
#include "layouts/packing/packed_words.h"
#include "linear/linear.h"
#include "linear/linear_table.h"

namespace mnq {
namespace {

// What panels are made of, one value a byte.
class Unpacker {
 public:
  explicit Unpacker(const StoredIntegers& stored) : stored_(stored) {
    weights_.output_count = stored.output_count;
    weights_.row_length = stored.row_length;
    weights_.has_nibbles = stored.has_nibbles;
    weights_.group_size = stored.group_size;
    weights_.bias = stored.bias;
    weights_.codes = [this](std::size_t first, std::size_t count) { return codes(first, count); };
    load_scales();
  }

  const linear::LinearWeights& weights() const { return weights_; }

 private:
  void load_scales() {
    const std::size_t count = stored_.output_count * weights_.groups();
    if (stored_.has_one_scale) {
      scales_.assign(count, *stored_.scales);
      if (stored_.zero_points != nullptr) zero_points_.assign(count, byte_code(*stored_.zero_points));
    } else if (stored_.zero_points != nullptr) {
      load_zero_points(count);
    }
    weights_.scales = stored_.has_one_scale ? scales_.data() : stored_.scales;
    weights_.zero_points = zero_points_.empty() ? nullptr : zero_points_.data();
  }

  void load_zero_points(std::size_t count) {
    if (stored_.has_nibbles) {
      const ScaleShape shape{stored_.output_count, weights_.groups()};
      const auto words = static_cast<std::size_t>(word_count(shape.row_count, kNibbleBits)) * shape.groups;
      zero_points_ = unpack_along_rows(std::as_bytes(std::span(stored_.zero_points, words * 4)), shape, kNibbleBits);
      return;
    }
    zero_points_.resize(count);
    std::transform(stored_.zero_points, stored_.zero_points + count, zero_points_.begin(),
                   [this](std::uint8_t code) { return byte_code(code); });
  }

  std::int8_t byte_code(std::uint8_t code) const { return static_cast<std::int8_t>(code ^ stored_.code_xor); }

  const std::int8_t* codes(std::size_t first, std::size_t count) {
    const std::size_t length = stored_.row_length;
    if (!stored_.has_nibbles && stored_.code_xor == 0) {
      return reinterpret_cast<const std::int8_t*>(stored_.codes) + first * length;
    }
    codes_.resize(count * length);
    if (stored_.has_nibbles) {
      const std::size_t stride = static_cast<std::size_t>(word_count(length, kNibbleBits)) * 4;
      for (std::size_t row = 0; row < count; ++row) {
        kernels::kernel_table().unpack_int4(stored_.codes + (first + row) * stride, length,
                                            codes_.data() + row * length);
      }
    } else {
      std::transform(stored_.codes + first * length, stored_.codes + (first + count) * length, codes_.begin(),
                     [this](std::uint8_t code) { return byte_code(code); });
    }
    return codes_.data();
  }

  const StoredIntegers& stored_;
  linear::LinearWeights weights_;
  std::vector<float> scales_;
  std::vector<std::int8_t> zero_points_, codes_;
};

std::shared_ptr<const void> pack_weights(const StoredIntegers& stored) {
  try {
    const Unpacker unpacker(stored);
    return std::make_shared<const linear::PackedLinear>(unpacker.weights(), false, linear::linear_kernel());
  } catch (const Error&) {
    return nullptr;
  }
}

// The scratch of a thread stays for its next call.
void run_packed(const void* packed, const void* rows, std::size_t row_count, void* out, DType dtype) {
  static thread_local Buffer scratch;
  const auto& weights = *static_cast<const linear::PackedLinear*>(packed);
  const std::uint32_t threads = default_thread_count();
  const std::size_t size = weights.scratch_bytes(row_count, threads);
  weights.run({rows, dtype, row_count, out, dtype}, threads, scratch.get<std::byte>(size), size);
}

bool code_values(const float* values, std::size_t count, std::uint8_t* codes, float* scale, std::int32_t* zero_point) {
  constexpr kernels::CodeRule kRule{
      .code_min = -128, .code_max = 127, .symmetric = false, .code_xor = 0x80, .symmetric_divisor = 127};
  std::int8_t signed_zero_point = 0;
  const std::size_t done = kernels::kernel_table().quantize_rows(
      values, 1, count, count, kRule, scale, &signed_zero_point, reinterpret_cast<std::int8_t*>(codes), nullptr);
  *zero_point = signed_zero_point - kRule.code_min;
  return done == 1;
}

}  // namespace

// Those in use.
const IntegerKernels& integer_kernels() {
  static const IntegerKernels kernels{pack_weights, run_packed, code_values};
  return kernels;
}

}  // namespace mnq
