// Any logical tensor as float32, a piece at a time: float tensors are converted, quantized ones are decoded.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/tensor_source.h"
#include "kernels/float_conversions.h"
#include "layouts/layout.h"

namespace mnq {

/// Converts `count` values of a float dtype to float32: into `converted`, or in place where they are float32 already.
const float* to_float32(const kernels::KernelTable& kernels, DType dtype, const std::byte* values, std::uint64_t count,
                        Buffer& converted);

/// The inverse; F32 stays where it is.
const std::byte* from_float32(const kernels::KernelTable& kernels, DType dtype, const float* values,
                              std::uint64_t count, Buffer& converted);

/// Memory for what is read of one tensor at a time.
struct ReadBuffers {
  LayoutBuffers layout;
  Buffer scales;       ///< of rows that share them
  Buffer zero_points;  ///< likewise
  Buffer weights;      ///< float32
  Buffer doubles;      ///< float64
};

/// Reads one logical tensor of a weight dtype. Holds its scales where they lie in tables, not its codes.
class WeightReader {
 public:
  /// Both must outlive it. Reads the tables of a quantized weight. Errors: kIo.
  WeightReader(const TensorSource& source, const LogicalTensor& tensor);

  /// Elements [begin, begin + count), flat; valid until the buffers are used again. Where begin lies inside a row, it
  /// is a multiple of 8 elements into it. From several threads, with buffers each. Errors: kIo.
  const float* read(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const;

  /// As read, in double precision: what float32 cannot hold stays as it is.
  const double* read_double(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const;

  /// The same as they are stored, of a dtype of 16 bits.
  const std::uint16_t* read_halves(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const {
    const std::byte* bytes = fetch(source_, tensor_.parts.front(), begin * 2, count * 2, buffers.layout.raw);
    return reinterpret_cast<const std::uint16_t*>(bytes);
  }

  /// Whether it is stored in floats of 16 bits.
  bool has_halves() const { return !is_coded() && (dtype() == DType::kF16 || dtype() == DType::kBF16); }

  /// Of what is stored of it first.
  DType dtype() const { return source_.tensors()[tensor_.parts.front()].dtype; }

  /// Whether read() rounds: the values are stored as F64.
  bool is_double() const { return dtype() == DType::kF64; }

  /// The codes of a piece as they are, with its scales where the layout keeps them together.
  CodedPiece load(const PiecePlace& place, LayoutBuffers& buffers) const;

  /// Empty where the layout has none.
  const ScaleTables& tables() const { return tables_; }

  /// Every scale of a quantized weight, in the order of the rows; none where they are elements' own. Errors: kIo.
  std::vector<float> scales() const;

 private:
  PartReader parts_of_matrix(std::uint64_t matrix) const;
  void load_stacked_tables();
  CodedPiece load_stacked(const PiecePlace& place, LayoutBuffers& buffers) const;
  bool is_coded() const { return tensor_.spec && mnq::is_coded(*tensor_.spec); }
  const float* read_values(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const;
  const float* read_units(std::uint64_t begin, std::uint64_t count, ReadBuffers& buffers) const;
  void decode_rows(const PiecePlace& place, ReadBuffers& buffers, float* weights) const;
  void decode_piece(const PiecePlace& place, ReadBuffers& buffers, float* weights) const;
  void spread_scales(CodedPiece& piece, ReadBuffers& buffers) const;
  void spread_columns(CodedPiece& piece, ReadBuffers& buffers) const;

  const TensorSource& source_;
  const LogicalTensor& tensor_;
  PartReader parts_;
  RowView rows_;
  QuantizedSpec matrix_;  ///< where matrices are stored one by one: one of them
  ScaleShape scale_shape_;
  ScaleTables tables_;
};

}  // namespace mnq
