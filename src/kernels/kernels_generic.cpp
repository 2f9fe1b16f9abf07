// The slow obvious version of every kernel: the oracle that the others must equal bit for bit.
#include <cmath>

#include "kernels/code_scale.h"
#include "kernels/kernel_tables.h"
#include "kernels/scalar_conversions.h"

namespace mnq::kernels {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kFlushSteps = 64;  // of kLanes elements

// Sums in the order that kernel_table.h fixes.
class LaneSums {
 public:
  explicit LaneSums(float unit) : unit_(unit) {}

  float unit() const { return unit_; }

  /// i: of the element in its group; both values are times unit.
  void add(std::size_t i, float scaled_weight, float scaled_dequantized) {
    const float scaled_error = scaled_weight - scaled_dequantized;
    float& signal = signal_lanes_[i % kLanes];
    float& error = error_lanes_[i % kLanes];
    signal = std::fma(scaled_weight, scaled_weight, signal);
    error = std::fma(scaled_error, scaled_error, error);
    if (std::fabs(scaled_error) > max_error_) max_error_ = std::fabs(scaled_error);
  }

  /// After a chunk of at most 1024 elements of one group.
  void end_chunk(std::size_t count) {
    steps_ += (count + kLanes - 1) / kLanes;
    if (steps_ >= kFlushSteps) flush();
  }

  ErrorSums finish() {
    flush();
    const double scale = 1.0 / unit_;
    return {signal_ * scale * scale, error_ * scale * scale, max_error_ * scale};
  }

 private:
  static double sum(float (&lanes)[kLanes]) {
    double tree[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) tree[i] = lanes[i];
    for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
      for (std::size_t i = 0; i < width; ++i) tree[i] += tree[i + width];
    }
    for (float& lane : lanes) lane = 0;
    return tree[0];
  }

  void flush() {
    signal_ += sum(signal_lanes_);
    error_ += sum(error_lanes_);
    steps_ = 0;
  }

  float unit_;
  float signal_lanes_[kLanes] = {};
  float error_lanes_[kLanes] = {};
  float max_error_ = 0;
  double signal_ = 0;
  double error_ = 0;
  std::size_t steps_ = 0;
};

Range range(const float* weights, std::size_t count) {
  if (count == 0) return {0, 0, 0};
  Range result{weights[0], weights[0], 0};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bits = bits_from_float(weights[i]) & 0x7fffffff;
    if (bits > result.max_abs_bits) result.max_abs_bits = bits;
    if (weights[i] < result.minimum) result.minimum = weights[i];
    if (weights[i] > result.maximum) result.maximum = weights[i];
  }
  // Of 0 and -0 neither is smaller: which one is met first must not show.
  result.minimum += 0.0f;
  result.maximum += 0.0f;
  return result;
}

std::int32_t encode(float weight, const CodeScale& scale, float* rounded) {
  const float code = scale.scale == 0 ? 0 : std::nearbyintf(weight / scale.scale);
  *rounded = code < scale.low ? scale.low : code > scale.high ? scale.high : code;
  return static_cast<std::int32_t>(*rounded) + scale.zero_point;
}

void put_code(std::int32_t code, const CodeRule& rule, std::size_t i, std::int8_t* codes) {
  if (!rule.is_packed) {
    codes[i] = static_cast<std::int8_t>(static_cast<std::uint8_t>(code) ^ rule.code_xor);
  } else if (i % 2 == 0) {
    codes[i / 2] = static_cast<std::int8_t>(code + 8);
  } else {
    codes[i / 2] = static_cast<std::int8_t>(codes[i / 2] | (code + 8) << 4);
  }
}

std::size_t bytes_of_codes(std::size_t count, const CodeRule& rule) { return rule.is_packed ? count / 2 : count; }

void quantize_group(const float* weights, std::size_t count, const CodeScale& scale, float minimum,
                    const CodeRule& rule, std::int8_t* codes, LaneSums* sums) {
  for (std::size_t begin = 0; begin < count; begin += kFlushSteps * kLanes) {
    const std::size_t end = begin + kFlushSteps * kLanes < count ? begin + kFlushSteps * kLanes : count;
    for (std::size_t i = begin; i < end; ++i) {
      float rounded;
      put_code(encode(weights[i] - minimum, scale, &rounded), rule, i, codes);
      if (sums == nullptr) continue;
      const float unit = sums->unit();
      sums->add(i, weights[i] * unit, rounded * (scale.scale * unit) + minimum * unit);
    }
    if (sums != nullptr) sums->end_chunk(end - begin);
  }
}

std::size_t quantize_rows(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                          const CodeRule& rule, float* scales, std::int8_t* zero_points, std::int8_t* codes,
                          ErrorSums* sums) {
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length) {
    const Range whole = range(weights, row_length);
    if (whole.max_abs_bits >= kInfinityBits) return row;
    LaneSums row_sums(unit_for(whole.max_abs_bits));
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      CodeScale scale = scale_for(range(weights + begin, count), rule);
      scale.scale = stored_scale(scale.scale, rule.scale_floats);
      quantize_group(weights + begin, count, scale, 0, rule, codes + bytes_of_codes(begin, rule),
                     sums == nullptr ? nullptr : &row_sums);
      *scales++ = scale.scale;
      if (zero_points != nullptr) *zero_points++ = static_cast<std::int8_t>(scale.zero_point);
    }
    if (sums != nullptr) *sums++ = row_sums.finish();
    codes += bytes_of_codes(row_length, rule);
  }
  return row_count;
}

void widen(const std::uint16_t* from, std::size_t count, bool is_brain, float* to) {
  for (std::size_t i = 0; i < count; ++i) to[i] = is_brain ? float_from_bf16(from[i]) : float_from_f16(from[i]);
}

std::size_t quantize_halves(const std::uint16_t* weights, bool is_brain, float* row, std::size_t row_count,
                            std::size_t row_length, std::size_t group_size, const CodeRule& rule, float* scales,
                            std::int8_t* zero_points, std::int8_t* codes, ErrorSums* sums) {
  const std::size_t groups = row_length / group_size + (row_length % group_size != 0 ? 1 : 0);
  for (std::size_t i = 0; i < row_count; ++i, weights += row_length) {
    widen(weights, row_length, is_brain, row);
    std::int8_t* zeros = zero_points == nullptr ? nullptr : zero_points + i * groups;
    const std::size_t done =
        quantize_rows(row, 1, row_length, group_size, rule, scales + i * groups, zeros,
                      codes + i * bytes_of_codes(row_length, rule), sums == nullptr ? nullptr : sums + i);
    if (done == 0) return i;
  }
  return row_count;
}

void quantize_run(const float* weights, std::size_t count, float scale, std::int32_t zero_point, const CodeRule& rule,
                  std::int8_t* codes, ErrorSums* sums) {
  LaneSums run_sums(unit_for_scale(scale));
  quantize_group(weights, count, with_limits(scale, zero_point, rule), 0, rule, codes,
                 sums == nullptr ? nullptr : &run_sums);
  if (sums != nullptr) *sums = run_sums.finish();
}

std::size_t encode_rows(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                        const CodeRule& rule, const float* scales, const std::int8_t* zero_points, const float* minima,
                        std::int8_t* codes, ErrorSums* sums) {
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length) {
    const Range whole = range(weights, row_length);
    if (whole.max_abs_bits >= kInfinityBits) return row;
    LaneSums row_sums(unit_for(whole.max_abs_bits));
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      const CodeScale scale = with_limits(*scales++, zero_points == nullptr ? 0 : *zero_points++, rule);
      quantize_group(weights + begin, count, scale, minima == nullptr ? 0 : *minima++, rule,
                     codes + bytes_of_codes(begin, rule), sums == nullptr ? nullptr : &row_sums);
    }
    if (sums != nullptr) *sums++ = row_sums.finish();
    codes += bytes_of_codes(row_length, rule);
  }
  return row_count;
}

void dequantize_rows(const std::int8_t* codes, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                     std::uint8_t code_xor, const float* scales, const std::int8_t* zero_points, float* weights) {
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t begin = 0; begin < row_length; begin += group_size, ++scales) {
      const std::int32_t zero_point = zero_points == nullptr ? 0 : *zero_points++;
      for (std::size_t i = begin; i < row_length && i - begin < group_size; ++i) {
        const auto code = static_cast<std::int8_t>(static_cast<std::uint8_t>(codes[i]) ^ code_xor);
        weights[i] = static_cast<float>(code - zero_point) * *scales;
      }
    }
    codes += row_length;
    weights += row_length;
  }
}

void pack_int4(const std::int8_t* codes, std::size_t count, std::uint8_t* packed) {
  for (std::size_t i = 0; i < count; i += 2) {
    const int low = codes[i] + 8;
    const int high = i + 1 < count ? codes[i + 1] + 8 : 0;
    packed[i / 2] = static_cast<std::uint8_t>((low & 15) | (high & 15) << 4);
  }
}

void unpack_int4(const std::uint8_t* packed, std::size_t count, std::int8_t* codes) {
  for (std::size_t i = 0; i < count; ++i) {
    const int nibble = packed[i / 2] >> (i % 2 * 4) & 15;
    codes[i] = static_cast<std::int8_t>(nibble - 8);
  }
}

ErrorSums error_sums(const float* reference, const float* other, std::size_t count) {
  const std::uint32_t largest_reference = range(reference, count).max_abs_bits;
  const std::uint32_t largest_other = range(other, count).max_abs_bits;
  LaneSums sums(unit_for(largest_reference > largest_other ? largest_reference : largest_other));
  for (std::size_t begin = 0; begin < count; begin += kFlushSteps * kLanes) {
    const std::size_t end = begin + kFlushSteps * kLanes < count ? begin + kFlushSteps * kLanes : count;
    for (std::size_t i = begin; i < end; ++i) sums.add(i, reference[i] * sums.unit(), other[i] * sums.unit());
    sums.end_chunk(end - begin);
  }
  return sums.finish();
}

bool cast_to_halves(const float* weights, std::size_t count, bool to_brain, std::uint16_t* to, ErrorSums* sums) {
  constexpr std::size_t kChunk = kFlushSteps * kLanes;
  const auto narrow = to_brain ? bf16_from_float : f16_from_float;
  const auto widen = to_brain ? float_from_bf16 : float_from_f16;
  *sums = {};
  for (std::size_t begin = 0; begin < count; begin += kChunk) {
    const std::size_t size = count - begin < kChunk ? count - begin : kChunk;
    float cast[kChunk];
    for (std::size_t i = 0; i < size; ++i) {
      to[begin + i] = narrow(weights[begin + i]);
      cast[i] = widen(to[begin + i]);
      if (!std::isfinite(cast[i])) return false;
    }
    sums->add(error_sums(weights + begin, cast, size));
  }
  return true;
}

// What a code without its sign stands for.
float float_of(std::int32_t code, const FloatRule& rule) {
  const std::int32_t exponent = code >> rule.mantissa_bits, mantissa = code & ((1 << rule.mantissa_bits) - 1);
  const std::int32_t whole = exponent == 0 ? mantissa : mantissa + (1 << rule.mantissa_bits);
  return std::ldexp(static_cast<float>(whole), (exponent == 0 ? 1 : exponent) - rule.bias - rule.mantissa_bits);
}

// The nearest of all codes; of two that are as near, the even one. Between two powers of two, and below the lowest,
// codes are steps of one size: a number of steps, rounded half to even, is the code but for where its power starts.
std::int32_t nearest_float(float magnitude, const FloatRule& rule) {
  const float most = magnitude < rule.largest ? magnitude : rule.largest;
  const std::int32_t lowest = 1 - rule.bias;
  std::int32_t exponent = most == 0 ? lowest : std::ilogb(most);
  if (exponent < lowest) exponent = lowest;
  const float steps = std::nearbyint(std::ldexp(most, rule.mantissa_bits - exponent));
  return static_cast<std::int32_t>(steps) + ((exponent - lowest) << rule.mantissa_bits);
}

float value_of(std::uint8_t code, const FloatRule& rule) {
  const std::int32_t sign = 1 << (rule.exponent_bits + rule.mantissa_bits);
  return code >= sign ? -float_of(code - sign, rule) : float_of(code, rule);
}

std::int8_t encode_float(float weight, float scale, const FloatRule& rule) {
  const float quotient = scale == 0 ? 0 : weight / scale;
  const std::int32_t sign = std::signbit(quotient) ? 1 << (rule.exponent_bits + rule.mantissa_bits) : 0;
  return static_cast<std::int8_t>(nearest_float(std::fabs(quotient), rule) | sign);
}

void encode_float_group(const float* weights, std::size_t count, const FloatRule& rule, float scale, std::int8_t* codes,
                        LaneSums& sums) {
  for (std::size_t begin = 0; begin < count; begin += kFlushSteps * kLanes) {
    const std::size_t end = begin + kFlushSteps * kLanes < count ? begin + kFlushSteps * kLanes : count;
    for (std::size_t i = begin; i < end; ++i) {
      codes[i] = encode_float(weights[i], scale, rule);
      const float value = value_of(static_cast<std::uint8_t>(codes[i]), rule);
      sums.add(i, weights[i] * sums.unit(), value * (scale * sums.unit()));
    }
    sums.end_chunk(end - begin);
  }
}

void encode_floats(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                   const FloatRule& rule, const float* scales, std::int8_t* codes, ErrorSums* sums) {
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length) {
    LaneSums row_sums(unit_for(range(weights, row_length).max_abs_bits));
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      encode_float_group(weights + begin, count, rule, *scales++, codes + begin, row_sums);
    }
    if (sums != nullptr) sums[row] = row_sums.finish();
  }
}

std::size_t quantize_floats(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                            const FloatRule& rule, float* scales, std::int8_t* codes, ErrorSums* sums) {
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length) {
    if (range(weights, row_length).max_abs_bits >= kInfinityBits) return row;
    float* to = scales;
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      const float scale = scale_for(range(weights + begin, count), scale_rule_of(rule)).scale;
      *to++ = stored_scale(scale, rule.scale_floats);
    }
    encode_floats(weights, 1, row_length, group_size, rule, scales, codes, sums == nullptr ? nullptr : sums + row);
    scales = to;
  }
  return row_count;
}

std::size_t quantize_float_halves(const std::uint16_t* weights, bool is_brain, float* row, std::size_t row_count,
                                  std::size_t row_length, std::size_t group_size, const FloatRule& rule, float* scales,
                                  std::int8_t* codes, ErrorSums* sums) {
  const std::size_t groups = row_length / group_size + (row_length % group_size != 0 ? 1 : 0);
  for (std::size_t i = 0; i < row_count; ++i, weights += row_length, codes += row_length, scales += groups) {
    widen(weights, row_length, is_brain, row);
    if (quantize_floats(row, 1, row_length, group_size, rule, scales, codes, sums == nullptr ? nullptr : sums + i) ==
        0) {
      return i;
    }
  }
  return row_count;
}

void encode_book(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                 const BookRule& rule, const float* scales, std::int8_t* codes) {
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t i = 0; i < row_length; ++i, ++weights, ++codes) {
      const float scale = scales[i / group_size];
      const float quotient = scale == 0 ? 0 : *weights / scale;
      std::size_t value = 0;
      while (value < 15 && rule.thresholds[value] < quotient) ++value;
      *codes = scale == 0 ? std::int8_t{0} : rule.codes[value];
    }
    scales += (row_length + group_size - 1) / group_size;
  }
}

CodeSums sums_of_group(const float* weights, std::size_t count, const float* book, const std::int8_t* codes) {
  float a[kLanes] = {}, b[kLanes] = {};
  for (std::size_t i = 0; i < count; ++i) {
    const float value = book[static_cast<std::uint8_t>(codes[i])];
    a[i % kLanes] += weights[i] * value;
    b[i % kLanes] += value * value;
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) {
      a[lane] += a[lane + half];
      b[lane] += b[lane + half];
    }
  }
  return {a[0], b[0]};
}

void code_sums(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
               const float* book, std::size_t, const std::int8_t* codes, CodeSums* sums) {
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length) {
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      *sums++ = sums_of_group(weights + begin, count, book, codes + begin);
    }
  }
}

template <class From, class To, To (*kConvert)(From)>
void convert(const From* from, std::size_t count, To* to) {
  for (std::size_t i = 0; i < count; ++i) to[i] = kConvert(from[i]);
}

}  // namespace

constinit const KernelTable kGenericTable{
    .isa = "generic",
    .shared = {},
    .range = range,
    .quantize_rows = quantize_rows,
    .quantize_halves = quantize_halves,
    .quantize_run = quantize_run,
    .search_symmetric = generic::search_symmetric,
    .search_zero_point = generic::search_zero_point,
    .search_minimum = generic::search_minimum,
    .encode_rows = encode_rows,
    .encode_floats = encode_floats,
    .quantize_floats = quantize_floats,
    .quantize_float_halves = quantize_float_halves,
    .encode_book = encode_book,
    .code_sums = code_sums,
    .dequantize_rows = dequantize_rows,
    .pack_int4 = pack_int4,
    .unpack_int4 = unpack_int4,
    .error_sums = error_sums,
    .cast_to_halves = cast_to_halves,
    .f16_to_f32 = convert<std::uint16_t, float, float_from_f16>,
    .bf16_to_f32 = convert<std::uint16_t, float, float_from_bf16>,
    .f64_to_f32 = convert<double, float, float_from_double>,
    .f32_to_f16 = convert<float, std::uint16_t, f16_from_float>,
    .f32_to_bf16 = convert<float, std::uint16_t, bf16_from_float>,
    .f32_to_f64 = convert<float, double, double_from_float>,
    .crc32 = crc32_generic,
};

}  // namespace mnq::kernels
