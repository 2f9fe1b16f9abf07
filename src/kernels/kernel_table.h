// Every inner loop of the library, once per instruction set, behind one table of plain functions.
//
// Kernels are serial, allocate nothing, throw nothing, and know only pointers and counts: threads, memory and
// errors live above them. Each entry exists as `generic`, the slow obvious version that stays as the oracle, and as
// `avx2` and `avx512`. All of them give the same bits, sums included: see the order of the sums below.
//
// Rounding, in one place. code = round_half_even(weight / scale) + zero point, saturated, where the quotient is the
// correctly rounded float32 quotient. A kernel may get there without dividing only where the result is proven to be
// the same. Dequantized = float(code - zero_point) * scale, one rounding.
//
// Order of the sums. Sums are taken over weights and dequantized weights scaled by `unit`, a power of two that brings
// the row's largest magnitude (for a run, its scale) near 1, so that squares neither overflow nor vanish. Within a
// group, element i goes to float32 lane i mod 16; lanes accumulate with fused multiply-add; after each chunk of up to
// 1024 elements of a group that completes 64 steps of 16, and at the end of the row, the 16 lanes are added as doubles
// in one fixed tree to the row's sum. A search takes its sums, of one group each, in the same lanes and the same tree,
// but adds the lanes in float32, after each chunk of 1024 elements of the group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mnq::kernels {

/// The range of a run of weights. Where a weight is NaN or infinite, max_abs_bits >= 0x7f800000 and minimum and
/// maximum are unspecified. An empty run has all three zero.
struct Range {
  float minimum;
  float maximum;
  std::uint32_t max_abs_bits;  ///< the float32 bits of the largest |weight|
};

/// What quantizing a run of weights cost. SQNR = 10 log10(signal / error).
struct ErrorSums {
  double signal;     ///< sum of weight squared
  double error;      ///< sum of (weight - dequantized) squared
  double max_error;  ///< largest |weight - dequantized|

  void add(const ErrorSums& other) {
    signal += other.signal;
    error += other.error;
    if (other.max_error > max_error) max_error = other.max_error;
  }
};

/// What scales are stored in: those that a kernel chooses are rounded to it before it codes with them, half to even, but
/// never to 0. What it cannot hold becomes infinite, and the codes some.
enum class ScaleFloats : std::uint8_t { kFloat32, kBrain, kHalf };

/// How quantize_rows turns a range into a scale and codes.
///   symmetric:  scale = max |weight| / symmetric_divisor, zero point 0. Where the divisor is code_max, codes are in
///               [-code_max, code_max]; else all codes are used, and the largest positive weight may be cut
///   asymmetric: the range is first extended to hold 0; scale = (max - min) / (code_max - code_min);
///               zero point = round_half_even(code_min - min / scale), clamped to [code_min, code_max]
/// A scale is always finite and at least FLT_MIN, and 1 where the range is only zeros.
/// code_xor is applied to each stored code: 0x80 turns -128..127 into 0..255. Zero points are stored without it; they
/// are those of a scale before it is rounded.
/// Packed codes, of 4 bits, lie as pack_int4 has them, [row_count, row_length / 2]: rows and groups are multiples of 16.
struct CodeRule {
  std::int32_t code_min;  ///< -128 or -8
  std::int32_t code_max;  ///< 127 or 7
  bool symmetric;
  std::uint8_t code_xor;    ///< 0 or 0x80
  float symmetric_divisor;  ///< 127, or 7.5 for 4 bits
  ScaleFloats scale_floats = ScaleFloats::kFloat32;
  bool is_packed = false;
};

/// Floats of 8 bits and fewer: a sign, then exponent, then mantissa; exponent 0 is denormal.
struct FloatRule {
  std::int32_t exponent_bits;
  std::int32_t mantissa_bits;  ///< >= 1
  std::int32_t bias;           ///< of the exponent
  float largest;               ///< magnitude of a code that is a number
  ScaleFloats scale_floats = ScaleFloats::kFloat32;
};

/// Values of 4 bits with steps of their own. A number gets the code of the value that has as many thresholds below it
/// as the number: of the nearest one, and of two the lower.
struct BookRule {
  float thresholds[15];   ///< halfway between neighbouring values, rising; infinite where there is no more value
  std::int8_t codes[16];  ///< of the values, rising
  float largest;          ///< magnitude of a value
};

/// What codes explain of weights: with a scale s the squared error is the sum of weight^2, less 2 s A, plus s^2 B.
struct CodeSums {
  float a;  ///< sum of weight * value
  float b;  ///< sum of value^2
};

/// How the searches look for scales. Each compares trials by the energy that their codes explain with the scale that
/// suits them best, A^2 / B with A = sum of weight * code and B = sum of code^2, takes the best (of equal ones the
/// first), and lets one round from codes to A / B follow. search_rules.h has the rules for each number of bits.
struct SearchRule {
  std::int32_t lowest;          ///< code, >= -128
  std::int32_t highest;         ///< code, <= 127
  const float* candidates;      ///< [candidate_count], > 0
  std::size_t candidate_count;  ///< >= 1
  const float* shifts;          ///< [shift_count], of search_minimum: by how many steps the range is moved
  std::size_t shift_count;
  std::int32_t zero_point_reach;  ///< of search_zero_point: how many zero points on both sides are tried
  bool positive_scales;           ///< of search_symmetric: no scale is below 0
};

/// A new entry gets its line in kernel_entries.inc, which information and tests go over.
struct KernelTable {
  const char* isa;  ///< "generic", "avx2" or "avx512"

  /// The entries, by name, that are those of the table before this one in available_kernel_tables().
  std::span<const char* const> shared;

  /// weights [count], any values.
  Range (*range)(const float* weights, std::size_t count);

  /// Quantizes whole rows; each group of a row has its own scale. One read of the weights from memory: ranges and
  /// codes of a row are made while it is in cache, the next row is prefetched meanwhile.
  /// weights      [row_count, row_length] float32, row-major
  /// group_size   1 <= group_size; the last group of a row may be shorter; row_length for one scale a row
  /// scales       [row_count, ceil(row_length / group_size)], weight units per code, written
  /// zero_points  as scales, written; may be null where the rule is symmetric
  /// codes        [row_count, row_length], one code a byte, or packed; written
  /// sums         [row_count], written; null where nobody asks
  /// Returns the number of rows done: less than row_count means that the row of that index holds a weight that is not
  /// finite (it and what follows are unspecified).
  std::size_t (*quantize_rows)(const float* weights, std::size_t row_count, std::size_t row_length,
                               std::size_t group_size, const CodeRule& rule, float* scales, std::int8_t* zero_points,
                               std::int8_t* codes, ErrorSums* sums);

  /// As quantize_rows, of weights in 16 bits, read as they are: bfloat16 or float16.
  /// row  [row_length], memory for one row as float32
  std::size_t (*quantize_halves)(const std::uint16_t* weights, bool is_brain, float* row, std::size_t row_count,
                                 std::size_t row_length, std::size_t group_size, const CodeRule& rule, float* scales,
                                 std::int8_t* zero_points, std::int8_t* codes, ErrorSums* sums);

  /// Quantizes one run of finite weights with a scale that is known already (per tensor, or a row in pieces), as
  /// encode_rows does.
  /// Codes are saturated to those of the rule. sums may be null.
  void (*quantize_run)(const float* weights, std::size_t count, float scale, std::int32_t zero_point,
                       const CodeRule& rule, std::int8_t* codes, ErrorSums* sums);

  /// Chooses scales for symmetric codes, as quantize_rows does without making the codes: the same arrays, the same
  /// return value. The extreme weight of a group, the first one of the largest magnitude, goes to the long side of the
  /// codes, so that scales may be negative; a trial puts it at candidate * (highest - lowest) / 2.
  /// A scale is finite and at least FLT_MIN in magnitude, and 1 for a group of zeros.
  std::size_t (*search_symmetric)(const float* weights, std::size_t row_count, std::size_t row_length,
                                  std::size_t group_size, const SearchRule& rule, float* scales);

  /// Chooses scales, > 0, and zero points in [lowest, highest]. A trial shrinks the range of a group, extended to hold
  /// 0, to candidate times it about its middle. A group of zeros has scale 1 and zero point 0.
  std::size_t (*search_zero_point)(const float* weights, std::size_t row_count, std::size_t row_length,
                                   std::size_t group_size, const SearchRule& rule, float* scales,
                                   std::int8_t* zero_points);

  /// Chooses scales, > 0, and minima: weight = (code - lowest) * scale + minimum. A trial shrinks the range of a group
  /// to candidate times it about its middle and shifts it. Energies are those around the means; two rounds follow, kept
  /// where they explain more. A group of equal weights has scale 1 and its weight as minimum.
  std::size_t (*search_minimum)(const float* weights, std::size_t row_count, std::size_t row_length,
                                std::size_t group_size, const SearchRule& rule, float* scales, float* minima);

  /// As quantize_rows, with scales that are known: searched for, or rounded to what will be stored.
  /// scales       any finite values; codes of a scale of 0 are the zero point
  /// zero_points  may be null: all zero
  /// minima       may be null: all zero. Else code = round_half_even((weight - minimum) / scale) + zero point, where
  ///              the difference is rounded to float32, too, and the zero point is code_min where no code is to go
  ///              unused
  std::size_t (*encode_rows)(const float* weights, std::size_t row_count, std::size_t row_length,
                             std::size_t group_size, const CodeRule& rule, const float* scales,
                             const std::int8_t* zero_points, const float* minima, std::int8_t* codes, ErrorSums* sums);

  /// Codes that are floats: weight / scale, a correctly rounded float32, saturated to the largest code and rounded half
  /// to even. What rounds to 0 keeps its sign. Codes of a scale of 0 are 0.
  /// weights  [row_count, row_length], finite
  /// scales   [row_count, ceil(row_length / group_size)], finite, >= 0
  /// codes    [row_count, row_length], one a byte, written
  /// sums     [row_count], written; null where nobody asks
  void (*encode_floats)(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                        const FloatRule& rule, const float* scales, std::int8_t* codes, ErrorSums* sums);

  /// The same with scales of its own choice, which are written: that of a group is its largest |weight| / the largest
  /// code, at least FLT_MIN and 1 where all are zeros. Returns what quantize_rows does.
  std::size_t (*quantize_floats)(const float* weights, std::size_t row_count, std::size_t row_length,
                                 std::size_t group_size, const FloatRule& rule, float* scales, std::int8_t* codes,
                                 ErrorSums* sums);

  /// As quantize_floats, of weights in 16 bits: see quantize_halves.
  std::size_t (*quantize_float_halves)(const std::uint16_t* weights, bool is_brain, float* row, std::size_t row_count,
                                       std::size_t row_length, std::size_t group_size, const FloatRule& rule,
                                       float* scales, std::int8_t* codes, ErrorSums* sums);

  /// As encode_floats, for values of a book, with any finite scales and without sums.
  void (*encode_book)(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                      const BookRule& rule, const float* scales, std::int8_t* codes);

  /// What codes explain of each group. Element i of a group goes to lane i mod 16, each product and each sum rounded to
  /// float32; then the upper half of the lanes is added to the lower one until one is left.
  /// book   [book_size] what codes, taken as unsigned, stand for
  /// codes  [row_count, row_length]
  /// sums   [row_count, ceil(row_length / group_size)], written; not finite where weights are too large for that
  void (*code_sums)(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                    const float* book, std::size_t book_size, const std::int8_t* codes, CodeSums* sums);

  /// The inverse of quantize_rows. zero_points may be null: all zero.
  /// weights [row_count, row_length], written.
  void (*dequantize_rows)(const std::int8_t* codes, std::size_t row_count, std::size_t row_length,
                          std::size_t group_size, std::uint8_t code_xor, const float* scales,
                          const std::int8_t* zero_points, float* weights);

  /// Two codes to a byte, low nibble first, each stored as code + 8.
  /// codes [count] in [-8, 7]; packed [ceil(count / 2)], written; an odd count leaves the last high nibble 0.
  void (*pack_int4)(const std::int8_t* codes, std::size_t count, std::uint8_t* packed);

  /// The inverse of pack_int4. codes [count], written.
  void (*unpack_int4)(const std::uint8_t* packed, std::size_t count, std::int8_t* codes);

  /// Sums of `reference` against `other`, both [count] float32, finite.
  ErrorSums (*error_sums)(const float* reference, const float* other, std::size_t count);

  /// f32_to_bf16, or else f32_to_f16, and the error_sums of what they leave of the weights, those of each 1024 weights
  /// added up. Whether all of that is finite: else the sums are unspecified, and so is what was written.
  bool (*cast_to_halves)(const float* weights, std::size_t count, bool to_brain, std::uint16_t* to, ErrorSums* sums);

  /// Conversions, round half to even; values beyond the target's range become infinite, NaN stays NaN.
  void (*f16_to_f32)(const std::uint16_t* from, std::size_t count, float* to);
  void (*bf16_to_f32)(const std::uint16_t* from, std::size_t count, float* to);
  void (*f64_to_f32)(const double* from, std::size_t count, float* to);
  void (*f32_to_f16)(const float* from, std::size_t count, std::uint16_t* to);
  void (*f32_to_bf16)(const float* from, std::size_t count, std::uint16_t* to);
  void (*f32_to_f64)(const float* from, std::size_t count, double* to);

  /// The checksum of ZIP archives of bytes [count] that follow those of the checksum `crc`; 0 for the first ones.
  std::uint32_t (*crc32)(std::uint32_t crc, const std::uint8_t* bytes, std::size_t count);
};

/// The tables this CPU can run, slowest first: generic always, then avx2, then avx512.
std::span<const KernelTable* const> available_kernel_tables();

/// The table that `isa` names, the fastest where it is null or empty. Throws Error(kUnsupported) for a name that this
/// CPU cannot run.
const KernelTable& select_kernel_table(const char* isa);

/// The table in use: the fastest this CPU can run, or the one that MNQ_ISA=generic|avx2|avx512 names. Chosen once, at
/// the first call. Throws Error(kUnsupported) where MNQ_ISA names one that does not exist or this CPU cannot run.
const KernelTable& kernel_table();

}  // namespace mnq::kernels
