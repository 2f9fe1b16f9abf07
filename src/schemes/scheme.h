// A scheme: how floats become codes, and how codes, scales and zero points are stored. One file a scheme, one row each
// in scheme_table.cpp.
//
// A weight is seen as rows (RowView). The loop hands out rows, or pieces of a long row, as float32; kernels make the
// codes one a byte; a scheme says by which rule, and what is stored of them. Nothing here reads files or knows threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/quantized_weight.h"
#include "kernels/kernel_table.h"

namespace mnq {

enum class PartRole { kCodes, kScale, kZeroPoint, kShape, kMinimum };

/// One stored tensor of a quantized weight X: its name is X + suffix.
struct StoredPart {
  PartRole role = PartRole::kCodes;
  std::string_view suffix;
  DType dtype = DType::kI8;
  Shape shape;
  Shape former_shape = {};  ///< in files of earlier versions, the same values in the same order; empty: as now
};

/// The matrix of scales: [1, 1] per tensor, [channels, 1] per channel, [rows, groups] per group. The channels of a stack
/// are those of all its matrices.
struct ScaleShape {
  std::uint64_t row_count = 1;
  std::uint64_t groups = 1;
  std::uint64_t channel_count = 1;                ///< of one matrix
  std::uint64_t matrix_rows = ~std::uint64_t{0};  ///< of the weight

  /// Which row of scales a row of the weight has.
  std::uint64_t row_of(std::uint64_t weight_row) const {
    return weight_row / matrix_rows * channel_count + weight_row % channel_count;
  }
};
ScaleShape scale_shape(const QuantizedSpec& spec);

/// The same as a shape.
Shape scale_matrix(const QuantizedSpec& spec);

struct Scheme {
  std::string_view name;  ///< the value of the config key dtype: "qint8"
  std::string_view text;  ///< in reports: "int8"
  std::int32_t bits = 8;
  bool may_be_chosen = true;             ///< false: only what files have
  bool is_cast = false;                  ///< to another float dtype: no codes, no scales, nothing to choose
  bool symmetric_default = true;         ///< these three where the config does not say
  std::uint64_t group_size_default = 0;  ///< 0: per channel
  std::uint64_t min_parameters_default = 0;
  bool may_be_per_tensor = true;        ///< one scale for the whole tensor
  bool skips_sensitive_layers = false;  ///< embeddings and lm_head stay as they are unless selected

  /// Codes lie in [code_min, code_max]; `symmetric` is the spec's. Unused by casts.
  kernels::CodeRule rule{};

  /// What is stored of a weight, codes first.
  std::vector<StoredPart> (*parts)(const QuantizedSpec& spec) = nullptr;

  /// Bytes of `count` consecutive codes of a row, where the first one starts a byte. For a cast: of values.
  std::uint64_t (*code_bytes)(std::uint64_t count) = nullptr;

  /// Codes [row_count, count], one a byte, to stored bytes, code_bytes(count) a row, and back. Null where codes are
  /// stored as the kernels make them.
  void (*pack)(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t row_count,
               std::uint64_t count, std::byte* stored) = nullptr;
  void (*unpack)(const kernels::KernelTable& kernels, const std::byte* stored, std::uint64_t row_count,
                 std::uint64_t count, std::int8_t* codes) = nullptr;

  /// Zero points [shape] to stored bytes, and one of them back from all stored bytes.
  std::vector<std::byte> (*store_zero_points)(std::span<const std::int8_t> zero_points, ScaleShape shape) = nullptr;
  std::int8_t (*load_zero_point)(std::span<const std::byte> stored, ScaleShape shape, std::uint64_t row,
                                 std::uint64_t group) = nullptr;
};

/// "int8 per channel", "int4 group 128 asymmetric", "float16": what reports call a spec.
std::string scheme_text(const QuantizedSpec& spec);

/// Whether a weight has a minimum beside each scale: weight = (code + 8) · scale + minimum.
inline bool has_minima(const QuantizedSpec& spec) { return spec.scheme == "q4_1"; }

/// The rule of an integer scheme as this spec uses it.
kernels::CodeRule code_rule(const Scheme& scheme, const QuantizedSpec& spec);

/// All schemes. To add one: a file beside this one and a row in scheme_table.cpp.
std::span<const Scheme* const> all_schemes();

/// The scheme of that name; null where there is none.
const Scheme* find_scheme(std::string_view name);

/// As find_scheme, for a name that was checked when it came in. Throws kInternal otherwise.
const Scheme& scheme_of(const QuantizedSpec& spec);

}  // namespace mnq
