#include "quantize/weight_reader.h"

#include <algorithm>
#include <cstring>

#include "schemes/scheme.h"

namespace mnq {
namespace {

std::vector<std::byte> read_all(const TensorSource& source, std::size_t stored) {
  std::vector<std::byte> bytes(source.tensors()[stored].size_bytes);
  source.read(stored, 0, bytes);
  return bytes;
}

}  // namespace

const std::byte* fetch(const TensorSource& source, std::size_t stored, std::uint64_t offset, std::uint64_t size,
                       Buffer& buffer) {
  const auto view = source.view(stored);
  if (view != nullptr) {
    const std::byte* bytes = view.get() + offset;
    const std::uint64_t alignment = std::max<std::uint64_t>(1, dtype_bits(source.tensors()[stored].dtype) / 8);
    if (reinterpret_cast<std::uintptr_t>(bytes) % alignment == 0) return bytes;
  }
  auto* bytes = buffer.get<std::byte>(size);
  source.read(stored, offset, {bytes, size});
  return bytes;
}

const float* to_float32(const kernels::KernelTable& kernels, DType dtype, const std::byte* values, std::uint64_t count,
                        Buffer& converted) {
  if (dtype == DType::kF32) return reinterpret_cast<const float*>(values);
  auto* to = converted.get<float>(count);
  kernels::to_float32(kernels, dtype, values, count, to);
  return to;
}

const std::byte* from_float32(const kernels::KernelTable& kernels, DType dtype, const float* values,
                              std::uint64_t count, Buffer& converted) {
  if (dtype == DType::kF32) return reinterpret_cast<const std::byte*>(values);
  auto* to = converted.get<std::byte>(count * dtype_bits(dtype) / 8);
  kernels::from_float32(kernels, dtype, values, count, to);
  return to;
}

void decode_groups(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t count,
                   std::uint64_t group_size, const float* scales, const float* minima, float* weights) {
  if (minima == nullptr) return kernels.dequantize_rows(codes, 1, count, group_size, 0, scales, nullptr, weights);
  constexpr std::int8_t kLowest = -8;
  for (std::uint64_t at = 0; at < count; at += group_size, ++scales, ++minima) {
    const std::uint64_t size = std::min(group_size, count - at);
    kernels.dequantize_rows(codes + at, 1, size, size, 0, scales, &kLowest, weights + at);
    for (std::uint64_t i = at; i < at + size; ++i) weights[i] += *minima;
  }
}

WeightReader::WeightReader(const TensorSource& source, const LogicalTensor& tensor) : source_(source), tensor_(tensor) {
  rows_ = row_view(tensor.shape, tensor.spec ? tensor.spec->channel_axis : 0);
  if (!tensor.spec || scheme_of(*tensor.spec).is_cast) return;
  const Scheme& scheme = scheme_of(*tensor.spec);
  scale_shape_ = scale_shape(*tensor.spec);
  const std::vector<StoredPart> parts = scheme.parts(*tensor.spec);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].role == PartRole::kScale) {
      scales_.resize(scale_shape_.row_count * scale_shape_.groups);
      source.read(tensor.parts[i], 0, std::as_writable_bytes(std::span(scales_)));
    }
    if (parts[i].role == PartRole::kMinimum) {
      minima_.resize(scales_.size());
      source.read(tensor.parts[i], 0, std::as_writable_bytes(std::span(minima_)));
    }
    if (parts[i].role == PartRole::kZeroPoint) {
      const std::vector<std::byte> stored = read_all(source, tensor.parts[i]);
      for (std::uint64_t row = 0; row < scale_shape_.row_count; ++row) {
        for (std::uint64_t group = 0; group < scale_shape_.groups; ++group) {
          zero_points_.push_back(scheme.load_zero_point(stored, scale_shape_, row, group));
        }
      }
    }
  }
}

const float* WeightReader::read(const kernels::KernelTable& kernels, std::uint64_t begin, std::uint64_t count,
                                Buffer& raw, Buffer& codes_buffer, Buffer& weights) const {
  const std::size_t stored = tensor_.parts.front();
  if (!tensor_.spec || scheme_of(*tensor_.spec).is_cast) {
    const DType dtype = source_.tensors()[stored].dtype;
    const std::uint64_t width = dtype_bits(dtype) / 8;
    return to_float32(kernels, dtype, fetch(source_, stored, begin * width, count * width, raw), count, weights);
  }
  const Scheme& scheme = scheme_of(*tensor_.spec);
  const std::uint64_t row = begin / rows_.row_length;
  const std::uint64_t column = begin % rows_.row_length;
  const bool whole_rows = column == 0 && count % rows_.row_length == 0;
  auto* out = weights.get<float>(count);
  const std::byte* bytes = nullptr;
  if (scheme.unpack == nullptr) {
    bytes = fetch(source_, stored, begin, count, raw);
  } else {
    const std::uint64_t offset = row * scheme.code_bytes(rows_.row_length) + scheme.code_bytes(column);
    const std::uint64_t row_count = whole_rows ? count / rows_.row_length : 1;
    const std::uint64_t row_bytes = scheme.code_bytes(whole_rows ? rows_.row_length : count);
    auto* unpacked = codes_buffer.get<std::int8_t>(count);
    scheme.unpack(kernels, fetch(source_, stored, offset, row_count * row_bytes, raw), row_count, count / row_count,
                  unpacked);
    bytes = reinterpret_cast<const std::byte*>(unpacked);
  }
  const auto* codes = reinterpret_cast<const std::int8_t*>(bytes);
  if (whole_rows) {
    decode_rows(kernels, codes, row, count / rows_.row_length, out);
    return out;
  }
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t at = begin + done;
    const std::uint64_t piece = std::min(rows_.row_length - at % rows_.row_length, count - done);
    decode_piece(kernels, codes + done, at / rows_.row_length, at % rows_.row_length, piece, out + done);
    done += piece;
  }
  return out;
}

const double* WeightReader::read_double(const kernels::KernelTable& kernels, std::uint64_t begin, std::uint64_t count,
                                        Buffer& raw, Buffer& codes, Buffer& weights, Buffer& doubles) const {
  if (is_double()) {
    const std::byte* bytes = fetch(source_, tensor_.parts.front(), begin * sizeof(double), count * sizeof(double), raw);
    return reinterpret_cast<const double*>(bytes);
  }
  auto* to = doubles.get<double>(count);
  kernels.f32_to_f64(read(kernels, begin, count, raw, codes, weights), count, to);
  return to;
}

void WeightReader::decode_rows(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t first_row,
                               std::uint64_t row_count, float* weights) const {
  const QuantizedSpec& spec = *tensor_.spec;
  const std::uint64_t length = rows_.row_length;
  if (length == 1 && spec.granularity == Granularity::kChannel) {
    return decode_numbers(codes, first_row, row_count, weights);
  }
  const bool one_scale_row_each = spec.granularity != Granularity::kTensor && scale_shape_.row_count == rows_.row_count;
  if (!one_scale_row_each || !minima_.empty()) {
    for (std::uint64_t i = 0; i < row_count; ++i) {
      decode_piece(kernels, codes + i * length, first_row + i, 0, length, weights + i * length);
    }
    return;
  }
  const std::uint64_t group_size = spec.granularity == Granularity::kGroup ? spec.group_size : length;
  const std::uint64_t first_scale = first_row * scale_shape_.groups;
  kernels.dequantize_rows(codes, row_count, length, group_size, scheme_of(spec).rule.code_xor, &scales_[first_scale],
                          zero_points_.empty() ? nullptr : &zero_points_[first_scale], weights);
}

// Rows of one number each: neighbours have other scales.
void WeightReader::decode_numbers(const std::int8_t* codes, std::uint64_t first_row, std::uint64_t row_count,
                                  float* weights) const {
  const std::uint8_t code_xor = scheme_of(*tensor_.spec).rule.code_xor;
  const std::uint64_t channels = scale_shape_.channel_count;
  for (std::uint64_t done = 0; done < row_count;) {
    const std::uint64_t row = first_row + done, scale = scale_shape_.row_of(row);
    const std::uint64_t count = std::min(channels - row % channels, row_count - done);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto code = static_cast<std::int8_t>(static_cast<std::uint8_t>(codes[done + i]) ^ code_xor);
      const int zero_point = zero_points_.empty() ? 0 : zero_points_[scale + i];
      weights[done + i] = static_cast<float>(code - zero_point) * scales_[scale + i];
    }
    done += count;
  }
}

void WeightReader::decode_piece(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t row,
                                std::uint64_t column, std::uint64_t count, float* weights) const {
  const QuantizedSpec& spec = *tensor_.spec;
  const bool grouped = spec.granularity == Granularity::kGroup;
  const std::uint64_t scale_row = scale_shape_.row_of(row);
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t at = column + done;
    const std::uint64_t piece = grouped ? std::min(spec.group_size - at % spec.group_size, count - done) : count;
    const std::uint64_t scale = scale_row * scale_shape_.groups + (grouped ? at / spec.group_size : 0);
    if (!minima_.empty()) {
      decode_groups(kernels, codes + done, piece, piece, &scales_[scale], &minima_[scale], weights + done);
      done += piece;
      continue;
    }
    kernels.dequantize_rows(codes + done, 1, piece, piece, scheme_of(spec).rule.code_xor, &scales_[scale],
                            zero_points_.empty() ? nullptr : &zero_points_[scale], weights + done);
    done += piece;
  }
}

}  // namespace mnq
