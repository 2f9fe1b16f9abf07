// The books of vectors of GGUF's IQ types, and what these types share.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string_view>

namespace mnq {

/// Vectors of 8 numbers, or of 4, one after the other. They are read when they are first asked for. From any thread.
const std::int8_t* iq2_xxs_grid();  ///< 256 of 8
const std::int8_t* iq2_xs_grid();   ///< 512 of 8
const std::int8_t* iq2_s_grid();    ///< 1024 of 8
const std::int8_t* iq3_xxs_grid();  ///< 256 of 4
const std::int8_t* iq3_s_grid();    ///< 512 of 4
const std::int8_t* iq1_grid();      ///< 2048 of 8

/// Signs of eight numbers of which seven are stored: the last one makes the number of negative ones even.
inline std::uint8_t eight_signs(std::uint32_t seven) {
  const auto low = static_cast<std::uint8_t>(seven & 127);
  return static_cast<std::uint8_t>(low | (std::popcount(low) % 2) << 7);
}

/// weights [count], written: a vector times a scale; bit i of signs says that number i is negative.
inline float* add_vector(const std::int8_t* vector, int count, float scale, int signs, float* weights) {
  for (int i = 0; i < count; ++i) {
    const float value = scale * static_cast<float>(vector[i]);
    weights[i] = (signs >> i & 1) != 0 ? -value : value;
  }
  return weights + count;
}

/// The same with an offset in place of signs.
inline float* add_shifted_vector(const std::int8_t* vector, float scale, float offset, float* weights) {
  for (int i = 0; i < 8; ++i) weights[i] = scale * (static_cast<float>(vector[i]) + offset);
  return weights + 8;
}

}  // namespace mnq
