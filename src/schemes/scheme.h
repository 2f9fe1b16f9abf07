// A scheme: what a code means. One file a scheme, one row each in scheme_table.cpp. Where codes, scales and zero points
// lie is a layout's (layouts/layout.h), how they are chosen a method's (methods/method.h).
//
// A weight is seen as rows (RowView). Codes are worked on one a byte, in pieces of rows (coded_piece.h). Nothing here
// reads files or knows threads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/quantized_weight.h"
#include "kernels/kernel_table.h"

namespace mnq {

/// The matrix of scales: [1, 1] per tensor, [channels, 1] per channel, [rows, groups] per group, [blocks of rows,
/// groups] where neighbouring rows share theirs. A stack has the channels, or blocks, of all its matrices: none spans
/// two of them.
struct ScaleShape {
  std::uint64_t row_count = 1;
  std::uint64_t groups = 1;
  std::uint64_t channel_count = 1;                ///< rows of scales of one matrix
  std::uint64_t matrix_rows = ~std::uint64_t{0};  ///< of the weight
  std::uint64_t group_rows = 1;                   ///< neighbours that share their scales

  /// Which row of scales a row of the weight has.
  std::uint64_t row_of(std::uint64_t weight_row) const {
    const std::uint64_t matrix = weight_row / matrix_rows, row = weight_row % matrix_rows;
    return matrix * channel_count + (group_rows > 1 ? row / group_rows : row % channel_count);
  }

  /// The first row of the weight that has this row of scales.
  std::uint64_t first_row_of(std::uint64_t scale_row) const {
    return scale_row / channel_count * matrix_rows + scale_row % channel_count * group_rows;
  }
  std::uint64_t count() const { return row_count * groups; }
};
ScaleShape scale_shape(const QuantizedSpec& spec);

/// The same as a shape.
Shape scale_matrix(const QuantizedSpec& spec);

/// Blocks that only their scheme can take apart: super-blocks with scales of scales, or codes from books of vectors. A
/// layout stores them as they are.
struct OwnBlocks {
  std::uint64_t elements = 0;  ///< consecutive ones of a row
  std::uint64_t bytes = 0;
  std::uint64_t groups = 0;  ///< that have a scale of their own

  /// blocks [block_count * bytes] to weights [block_count * elements].
  void (*decode)(const std::byte* blocks, std::uint64_t block_count, float* weights) = nullptr;

  /// Scales [block_count * groups], as an integer code would have them.
  void (*scales)(const std::byte* blocks, std::uint64_t block_count, float* scales) = nullptr;
};

struct SchemeScript;  // decode_in_torchscript.h

struct Scheme {
  std::string_view name;                 ///< the value of the config key dtype: "qint8"
  std::string_view text;                 ///< in reports: "int8"
  std::int32_t bits = 8;                 ///< of a code; of a cast: of a value
  bool may_be_chosen = true;             ///< false: only what files have
  bool is_taken_as_floats = false;       ///< models are published in it: quantize takes it as it takes floats
  bool is_cast = false;                  ///< to another float dtype: no codes, no scales, nothing to choose
  DType cast_dtype = DType::kF16;        ///< of casts
  bool is_default_of_bits = false;       ///< the config key bits with this number means it
  std::string_view narrows = "";         ///< the scheme that becomes this one with its bits
  bool symmetric_default = true;         ///< these three where the config does not say
  std::uint64_t group_size_default = 0;  ///< 0: per channel
  std::uint64_t min_parameters_default = 0;
  bool has_fixed_groups = false;    ///< groups have no other size than the default
  DType scale_dtype = DType::kF32;  ///< of scales that are chosen
  bool has_global_scale = false;    ///< scales are floats of 8 bits, E4M3, divided by one float32 for the whole tensor
  bool may_be_per_tensor = true;    ///< one scale for the whole tensor
  bool may_be_in_blocks = false;    ///< one scale for each block of rows and columns
  bool needs_first_axis = false;    ///< its channels are the first axis of each matrix: codes lie in words of a row
  bool skips_sensitive_layers = false;  ///< embeddings and lm_head stay as they are unless selected

  /// Integers: codes lie in [code_min, code_max]; `symmetric` is the spec's. Unused by the other kinds.
  kernels::CodeRule rule{};

  DType code_dtype = DType::kI8;        ///< of tensors with a code in each byte
  bool has_minima = false;              ///< weight = (code - code_min) * scale + minimum, in place of a zero point
  bool always_has_zero_points = false;  ///< readers need them even where all are the same

  const float* book = nullptr;                 ///< [2^bits] what codes stand for, times their scale; null: the integers
  const kernels::FloatRule* floats = nullptr;  ///< where the book is that of floats: how weights become codes
  const kernels::BookRule* values = nullptr;   ///< where it is of 16 other values, likewise
  float widest_step = 1;              ///< between neighbouring codes, in scales: a code loses at most half of it
  const OwnBlocks* blocks = nullptr;  ///< in place of codes and scales; null: none

  const SchemeScript* torchscript = nullptr;  ///< how modules decode it; null: they cannot hold it
};

/// "int8 per channel", "int4 group 128 asymmetric", "float16": what reports call a spec.
std::string scheme_text(const QuantizedSpec& spec);

/// The rule of an integer scheme as this spec uses it.
kernels::CodeRule code_rule(const Scheme& scheme, const QuantizedSpec& spec);

/// The rule of a scheme of floats, likewise.
kernels::FloatRule float_rule(const Scheme& scheme, const QuantizedSpec& spec);

/// Whether weights can become codes of a book.
bool has_book_codes(const Scheme& scheme);

/// Whether codes are integers, which can move from one layout into another, or be made anew without surprise.
bool has_integer_codes(const QuantizedSpec& spec);

/// Bits of a code: for people, who compare sizes.
std::int32_t code_bits(const QuantizedSpec& spec);

/// Whether a weight of this spec has zero points of its own.
bool has_zero_points(const QuantizedSpec& spec);

/// Whether it is a weight with codes, and no cast.
bool is_coded(const QuantizedSpec& spec);

/// All schemes. To add one: a file beside this one and a row in scheme_table.cpp.
std::span<const Scheme* const> all_schemes();

/// The scheme of that name; null where there is none.
const Scheme* find_scheme(std::string_view name);

/// The scheme that a number of bits alone means; null where there is none.
const Scheme* find_scheme_of_bits(std::int64_t bits);

/// What a scheme becomes with fewer bits: int4 for int8 with 4. Null where there is none.
const Scheme* find_narrower_scheme(const Scheme& scheme, std::int64_t bits);

/// The scheme where the settings say nothing.
const Scheme& default_scheme();

/// For people and settings: the names that may be chosen ("qint8,quint8"), the numbers of bits ("4,8,16"), a default of
/// each ("128 for qint4, 0 for others"), and which bits go with which ("8 bits go with qint8 or quint8; ...").
std::string list_chosen_schemes();
std::string list_code_bits();
std::string list_by_default(const std::function<std::string(const Scheme&)>& value_of);
std::string bits_advice();
std::string bits_text(const Scheme& scheme);
bool has_bits(const Scheme& scheme, std::int64_t bits);

/// The cast to float16, which formats fall back to.
const Scheme& half_cast_scheme();

/// As find_scheme, for a name that was checked when it came in. Throws kInternal otherwise.
const Scheme& scheme_of(const QuantizedSpec& spec);

}  // namespace mnq
