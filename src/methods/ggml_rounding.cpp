#include "methods/ggml_rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>

#include "layouts/tables.h"
#include "schemes/floats/e2m1.h"

namespace mnq {
namespace {

// To float16 and back. Where the scale is no number of float32 with an inverse, float16 has 0 for it.
void round_to_half(const kernels::KernelTable& kernels, float* values, std::size_t count) {
  constexpr std::size_t kPiece = 1024;
  std::uint16_t halves[kPiece];
  for (std::size_t at = 0; at < count; at += kPiece) {
    const std::size_t piece = std::min(kPiece, count - at);
    kernels.f32_to_f16(values + at, piece, halves);
    kernels.f16_to_f32(halves, piece, values + at);
  }
}

float inverse(float scale) {
  const float result = scale == 0 ? 0 : 1 / scale;
  return std::isfinite(result) ? result : 0;
}

// The code of a value above 0, at most 2 * half - 1, less by half.
std::int8_t lowered(float value, int half) {
  return static_cast<std::int8_t>(std::min(2 * half - 1, static_cast<int>(value)) - half);
}

// Loops over a group compare floats as integers of the same order, which compilers can do in vectors.
std::int32_t ordered(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}
float unordered(std::int32_t value) { return std::bit_cast<float>(value ^ ((value >> 31) & 0x7fffffff)); }

float largest_of(const float* weights, std::size_t count) {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::int32_t>(weights[i]) & 0x7fffffff);
  }
  return std::bit_cast<float>(largest);
}

struct GroupRange {
  float least, most;
};
GroupRange range_of_group(const float* weights) {
  std::int32_t least = INT32_MAX, most = INT32_MIN;
  for (std::size_t i = 0; i < kGgmlGroup; ++i) {
    const std::int32_t value = ordered(weights[i]);
    least = std::min(least, value);
    most = std::max(most, value);
  }
  return {unordered(least), unordered(most)};
}

// The weight of the largest magnitude; of several the first one. No zero is negative.
float extreme_of_group(const float* weights) {
  const GroupRange range = range_of_group(weights);
  if (-range.least > range.most) return range.least;
  if (-range.least < range.most) return range.most;
  const auto is_first = [&](float weight) { return std::fabs(weight) == range.most; };
  return *std::find_if(weights, weights + kGgmlGroup, is_first) + 0.0f;
}

// The nearest, and of two that are as near the first one.
std::int8_t nearest_e2m1(float weight, float scale) {
  std::size_t best = 0;
  float least = std::fabs(kE2M1Values[0] * scale - weight);
  for (std::size_t i = 1; i < std::size(kE2M1Values); ++i) {
    const float error = std::fabs(kE2M1Values[i] * scale - weight);
    if (error < least) best = i, least = error;
  }
  return static_cast<std::int8_t>(best);
}

// E4M3 as ggml rounds to it: halves up, whatever is from 256 on to 448, and what lies above the denormals only when it
// is rounded to the largest of them.
std::uint8_t ggml_e4m3(float value) {
  constexpr float kLeastNormal = 0x1p-6f, kDenormals = 0x1p9f, kMostRounded = 256;
  constexpr int kDroppedBits = 20, kLostExponent = (127 - 7) << 3, kMostDenormal = 7, kLargest = 0x7e;
  if (value < kLeastNormal)
    return static_cast<std::uint8_t>(std::min(kMostDenormal, static_cast<int>(value * kDenormals + 0.5f)));
  if (value >= kMostRounded) return kLargest;
  const std::uint32_t rounded = (std::bit_cast<std::uint32_t>(value) + (1u << (kDroppedBits - 1))) >> kDroppedBits;
  const int code = static_cast<int>(rounded) - kLostExponent;
  return static_cast<std::uint8_t>(code >= 15 << 3 ? kLargest : code);
}

}  // namespace

void quantize_as_q8_0(const kernels::KernelTable& kernels, const float* weights, std::size_t count, float* scales,
                      std::int8_t* codes) {
  for (std::size_t group = 0; group < count / kGgmlGroup; ++group, weights += kGgmlGroup, codes += kGgmlGroup) {
    const float scale = largest_of(weights, kGgmlGroup) / 127;
    const float factor = inverse(scale);
    scales[group] = scale;
    std::int32_t rounded[kGgmlGroup];
    for (std::size_t i = 0; i < kGgmlGroup; ++i) {  // half away from zero
      const float value = weights[i] * factor;
      const int whole = static_cast<int>(value);
      rounded[i] = whole + static_cast<int>(2 * (value - static_cast<float>(whole)));
    }
    for (std::size_t i = 0; i < kGgmlGroup; ++i) codes[i] = static_cast<std::int8_t>(rounded[i]);
  }
  round_to_half(kernels, scales, count / kGgmlGroup);
}

void quantize_as_qx_0(const kernels::KernelTable& kernels, int bits, const float* weights, std::size_t count,
                      float* scales, std::int8_t* codes) {
  const int half = 1 << (bits - 1);
  for (std::size_t group = 0; group < count / kGgmlGroup; ++group, weights += kGgmlGroup, codes += kGgmlGroup) {
    const float scale = extreme_of_group(weights) / static_cast<float>(-half);
    const float factor = inverse(scale);
    scales[group] = scale;
    const float middle = static_cast<float>(half) + 0.5f;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) codes[i] = lowered(weights[i] * factor + middle, half);
  }
  round_to_half(kernels, scales, count / kGgmlGroup);
}

void quantize_as_qx_1(const kernels::KernelTable& kernels, int bits, const float* weights, std::size_t count,
                      float* scales, float* minima, std::int8_t* codes) {
  const int half = 1 << (bits - 1);
  for (std::size_t group = 0; group < count / kGgmlGroup; ++group, weights += kGgmlGroup, codes += kGgmlGroup) {
    const auto [least, most] = std::minmax_element(weights, weights + kGgmlGroup);
    const float minimum = *least, scale = (*most - minimum) / static_cast<float>(2 * half - 1);
    const float factor = inverse(scale);
    scales[group] = scale;
    minima[group] = minimum;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) codes[i] = lowered((weights[i] - minimum) * factor + 0.5f, half);
  }
  round_to_half(kernels, scales, count / kGgmlGroup);
  round_to_half(kernels, minima, count / kGgmlGroup);
}

void quantize_as_mxfp4(const float* weights, std::size_t count, float* scales, std::int8_t* codes) {
  constexpr float kBias = 127, kExponentOfLargest = 2;
  for (std::size_t i = 0; i < count; i += kGgmlGroup) {
    const float largest = largest_of(weights + i, kGgmlGroup);
    const float exponent = largest == 0 ? 0 : std::floor(std::log2(largest)) - kExponentOfLargest + kBias;
    const float scale = value_of_e8m0(static_cast<std::uint8_t>(std::max(exponent, 0.0f)));
    *scales++ = scale;
    for (std::size_t at = i; at < i + kGgmlGroup; ++at) codes[at] = nearest_e2m1(weights[at], scale);
  }
}

void quantize_as_nvfp4(const float* weights, std::size_t count, float* scales, std::int8_t* codes) {
  for (std::size_t i = 0; i < count; i += kNvfp4Group) {
    const float scale = value_of_e4m3(ggml_e4m3(largest_of(weights + i, kNvfp4Group) / kE2M1Rule.largest));
    *scales++ = scale;
    for (std::size_t at = i; at < i + kNvfp4Group; ++at) codes[at] = nearest_e2m1(weights[at], scale);
  }
}

}  // namespace mnq
