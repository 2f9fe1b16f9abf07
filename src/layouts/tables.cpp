#include "layouts/tables.h"

#include <algorithm>

#include "kernels/float_conversions.h"

namespace mnq {

void store_floats(std::span<const float> values, DType dtype, const PartWriter& out, std::size_t part) {
  if (values.empty()) return;
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
  if (dtype != DType::kF32) {
    auto* converted = buffers.stored.get<std::byte>(count * width);
    kernels::from_float32(kernels::kernel_table(), dtype, values, count, converted);
    stored = converted;
  }
  out.write(part, first * width, stored, count * width);
}

std::vector<float> load_floats(const PartReader& in, std::size_t part) {
  const TensorInfo& info = in.info(part);
  std::vector<float> values(element_count(info.shape));
  if (info.dtype == DType::kF32) {
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
