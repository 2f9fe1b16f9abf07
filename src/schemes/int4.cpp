// int4: codes -8..7, eight to a 32-bit word as compressed-tensors packs them, a scale for each group of consecutive input
// elements. A symmetric scale is max|w| / 7.5, as there: where the largest is positive it is cut by half a step, and all
// others gain 0.5 dB over max|w| / 7.
// A row is what lies behind one index of the first axis.
//   X_packed      I32 [rows, ceil(row_length / 8)], code + 8 in each nibble, low nibble first, unused nibbles 0
//   X_scale       F32 [rows, groups]
//   X_shape       I64 [rank], the weight's shape
//   X_zero_point  I32 [ceil(rows / 8), groups], zero point + 8, packed along the rows; asymmetric only
#include <cstring>

#include "schemes/byte_codes.h"
#include "schemes/packed_codes.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::uint64_t kCodesPerWord = 8;
constexpr std::int32_t kOffset = 8;

std::int64_t word_count(std::uint64_t codes) { return static_cast<std::int64_t>(ceil_div(codes, kCodesPerWord)); }

std::vector<StoredPart> int4_parts(const QuantizedSpec& spec) {
  std::vector<StoredPart> parts = packed_parts(spec);
  const ScaleShape scales = scale_shape(spec);
  if (!spec.symmetric) {
    parts.push_back({PartRole::kZeroPoint,
                     "_zero_point",
                     DType::kI32,
                     {word_count(scales.row_count), static_cast<std::int64_t>(scales.groups)}});
  }
  return parts;
}

// Byte and shift of the nibble of (row, group): words are little-endian, so byte k of a word holds rows 2k and 2k + 1.
struct NibblePlace {
  std::uint64_t byte;
  unsigned shift;
};
NibblePlace zero_point_place(ScaleShape shape, std::uint64_t row, std::uint64_t group) {
  const std::uint64_t word = row / kCodesPerWord * shape.groups + group;
  return {word * sizeof(std::uint32_t) + row % kCodesPerWord / 2, static_cast<unsigned>(row % 2 * 4)};
}

std::vector<std::byte> store_zero_points(std::span<const std::int8_t> zero_points, ScaleShape shape) {
  std::vector<std::byte> stored(ceil_div(shape.row_count, kCodesPerWord) * shape.groups * sizeof(std::uint32_t));
  for (std::uint64_t row = 0; row < shape.row_count; ++row) {
    for (std::uint64_t group = 0; group < shape.groups; ++group) {
      const NibblePlace place = zero_point_place(shape, row, group);
      stored[place.byte] |= static_cast<std::byte>((zero_points[row * shape.groups + group] + kOffset) << place.shift);
    }
  }
  return stored;
}

std::int8_t load_zero_point(std::span<const std::byte> stored, ScaleShape shape, std::uint64_t row,
                            std::uint64_t group) {
  const NibblePlace place = zero_point_place(shape, row, group);
  const int nibble = std::to_integer<int>(stored[place.byte]) >> place.shift & 0xF;
  return static_cast<std::int8_t>(nibble - kOffset);
}

}  // namespace

std::uint64_t packed_bytes(std::uint64_t count) { return ceil_div(count, kCodesPerWord) * sizeof(std::uint32_t); }

void pack_rows(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t row_count,
               std::uint64_t count, std::byte* stored) {
  const std::uint64_t row_bytes = packed_bytes(count);
  const std::uint64_t used_bytes = ceil_div(count, 2);
  for (std::uint64_t row = 0; row < row_count; ++row, codes += count, stored += row_bytes) {
    kernels.pack_int4(codes, count, reinterpret_cast<std::uint8_t*>(stored));
    std::memset(stored + used_bytes, 0, row_bytes - used_bytes);
  }
}

void unpack_rows(const kernels::KernelTable& kernels, const std::byte* stored, std::uint64_t row_count,
                 std::uint64_t count, std::int8_t* codes) {
  const std::uint64_t row_bytes = packed_bytes(count);
  for (std::uint64_t row = 0; row < row_count; ++row, codes += count, stored += row_bytes) {
    kernels.unpack_int4(reinterpret_cast<const std::uint8_t*>(stored), count, codes);
  }
}

std::vector<StoredPart> packed_parts(const QuantizedSpec& spec) {
  const RowView rows = row_view(spec.shape, spec.channel_axis);
  return {
      {PartRole::kCodes,
       "_packed",
       DType::kI32,
       {static_cast<std::int64_t>(rows.row_count), word_count(rows.row_length)}},
      {PartRole::kScale, "_scale", DType::kF32, scale_matrix(spec)},
      {PartRole::kShape, "_shape", DType::kI64, {static_cast<std::int64_t>(spec.shape.size())}},
  };
}

const Scheme kInt4Scheme{
    .name = "qint4",
    .text = "int4",
    .bits = 4,
    .group_size_default = 128,
    .min_parameters_default = 512,
    .may_be_per_tensor = false,
    .skips_sensitive_layers = true,
    .rule = {.code_min = -8, .code_max = 7, .symmetric = true, .code_xor = 0, .symmetric_divisor = 7.5f},
    .parts = int4_parts,
    .code_bytes = packed_bytes,
    .pack = pack_rows,
    .unpack = unpack_rows,
    .store_zero_points = store_zero_points,
    .load_zero_point = load_zero_point,
};

}  // namespace mnq
