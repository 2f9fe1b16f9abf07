#include "quantize/loop/weight_reader.h"

#include <algorithm>

#include "quantize/loop/blocks.h"

namespace mnq {

using kernels::kernel_table;

namespace {

// The scales of a piece that has them with it.
void add_scales(const Scheme& scheme, const CodedPiece& piece, std::vector<float>& all) {
  if (scheme.blocks == nullptr) {
    all.insert(all.end(), piece.scales, piece.scales + piece.scale_count());
    return;
  }
  const std::uint64_t count = piece.place.count() / scheme.blocks->elements, before = all.size();
  all.resize(before + count * scheme.blocks->groups);
  scheme.blocks->scales(piece.blocks, count, all.data() + before);
}

}  // namespace

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

WeightReader::WeightReader(const TensorSource& source, const LogicalTensor& tensor)
    : source_(source),
      tensor_(tensor),
      parts_(source, tensor.parts),
      rows_(row_view(tensor.shape, tensor.spec ? tensor.spec->channel_axis : 0)) {
  if (!is_coded()) return;
  scale_shape_ = scale_shape(*tensor.spec);
  if (tensor.stack_size > 0) {
    load_stacked_tables();
  } else if (tensor.layout->has_tables) {
    tables_ = tensor.layout->load_tables(*tensor.spec, parts_);
  }
}

CodedPiece WeightReader::load(const PiecePlace& place, LayoutBuffers& buffers) const {
  return tensor_.stack_size > 0 ? load_stacked(place, buffers)
                                : tensor_.layout->load(*tensor_.spec, parts_, place, buffers);
}

PartReader WeightReader::parts_of_matrix(std::uint64_t matrix) const {
  const std::size_t count = parts_.count() / tensor_.stack_size;
  return parts_.some(matrix * count, count);
}

void WeightReader::load_stacked_tables() {
  matrix_ = matrix_of_stack(*tensor_.spec);
  for (std::uint64_t i = 0; i < tensor_.stack_size; ++i) {
    const ScaleTables one = tensor_.layout->load_tables(matrix_, parts_of_matrix(i));
    tables_.scales.insert(tables_.scales.end(), one.scales.begin(), one.scales.end());
    tables_.zero_points.insert(tables_.zero_points.end(), one.zero_points.begin(), one.zero_points.end());
    tables_.minima.insert(tables_.minima.end(), one.minima.begin(), one.minima.end());
  }
}

// Rows may be those of several matrices.
CodedPiece WeightReader::load_stacked(const PiecePlace& place, LayoutBuffers& buffers) const {
  const auto matrix_rows = static_cast<std::uint64_t>(matrix_.shape[0]);
  auto* codes = buffers.joined.get<std::int8_t>(place.count());
  for (std::uint64_t done = 0; done < place.row_count;) {
    const std::uint64_t row = place.first_row + done;
    PiecePlace within = place;
    within.first_row = row % matrix_rows;
    within.row_count = std::min(matrix_rows - within.first_row, place.row_count - done);
    const CodedPiece piece = tensor_.layout->load(matrix_, parts_of_matrix(row / matrix_rows), within, buffers);
    std::copy_n(piece.codes, within.count(), codes + done * place.column_count);
    done += within.row_count;
  }
  return {.place = place, .codes = codes};
}

const float* WeightReader::read(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const {
  if (!is_coded()) return read_values(begin, count, buffers);
  if (!tensor_.layout->has_tables) return read_units(begin, count, buffers);
  auto* out = buffers.weights.get<float>(count);
  const std::uint64_t length = rows_.row_length;
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t row = (begin + done) / length, column = (begin + done) % length, left = count - done;
    if (column == 0 && left >= length) {
      const PiecePlace place{row, left / length, 0, length};
      decode_rows(place, buffers, out + done);
      done += place.count();
    } else {
      const PiecePlace place{row, 1, column, std::min(length - column, left)};
      decode_piece(place, buffers, out + done);
      done += place.count();
    }
  }
  return out;
}

const double* WeightReader::read_double(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const {
  if (is_double()) {
    const std::byte* bytes =
        fetch(source_, tensor_.parts.front(), begin * sizeof(double), count * sizeof(double), buffers.layout.raw);
    return reinterpret_cast<const double*>(bytes);
  }
  auto* to = buffers.doubles.get<double>(count);
  kernel_table().f32_to_f64(read(begin, count, buffers), count, to);
  return to;
}

const float* WeightReader::read_values(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const {
  const std::size_t stored = tensor_.parts.front();
  const DType dtype = source_.tensors()[stored].dtype;
  const std::uint64_t width = dtype_bits(dtype) / 8;
  const std::byte* values = fetch(source_, stored, begin * width, count * width, buffers.layout.raw);
  return to_float32(kernel_table(), dtype, values, count, buffers.weights);
}

// Whole units only can be had: rows consist of them.
const float* WeightReader::read_units(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const {
  const std::uint64_t unit = tensor_.layout->unit(*tensor_.spec);
  const std::uint64_t first = begin / unit * unit, all = ceil_div(begin + count, unit) * unit - first;
  const std::uint64_t length = rows_.row_length;
  auto* out = buffers.weights.get<float>(all);
  for (std::uint64_t done = 0; done < all;) {
    const std::uint64_t column = (first + done) % length, left = all - done;
    const bool is_whole = column == 0 && left >= length;
    const PiecePlace place{(first + done) / length, is_whole ? left / length : 1, column,
                           is_whole ? length : std::min(length - column, left)};
    decode(kernel_table(), scheme_of(*tensor_.spec), load(place, buffers.layout), out + done);
    done += place.count();
  }
  return out + (begin - first);
}

// Whole rows, where the scales of each follow those of the one before or are spread so.
void WeightReader::decode_rows(const PiecePlace& place, ReadBuffers& buffers, float* weights) const {
  CodedPiece piece = load(place, buffers.layout);
  piece.group_size = tensor_.spec->granularity == Granularity::kGroup ? tensor_.spec->group_size : place.column_count;
  if (!tables_.group_of_column.empty()) piece.group_size = 1;
  const bool has_own_scales = tables_.group_of_column.empty() && tensor_.spec->granularity != Granularity::kTensor &&
                              scale_shape_.group_rows == 1 && scale_shape_.row_count == rows_.row_count;
  if (has_own_scales) {
    const std::uint64_t first = place.first_row * scale_shape_.groups;
    piece.scales = tables_.scales.data() + first;
    if (!tables_.zero_points.empty()) piece.zero_points = tables_.zero_points.data() + first;
    if (!tables_.minima.empty()) piece.minima = tables_.minima.data() + first;
  } else {
    spread_scales(piece, buffers);
  }
  decode(kernel_table(), scheme_of(*tensor_.spec), piece, weights);
}

// Scales that rows share, for each row; of columns that do not follow each other in groups, for each column.
void WeightReader::spread_scales(CodedPiece& piece, ReadBuffers& buffers) const {
  if (!tables_.group_of_column.empty()) return spread_columns(piece, buffers);
  const std::uint64_t groups = scale_shape_.groups, count = piece.place.row_count * groups;
  auto* scales = buffers.scales.get<float>(2 * count);
  auto* zero_points = buffers.zero_points.get<std::int8_t>(count);
  for (std::uint64_t row = 0; row < piece.place.row_count; ++row) {
    const std::uint64_t from = scale_shape_.row_of(piece.place.first_row + row) * groups, to = row * groups;
    std::copy_n(tables_.scales.data() + from, groups, scales + to);
    if (!tables_.zero_points.empty()) std::copy_n(tables_.zero_points.data() + from, groups, zero_points + to);
    if (!tables_.minima.empty()) std::copy_n(tables_.minima.data() + from, groups, scales + count + to);
  }
  piece.scales = scales;
  if (!tables_.zero_points.empty()) piece.zero_points = zero_points;
  if (!tables_.minima.empty()) piece.minima = scales + count;
}

void WeightReader::spread_columns(CodedPiece& piece, ReadBuffers& buffers) const {
  const std::uint64_t columns = piece.place.column_count;
  auto* scales = buffers.scales.get<float>(piece.place.count());
  auto* zero_points = buffers.zero_points.get<std::int8_t>(piece.place.count());
  for (std::uint64_t row = 0; row < piece.place.row_count; ++row) {
    const std::uint64_t from = scale_shape_.row_of(piece.place.first_row + row) * scale_shape_.groups;
    const std::uint32_t* groups = tables_.group_of_column.data() + piece.place.first_column;
    for (std::uint64_t i = 0; i < columns; ++i) scales[row * columns + i] = tables_.scales[from + groups[i]];
    if (tables_.zero_points.empty()) continue;
    for (std::uint64_t i = 0; i < columns; ++i) zero_points[row * columns + i] = tables_.zero_points[from + groups[i]];
  }
  piece.scales = scales;
  if (!tables_.zero_points.empty()) piece.zero_points = zero_points;
}

// A piece of one row: it may start within a group.
void WeightReader::decode_piece(const PiecePlace& place, ReadBuffers& buffers, float* weights) const {
  if (!tables_.group_of_column.empty()) return decode_rows(place, buffers, weights);
  const CodedPiece whole = load(place, buffers.layout);
  const bool is_grouped = tensor_.spec->granularity == Granularity::kGroup;
  const std::uint64_t group_size = tensor_.spec->group_size;
  const std::uint64_t first_scale = scale_shape_.row_of(place.first_row) * scale_shape_.groups;
  for (std::uint64_t done = 0; done < place.column_count;) {
    const std::uint64_t at = place.first_column + done, left = place.column_count - done;
    const std::uint64_t count = is_grouped ? std::min(group_size - at % group_size, left) : left;
    const std::uint64_t scale = first_scale + (is_grouped ? at / group_size : 0);
    CodedPiece piece{.place = {place.first_row, 1, at, count},
                     .group_size = count,
                     .codes = whole.codes + done,
                     .scales = &tables_.scales[scale]};
    if (!tables_.zero_points.empty()) piece.zero_points = &tables_.zero_points[scale];
    if (!tables_.minima.empty()) piece.minima = &tables_.minima[scale];
    decode(kernel_table(), scheme_of(*tensor_.spec), piece, weights + done);
    done += count;
  }
}

std::vector<float> WeightReader::scales() const {
  if (!is_coded() || tensor_.layout->has_tables) return tables_.scales;
  std::vector<float> all;
  if (tensor_.layout->has_own_order) return all;  // each element may have one
  std::vector<Block> blocks;
  cut_rows(blocks, 0, rows_, tensor_.layout->unit(*tensor_.spec), 0);
  LayoutBuffers buffers;
  for (const Block& block : blocks) {
    const CodedPiece piece = load({block.first_row, block.row_count, block.first_column, block.column_count}, buffers);
    add_scales(scheme_of(*tensor_.spec), piece, all);
  }
  return all;
}

}  // namespace mnq
