#include "methods/ggml_rounding.h"

#include <algorithm>
#include <cmath>

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

std::int8_t nibble(float value) { return static_cast<std::int8_t>(std::min(15, static_cast<int>(value)) - 8); }

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

void quantize_as_q4_0(const kernels::KernelTable& kernels, const float* weights, std::size_t count, float* scales,
                      std::int8_t* codes) {
  for (std::size_t group = 0; group < count / kGgmlGroup; ++group, weights += kGgmlGroup, codes += kGgmlGroup) {
    float largest = 0, signed_largest = 0;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) {
      if (std::fabs(weights[i]) > largest) {
        largest = std::fabs(weights[i]);
        signed_largest = weights[i];
      }
    }
    const float scale = signed_largest / -8;
    const float factor = inverse(scale);
    scales[group] = scale;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) codes[i] = nibble(weights[i] * factor + 8.5f);
  }
  round_to_half(kernels, scales, count / kGgmlGroup);
}

void quantize_as_q4_1(const kernels::KernelTable& kernels, const float* weights, std::size_t count, float* scales,
                      float* minima, std::int8_t* codes) {
  for (std::size_t group = 0; group < count / kGgmlGroup; ++group, weights += kGgmlGroup, codes += kGgmlGroup) {
    const auto [least, most] = std::minmax_element(weights, weights + kGgmlGroup);
    const float minimum = *least, scale = (*most - minimum) / 15;
    const float factor = inverse(scale);
    scales[group] = scale;
    minima[group] = minimum;
    for (std::size_t i = 0; i < kGgmlGroup; ++i) codes[i] = nibble((weights[i] - minimum) * factor + 0.5f);
  }
  round_to_half(kernels, scales, count / kGgmlGroup);
  round_to_half(kernels, minima, count / kGgmlGroup);
}

}  // namespace mnq
