// Inputs that kernels are compared on, and the tables they are compared in.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace mnq::kernels::test {

inline const KernelTable& oracle() { return *available_kernel_tables().front(); }

/// The tables besides the oracle; every test of them loops over these.
inline std::vector<const KernelTable*> fast_tables() {
  const auto all = available_kernel_tables();
  return {all.begin() + 1, all.end()};
}

inline const std::vector<std::size_t>& lengths() {
  static const std::vector<std::size_t> all{0,  1,  2,  7,  8,   9,   15,   16,   17,   31,  32,
                                            33, 63, 64, 65, 127, 129, 1023, 1024, 1025, 4099};
  return all;
}

constexpr CodeRule kInt8{-128, 127, true, 0, 127};
constexpr CodeRule kInt8Asymmetric{-128, 127, false, 0, 127};
constexpr CodeRule kUint8{-128, 127, false, 0x80, 127};
constexpr CodeRule kInt4{-8, 7, true, 0, 7.5f};
constexpr CodeRule kInt4Asymmetric{-8, 7, false, 0, 7.5f};
inline const std::vector<CodeRule>& rules() {
  static const std::vector<CodeRule> all{kInt8, kInt8Asymmetric, kUint8, kInt4, kInt4Asymmetric};
  return all;
}

/// Finite weights of many kinds: `kind` chooses.
constexpr int kKinds = 9;
inline std::vector<float> weights_of(int kind, std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed + 31 * static_cast<unsigned>(kind));
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = normal(random);
    const auto step = static_cast<float>(static_cast<int>(random() % 255) - 127);
    switch (kind) {
      case 0:
        values[i] = value;
        break;
      case 1:
        values[i] = 0;
        break;
      case 2:
        values[i] = random() % 2 == 0 ? -0.0f : 0.0f;
        break;
      case 3:
        values[i] = value * 1e-41f;
        break;  // denormal
      case 4:
        values[i] = i % 3 == 0 ? FLT_MAX : -FLT_MAX * value / 10;
        break;
      case 5:
        values[i] = std::abs(value) + 3;
        break;  // one sign
      case 6:
        values[i] = i == 0 ? 127.0f : step + 0.5f;
        break;  // ties at scale 1
      case 7:
        values[i] = i == 0 ? 1.0f : std::nextafter((step + 0.5f) * (1.0f / 127), random() % 2 ? 2.0f : -2.0f);
        break;
      default:
        values[i] = std::ldexp(value, static_cast<int>(random() % 60) - 30);
        break;  // wide range
    }
    if (!(std::abs(values[i]) <= FLT_MAX)) values[i] = FLT_MAX;
    if (kind == 6 && std::abs(values[i]) > 127) values[i] = 126.5f;
  }
  return values;
}

inline bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

}  // namespace mnq::kernels::test
