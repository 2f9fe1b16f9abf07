// Layers that are tested on, and what they should give, worked out in integers and doubles by the definition alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "linear/linear.h"
#include "linear/linear_table.h"

namespace mnq::linear::test {

struct Layout {
  const char* name;
  bool has_nibbles;
  std::size_t group_size;  // 0: whole rows
  bool has_zero_points;
  bool has_signed_scales;
};

constexpr Layout kLayouts[] = {
    {"int8", false, 0, false, false},           {"int8_asymmetric", false, 0, true, false},
    {"int8_g32", false, 32, false, false},      {"int4", true, 0, false, false},
    {"int4_asymmetric", true, 0, true, false},  {"int4_g32", true, 32, false, false},
    {"int4_g32_signed", true, 32, false, true}, {"int4_g32_asymmetric", true, 32, true, false},
    {"int4_g64", true, 64, false, false},       {"int4_g64_asymmetric", true, 64, true, true},
    {"int4_g128", true, 128, false, false},     {"int4_g128_asymmetric", true, 128, true, false},
};

struct Layer {
  std::size_t outputs, length;
  Layout layout;
  std::vector<std::int8_t> codes, zero_points;
  std::vector<float> scales, bias;

  std::size_t group_size() const {
    return layout.group_size == 0 ? std::max<std::size_t>(length, 1) : layout.group_size;
  }
  std::size_t groups() const { return (length + group_size() - 1) / group_size(); }

  LinearWeights weights() const {
    LinearWeights weights;
    weights.output_count = outputs;
    weights.row_length = length;
    weights.has_nibbles = layout.has_nibbles;
    weights.group_size = layout.group_size;
    weights.scales = scales.data();
    weights.zero_points = layout.has_zero_points ? zero_points.data() : nullptr;
    weights.bias = bias.empty() ? nullptr : bias.data();
    weights.codes = [this](std::size_t first, std::size_t) { return codes.data() + first * length; };
    return weights;
  }
};

inline std::int8_t any_code(std::mt19937& random, bool nibble) {
  return static_cast<std::int8_t>(nibble ? static_cast<int>(random() % 16) - 8
                                         : static_cast<int>(random() % 256) - 128);
}

inline Layer make_layer(std::size_t outputs, std::size_t length, const Layout& layout, bool has_bias, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Layer layer{outputs, length, layout, {}, {}, {}, {}};
  for (std::size_t i = 0; i < outputs * length; ++i) layer.codes.push_back(any_code(random, layout.has_nibbles));
  for (std::size_t i = 0; i < outputs * layer.groups(); ++i) {
    layer.zero_points.push_back(any_code(random, layout.has_nibbles));
    const float scale = 0.001f + std::abs(normal(random)) * 0.01f;
    layer.scales.push_back(layout.has_signed_scales && random() % 2 == 0 ? -scale : scale);
  }
  for (std::size_t i = 0; has_bias && i < outputs; ++i) layer.bias.push_back(normal(random));
  return layer;
}

inline std::vector<float> make_rows(std::size_t count, std::size_t length, unsigned seed, float shift = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> rows(count * length);
  for (float& value : rows) value = normal(random) + shift;
  return rows;
}

/// The product of a layer with rows, and how large its terms are, for how far float32 may be off.
struct Expected {
  std::vector<double> values, magnitudes;
};

struct CodedRow {
  double scale;
  std::int64_t zero_point;
  std::vector<std::int64_t> codes;
};

/// By the rule of KernelTable::quantize_rows for scales and zero points, and that of RowScale for codes.
inline CodedRow code_row(const float* row, std::size_t length, bool symmetric) {
  float low = 0, high = 0;
  for (std::size_t i = 0; i < length; ++i) {
    low = std::min(low, row[i]);
    high = std::max(high, row[i]);
  }
  CodedRow coded{1, 0, std::vector<std::int64_t>(length)};
  if (low == 0 && high == 0) return coded;
  const float scale = symmetric ? std::max(-low, high) / 127 : (high - low) / 255;
  if (!symmetric) coded.zero_point = std::clamp<std::int64_t>(std::lrint(-128 - low / scale), -128, 127);
  const float inverse = 1 / scale;
  for (std::size_t i = 0; i < length; ++i) {
    const std::int64_t code = std::lrint(row[i] * inverse) + coded.zero_point;
    coded.codes[i] = std::clamp<std::int64_t>(code, symmetric ? -127 : -128, 127);
  }
  coded.scale = scale;
  return coded;
}

inline Expected multiply(const Layer& layer, const std::vector<float>& rows, bool symmetric) {
  Expected expected;
  for (std::size_t row = 0; row < rows.size() / std::max<std::size_t>(layer.length, 1); ++row) {
    const CodedRow coded = code_row(rows.data() + row * layer.length, layer.length, symmetric);
    for (std::size_t output = 0; output < layer.outputs; ++output) {
      double value = 0, magnitude = 0;
      for (std::size_t i = 0; i < layer.length; ++i) {
        const std::size_t group = output * layer.groups() + i / layer.group_size();
        const int zero_point = layer.layout.has_zero_points ? layer.zero_points[group] : 0;
        const double weight = static_cast<double>(layer.codes[output * layer.length + i] - zero_point) *
                              static_cast<double>(layer.scales[group]);
        value += static_cast<double>(coded.codes[i] - coded.zero_point) * weight * coded.scale;
        magnitude += std::abs(static_cast<double>(coded.codes[i]) * weight * coded.scale) +
                     std::abs(static_cast<double>(coded.zero_point) * weight * coded.scale);
      }
      const double bias = layer.bias.empty() ? 0 : static_cast<double>(layer.bias[output]);
      expected.values.push_back(value + bias);
      expected.magnitudes.push_back(magnitude + std::abs(bias));
    }
  }
  return expected;
}

/// What a packed layer gives for float32 rows.
inline std::vector<float> run(const PackedLinear& linear, const std::vector<float>& rows, std::size_t count,
                              std::size_t threads = 1) {
  std::vector<float> out(count * linear.output_count(), -1);
  std::vector<std::byte> scratch(linear.scratch_bytes(count, threads));
  linear.run({rows.data(), DType::kF32, count, out.data(), DType::kF32}, threads, scratch.data(), scratch.size());
  return out;
}

}  // namespace mnq::linear::test
