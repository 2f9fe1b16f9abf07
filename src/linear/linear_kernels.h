// Products of rows of activations and prepacked weights, in integers, one row of a table an instruction set.
//
// As in kernels: serial, nothing allocated, nothing thrown, pointers and counts alone, and the same bits from every row
// of the table. Sums over a group are exact 32-bit integers, in any order; what is float is taken in this one:
//
//   sum[g]   = sum over the group of code * (weight - zero point), an integer
//   value    = 0, then for each group: value = fma(float(sum[g]), scale of the weights, value)
//   out      = fma(-zero point of the row, column sum, value) * scale of the row, + bias where there is one
//
// Where a row of activations has no codes because it is not finite, its scale is NaN, and so is all that comes out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mnq::linear {

/// Rows that are worked on together.
constexpr std::size_t kTileRows = 6;

/// Groups are of a multiple of so many elements but for the last one, which is filled up with codes of 0.
constexpr std::size_t kChunk = 32;

/// Prepacked weights: panels of `columns` outputs, the last one filled up. Weights are unsigned: a code less the lowest
/// one.
/// codes        8 bits: [panel][element / 4][column][4]; 4 bits: [panel][element / 8][column][4], where byte i holds
///              element i in its low half and element i + 4 in its high one
/// scales       [panel][group][column]
/// zero_points  [panel][group][column], as unsigned as the weights; null: all `plain_zero`
/// column_sums  [panel][column]: the scales times the sums of weight - zero point, group by group with fma
/// bias         [panel][column]; null: none
struct Panels {
  std::size_t output_count = 0;
  std::size_t columns = 64;
  std::size_t row_length = 0;  ///< filled up to a multiple of kChunk
  std::size_t group_size = 0;  ///< <= row_length unless that is 0
  std::size_t group_count = 0;
  bool has_nibbles = false;
  std::int32_t plain_zero = 0;
  const std::uint8_t* codes = nullptr;
  const float* scales = nullptr;
  const std::uint8_t* zero_points = nullptr;
  const float* column_sums = nullptr;
  const float* bias = nullptr;

  std::size_t panel_count() const { return (output_count + columns - 1) / columns; }
  std::size_t panel_bytes() const { return row_length * columns / (has_nibbles ? 2 : 1); }
  std::size_t group_length(std::size_t group) const {
    const std::size_t left = row_length - group * group_size;
    return left < group_size ? left : group_size;
  }
};

/// How a row of floats becomes codes: round_half_even(value * inverse) + zero point, saturated.
struct RowScale {
  float inverse;  ///< of the scale
  std::int32_t zero_point;
};

/// Rows of activations as a kernel arranged them.
/// codes        [row] of `stride` bytes each
/// offsets      [row][group]: the sum of the codes times what plain codes lack of zero; where there are zero points,
///              times -1
/// scales, zero_points   [row]
struct CodedRows {
  const std::uint8_t* codes = nullptr;
  std::size_t stride = 0;
  const std::int32_t* offsets = nullptr;
  const float* scales = nullptr;
  const float* zero_points = nullptr;
};

/// Where the product goes: [row][stride] float32, or what `narrow` makes of `count` of them.
struct Target {
  float* floats = nullptr;
  std::uint16_t* halves = nullptr;
  std::size_t stride = 0;
  void (*narrow)(const float* from, std::size_t count, std::uint16_t* to) = nullptr;
};

/// What one call works on.
struct Block {
  std::size_t first_panel, last_panel, first_row, last_row;  ///< the last ones are not of it
};

struct LinearKernel {
  const char* isa;
  const char* kernels;     ///< the table of kernels that MNQ_ISA forces it with
  std::size_t columns;     ///< of the panels that it takes
  std::size_t code_bytes;  ///< of an activation, as arrange writes it

  /// Quantizes a row.
  /// values   [count], count <= panels.row_length, finite; no product with the inverse is beyond 2^22
  /// codes    [panels.row_length * code_bytes], written; behind the values they are 0
  /// offsets  [panels.group_count], written: see CodedRows
  void (*arrange)(const Panels& panels, const float* values, std::size_t count, const RowScale& scale,
                  std::uint8_t* codes, std::int32_t* offsets);

  /// The block of the product.
  void (*multiply)(const Panels& panels, const CodedRows& rows, const Block& block, const Target& out);
};

}  // namespace mnq::linear
