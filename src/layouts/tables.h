// What layouts with tables share: scales and zero points as whole tensors, and those of one piece.
#pragma once

#include <span>
#include <vector>

#include "layouts/layout.h"

namespace mnq {

/// Writes a table as values of `dtype`, be it one of 8 bits; nothing where it is empty.
void store_floats(std::span<const float> values, DType dtype, const PartWriter& out, std::size_t part);

/// Writes the scales or minima of a piece of groups or whole rows into their table; nothing where `values` is null.
/// Scales of 8 bits are those of the first level.
void store_piece_floats(const QuantizedSpec& spec, const CodedPiece& piece, const float* values, DType dtype,
                        const PartWriter& out, std::size_t part, LayoutBuffers& buffers);

/// Scales in two levels, E4M3 and a float32 that they are divided by: of a piece, the second level with the first
/// piece; and whole tables of them. Nothing where there are no scales.
void store_two_levels(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, std::size_t scales,
                      std::size_t global_scale, LayoutBuffers& buffers);
void store_two_levels(const ScaleTables& tables, float global_scale, const PartWriter& out, std::size_t scales,
                      std::size_t global_scale_part);

/// What two levels of scales stand for. Errors: kIo.
ScaleTables load_two_levels(const PartReader& in, std::size_t scales, std::size_t global_scale);

/// store_piece_floats into a table that is stored the other way round, [groups, rows].
void store_piece_floats_turned(const QuantizedSpec& spec, const CodedPiece& piece, const float* values, DType dtype,
                               const PartWriter& out, std::size_t part, LayoutBuffers& buffers);

/// Of [rows, columns] as [columns, rows].
template <class Value>
std::vector<Value> turned(const std::vector<Value>& values, std::uint64_t row_count) {
  std::vector<Value> result(values.size());
  const std::uint64_t column_count = row_count == 0 ? 0 : values.size() / row_count;
  for (std::uint64_t i = 0; i < values.size(); ++i) result[i % column_count * row_count + i / column_count] = values[i];
  return result;
}

/// A whole part as float32, whatever float dtype it has; bytes are E8M0.
std::vector<float> load_floats(const PartReader& in, std::size_t part);

std::vector<std::byte> load_bytes(const PartReader& in, std::size_t part);

/// Which group each column is of, I32 [columns]: as a weight has it, else one group after the other.
void store_group_order(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out, std::size_t part);

/// Checked when the file was opened. Empty where the columns of a group follow each other. Errors: kIo.
std::vector<std::uint32_t> load_group_order(const QuantizedSpec& spec, const PartReader& in, std::size_t part);

/// Scales that are floats of 8 bits, E4M3, or powers of two, E8M0: what codes stand for, and the code that is nearest,
/// the even one of two.
float value_of_e4m3(std::uint8_t code);
std::uint8_t nearest_e4m3(float value);
float value_of_e8m0(std::uint8_t code);
std::uint8_t nearest_e8m0(float value);

/// Zero points as bytes, and back.
std::vector<std::byte> to_bytes(std::span<const std::int8_t> zero_points, std::uint8_t code_xor);
std::vector<std::int8_t> from_bytes(std::span<const std::byte> stored, std::uint8_t code_xor);

}  // namespace mnq
