// A method: how scales and codes of a weight are chosen. One file a method, one row each in method_table.cpp. A method
// is given pieces whose groups are whole, and sees nothing but their weights; where a scale spans pieces (one for the
// whole tensor, rows in pieces, channels on another axis) ranges are taken first, and only minmax can make scales of
// ranges.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "schemes/coded_piece.h"

namespace mnq {

/// Memory for what a method makes of one piece.
struct MethodBuffers {
  Buffer codes;                          ///< one a byte
  Buffer scales;                         ///< float32, and minima behind them
  Buffer zero_points;                    ///< one a byte
  Buffer row;                            ///< float32: of weights that are read as they are
  std::vector<kernels::ErrorSums> sums;  ///< of each row, where the method took them in passing; else empty
  bool packs_nibbles = false;            ///< given: codes of 4 bits may come as CodedPiece::nibbles
  float global_scale = 1;                ///< given: what all scales are divided by where they are stored in two levels
};

/// What became of a piece: its codes, or the element of the piece that cannot be coded.
struct Coded {
  CodedPiece piece;
  std::optional<std::uint64_t> bad_element;
};

struct Method {
  std::string_view name;  ///< a value of the config key `method`
  std::string_view text;  ///< for people

  /// Whether it can choose for this spec, whose scales lie within pieces.
  bool (*fits)(const QuantizedSpec& spec) = nullptr;

  /// weights [place.count()]. What it gives lies in the buffers.
  Coded (*code)(const QuantizedSpec& spec, const float* weights, const PiecePlace& place,
                MethodBuffers& buffers) = nullptr;

  /// The same of weights in a dtype of 16 bits, without making floats of all of them first. Null: it cannot.
  bool (*fits_halves)(const QuantizedSpec& spec) = nullptr;
  Coded (*code_halves)(const QuantizedSpec& spec, DType dtype, const std::uint16_t* weights, const PiecePlace& place,
                       MethodBuffers& buffers) = nullptr;

  bool makes_free_scales = false;  ///< scales may come out as 0 or negative
};

extern const Method kMinmaxMethod;  // minmax.cpp
extern const Method kSearchMethod;  // search.cpp
extern const Method kGgmlMethod;    // ggml.cpp: in place of minmax, of what goes into GGUF

/// Whether a search may choose scales below 0 for this spec.
bool may_have_free_scales(const QuantizedSpec& spec);

/// The method of that name; null where there is none.
const Method* find_method(std::string_view name);

/// The one for a scheme where the settings name none: a search where codes are few.
const Method& default_method(const Scheme& scheme);

std::span<const Method* const> all_methods();

/// Longer rows come in pieces.
inline constexpr std::uint64_t kMostPieceColumns = 1u << 20;

/// Whether the scales of a piece lie within it, so that a method can choose them.
bool has_scales_in_pieces(const QuantizedSpec& spec);

/// Whether something of the whole weight must be known before its pieces are coded: the ranges of its scales, or the
/// range of all, which its global scale follows.
bool needs_survey(const QuantizedSpec& spec);

/// Columns that share a scale in a piece of this spec.
std::uint64_t group_size_in(const QuantizedSpec& spec, const PiecePlace& place);

/// A value as it is stored in a dtype.
float round_to(DType dtype, float value);

/// A scale as it is stored: rounded to the spec's dtype, and never to 0 unless it is 0. Those of 8 bits are chosen
/// among what can be stored (book_scales.h).
float round_scale(const QuantizedSpec& spec, float scale);

/// Codes of a run with a scale that is known. One element of `sums` is added where they
/// were taken in passing.
void code_run(const QuantizedSpec& spec, const float* weights, std::uint64_t count, float scale, std::int8_t zero_point,
              std::int8_t* codes, std::vector<kernels::ErrorSums>& sums);

/// Whether codes come as nibbles: where they may, and rows and groups are of whole words.
bool packs_nibbles(const QuantizedSpec& spec, const PiecePlace& place, const MethodBuffers& buffers);

/// The scale and zero point of a range, by minmax's rule, as they are stored. The scale is not finite where it cannot
/// be.
struct ScaleOfRange {
  float scale = 1;
  std::int8_t zero_point = 0;
};
ScaleOfRange scale_of_range(const QuantizedSpec& spec, const kernels::Range& range);

}  // namespace mnq
