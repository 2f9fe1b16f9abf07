#include "layouts/tables.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/float_conversions.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

bool is_small(DType dtype) { return dtype == DType::kU8 || dtype == DType::kF8E8M0 || dtype == DType::kF8E4M3; }

std::uint8_t (*nearest_small(DType dtype))(float) { return dtype == DType::kF8E4M3 ? nearest_e4m3 : nearest_e8m0; }

}  // namespace

void store_floats(std::span<const float> values, DType dtype, const PartWriter& out, std::size_t part) {
  if (values.empty()) return;
  if (is_small(dtype)) {
    std::vector<std::uint8_t> small(values.size());
    std::ranges::transform(values, small.begin(), nearest_small(dtype));
    return out.write(part, 0, small.data(), small.size());
  }
  if (dtype == DType::kF32) return out.write(part, 0, values.data(), values.size_bytes());
  std::vector<std::byte> stored(values.size() * dtype_bits(dtype) / 8);
  kernels::from_float32(kernels::kernel_table(), dtype, values.data(), values.size(), stored.data());
  out.write(part, 0, stored.data(), stored.size());
}

void store_piece_floats(const QuantizedSpec& spec, const CodedPiece& piece, const float* values, DType dtype,
                        const PartWriter& out, std::size_t part, LayoutBuffers& buffers) {
  if (values == nullptr) return;
  const std::uint64_t width = dtype_bits(dtype) / 8, count = piece.scale_count();
  const std::uint64_t first =
      piece.place.first_row * scale_shape(spec).groups + piece.place.first_column / piece.group_size;
  const void* stored = values;
  if (is_small(dtype)) {
    auto* small = buffers.stored.get<std::uint8_t>(count);
    const auto nearest = nearest_small(dtype);
    std::transform(values, values + count, small, [&](float value) { return nearest(value * piece.global_scale); });
    stored = small;
  } else if (dtype != DType::kF32) {
    auto* converted = buffers.stored.get<std::byte>(count * width);
    kernels::from_float32(kernels::kernel_table(), dtype, values, count, converted);
    stored = converted;
  }
  out.write(part, first * width, stored, count * width);
}

void store_two_levels(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, std::size_t scales,
                      std::size_t global_scale, LayoutBuffers& buffers) {
  if (piece.scales == nullptr) return;
  store_piece_floats(spec, piece, piece.scales, DType::kF8E4M3, out, scales, buffers);
  const bool is_first = piece.place.first_row == 0 && piece.place.first_column == 0;
  if (is_first) out.write(global_scale, 0, &piece.global_scale, sizeof piece.global_scale);
}

void store_two_levels(const ScaleTables& tables, float global_scale, const PartWriter& out, std::size_t scales,
                      std::size_t global_scale_part) {
  if (tables.scales.empty()) return;
  std::vector<float> first(tables.scales);
  for (float& scale : first) scale *= tables.global_scale;
  store_floats(first, DType::kF8E4M3, out, scales);
  out.write(global_scale_part, 0, &global_scale, sizeof global_scale);
}

ScaleTables load_two_levels(const PartReader& in, std::size_t scales, std::size_t global_scale) {
  ScaleTables tables{.scales = load_floats(in, scales), .global_scale = load_floats(in, global_scale).front()};
  for (float& scale : tables.scales) scale /= tables.global_scale;
  return tables;
}

void store_piece_floats_turned(const QuantizedSpec& spec, const CodedPiece& piece, const float* values, DType dtype,
                               const PartWriter& out, std::size_t part, LayoutBuffers& buffers) {
  if (values == nullptr) return;
  const std::uint64_t width = dtype_bits(dtype) / 8, rows = piece.place.row_count, groups = piece.groups();
  const std::uint64_t all_rows = scale_shape(spec).row_count, first = piece.place.first_column / piece.group_size;
  const std::vector<float> columns = turned(std::vector<float>(values, values + rows * groups), rows);
  for (std::uint64_t group = 0; group < groups; ++group) {
    auto* stored = buffers.stored.get<std::byte>(rows * width);
    kernels::from_float32(kernels::kernel_table(), dtype, columns.data() + group * rows, rows, stored);
    out.write(part, ((first + group) * all_rows + piece.place.first_row) * width, stored, rows * width);
  }
}

std::vector<float> load_floats(const PartReader& in, std::size_t part) {
  const TensorInfo& info = in.info(part);
  std::vector<float> values(element_count(info.shape));
  if (is_small(info.dtype)) {
    std::ranges::transform(load_bytes(in, part), values.begin(), [&](std::byte byte) {
      const auto code = std::to_integer<std::uint8_t>(byte);
      return info.dtype == DType::kF8E4M3 ? value_of_e4m3(code) : value_of_e8m0(code);
    });
  } else if (info.dtype == DType::kF32) {
    in.read(part, 0, std::as_writable_bytes(std::span(values)));
  } else {
    Buffer raw;
    const std::byte* stored = in.fetch(part, 0, info.size_bytes, raw);
    kernels::to_float32(kernels::kernel_table(), info.dtype, stored, values.size(), values.data());
  }
  return values;
}

std::vector<std::byte> load_bytes(const PartReader& in, std::size_t part) {
  std::vector<std::byte> bytes(in.info(part).size_bytes);
  in.read(part, 0, bytes);
  return bytes;
}

float value_of_e4m3(std::uint8_t code) { return kFloat8E4M3Scheme.book[code]; }

// Half to even: of a normal one in the bits of the float, of a denormal one in those of a sum whose last bit is its step.
std::uint8_t nearest_e4m3(float value) {
  constexpr std::uint32_t kDroppedBits = 20, kHalf = 1u << (kDroppedBits - 1), kLostExponent = (127 - 7) << 3;
  constexpr float kLeastNormal = 0x1p-6f, kDenormals = 0x1p14f, kLargest = 448;
  if (!(value > 0)) return 0;
  if (value < kLeastNormal) {
    return static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(value + kDenormals) -
                                     std::bit_cast<std::uint32_t>(kDenormals));
  }
  const auto bits = std::bit_cast<std::uint32_t>(std::min(value, kLargest));
  return static_cast<std::uint8_t>(((bits + kHalf - 1 + (bits >> kDroppedBits & 1)) >> kDroppedBits) - kLostExponent);
}

// The exponent of a float32; the lowest one is a denormal there, the highest one is NaN.
float value_of_e8m0(std::uint8_t code) {
  constexpr std::uint32_t kLowest = 0x00400000;
  if (code == 0xff) return std::numeric_limits<float>::quiet_NaN();
  return std::bit_cast<float>(code == 0 ? kLowest : static_cast<std::uint32_t>(code) << 23);
}

std::uint8_t nearest_e8m0(float value) {
  if (!(value > 0)) return 0;
  constexpr int kBias = 127;
  return static_cast<std::uint8_t>(std::clamp(static_cast<int>(std::lround(std::log2(value))) + kBias, 0, 254));
}

void store_group_order(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out, std::size_t part) {
  std::vector<std::uint32_t> group_of = tables.group_of_column;
  if (group_of.empty()) {
    group_of.resize(static_cast<std::size_t>(spec.shape[1]));
    const std::uint64_t size = spec.granularity == Granularity::kGroup ? spec.group_size : group_of.size();
    for (std::size_t i = 0; i < group_of.size(); ++i) group_of[i] = static_cast<std::uint32_t>(i / size);
  }
  out.write(part, 0, group_of.data(), group_of.size() * sizeof group_of[0]);
}

std::vector<std::uint32_t> load_group_order(const QuantizedSpec& spec, const PartReader& in, std::size_t part) {
  if (!spec.has_group_order) return {};
  std::vector<std::uint32_t> group_of(static_cast<std::size_t>(spec.shape[1]));
  in.read(part, 0, std::as_writable_bytes(std::span(group_of)));
  return group_of;
}

std::vector<std::byte> to_bytes(std::span<const std::int8_t> zero_points, std::uint8_t code_xor) {
  std::vector<std::byte> stored(zero_points.size());
  std::ranges::transform(zero_points, stored.begin(), [code_xor](std::int8_t zero_point) {
    return static_cast<std::byte>(static_cast<std::uint8_t>(zero_point) ^ code_xor);
  });
  return stored;
}

std::vector<std::int8_t> from_bytes(std::span<const std::byte> stored, std::uint8_t code_xor) {
  std::vector<std::int8_t> zero_points(stored.size());
  std::ranges::transform(stored, zero_points.begin(), [code_xor](std::byte byte) {
    return static_cast<std::int8_t>(std::to_integer<std::uint8_t>(byte) ^ code_xor);
  });
  return zero_points;
}

}  // namespace mnq
