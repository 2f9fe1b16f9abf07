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

float largest_of(const float* weights, std::size_t count) {
  float largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(weights[i]));
  return largest;
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
    float largest = 0;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) largest = std::max(largest, std::fabs(weights[i]));
    const float scale = largest / 127;
    const float factor = inverse(scale);
    scales[group] = scale;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) {  // half away from zero
      const float value = weights[i] * factor;
      const int whole = static_cast<int>(value);
      codes[i] = static_cast<std::int8_t>(whole + static_cast<int>(2 * (value - static_cast<float>(whole))));
    }
  }
  round_to_half(kernels, scales, count / kGgmlGroup);
}

void quantize_as_qx_0(const kernels::KernelTable& kernels, int bits, const float* weights, std::size_t count,
                      float* scales, std::int8_t* codes) {
  const int half = 1 << (bits - 1);
  for (std::size_t group = 0; group < count / kGgmlGroup; ++group, weights += kGgmlGroup, codes += kGgmlGroup) {
    float largest = 0, signed_largest = 0;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) {
      if (std::fabs(weights[i]) > largest) {
        largest = std::fabs(weights[i]);
        signed_largest = weights[i];
      }
    }
    const float scale = signed_largest / static_cast<float>(-half);
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
