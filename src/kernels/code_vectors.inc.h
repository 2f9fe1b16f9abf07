// From weights to codes, sixteen at a time: what quantize_rows.inc.h does within its rows. V is 16 float32 lanes.
//
// The quotient. Division would cost more than all the rest, so that codes come from t = 768 + zero point + weight * (1
// / scale), one fused multiply-add. Floats in [512, 1024) are 2^-14 apart: the bits of t count steps of 2^-14, and what
// is above the lowest 14 of them is the code, all in integers. For a scale in [2^-100, 2^100] the reciprocal is off by
// 2^-24 of itself, t by half a step, the quotient that is asked for by 2^-24: with |quotient| <= 256 the two differ by
// less than a step. They round to the same integer unless t lies within a step of a tie. A block in which one does, or
// lies two steps above, is divided after all: 1 in 60 blocks of 64.
//
// A tie in every group. Where a symmetric scale is max |weight| / (code_max + 1/2), the largest weight of each group is
// a tie or beside one. Above, the highest code is all there is. Below, the codes are cut one step before the lowest
// one, which is then that of the weights from `cut` on: the first one whose quotient, correctly rounded, is a tie.
//
// Codes that are floats. To the quotient's magnitude is added a power of two so much larger that the last bit of the sum
// is the step between codes there; the power's own low bits are the code at which its steps begin, so that those of the
// sum are the code. What is left when it is subtracted again is what the code stands for. Here the reciprocal is rounded
// up and the quotient at most 7 steps of its own too large: only where it is as little above a tie, or below the normal
// codes, is divided.
#include "kernels/code_scale.h"
#include "kernels/kernel_tables.h"
#include "kernels/scalar_conversions.h"

// GCC at -O2 keeps even loops of four, and with them their registers in memory: half the speed.
#if defined(__clang__)
#define MNQ_UNROLL _Pragma("unroll")
#else
#define MNQ_UNROLL _Pragma("GCC unroll 8")
#endif
#define MNQ_INLINE inline __attribute__((always_inline))

namespace mnq::kernels {
namespace {

constexpr std::size_t kLanes = 16;

constexpr int kGridBits = 14;
constexpr float kGridMiddle = 768;
constexpr std::int32_t kGridZero = 0x44400000;  // its bits
constexpr std::int32_t kGridOne = 1 << kGridBits;
constexpr std::int32_t kGridNear = 1;               // steps to a tie at which a quotient is divided
constexpr std::int32_t kGridBeside = kGridOne - 4;  // counted from that far below a tie, bits of what lies beside one

// kInside: the scale was made from these very weights and codes are mirrored, so that no quotient lies beyond them.
// kTied: the scale was made from these very weights, the largest of which is a tie. kFloats, kFloatsInside: by a
// FloatRule; what lies beyond the codes is cut, or nothing does.
enum class Codes { kInside, kTied, kClamped, kAboveMinimum, kFloats, kFloatsInside };

constexpr bool are_floats(Codes codes) { return codes == Codes::kFloats || codes == Codes::kFloatsInside; }

/// bfloat16, read as the floats that they are.
struct BrainFloats {
  const std::uint16_t* at;

  BrainFloats operator+(std::size_t count) const { return {at + count}; }
  float operator[](std::size_t i) const { return float_from_bits(std::uint32_t{at[i]} << 16); }
};

template <class V>
struct LaneArray {
  void set(typename V::F values) { V::store(lanes, values, false); }
  typename V::F get() const { return V::load(lanes); }
  float& operator[](std::size_t lane) { return lanes[lane]; }
  float operator[](std::size_t lane) const { return lanes[lane]; }

  alignas(64) float lanes[kLanes];
};

// What all groups of a row have in common.
template <class V, Codes kCodes>
struct RowCoder {
  RowCoder(const CodeRule& rule, float row_unit)
      : lowest(with_limits(1, 0, rule).low),
        highest(static_cast<float>(rule.code_max)),
        unit(V::set(row_unit)),
        least(V::set_ints(kGridZero + (static_cast<std::int32_t>(lowest) + (kCodes == Codes::kTied)) * kGridOne)),
        most(V::set_ints(kGridZero + rule.code_max * kGridOne)),
        to_steps(V::kept(V::set_ints(kGridOne / 2 + kGridNear - kGridZero))),
        beside(V::kept(V::set_ints(kGridBeside))),
        code_xor(rule.code_xor),
        codes_of_byte_log2(rule.is_packed ? 1 : 0) {}

  float lowest, highest;  // codes
  typename V::F unit;
  typename V::Bits least, most, to_steps, beside;
  std::uint8_t code_xor;
  std::uint8_t codes_of_byte_log2;
};

// By a quotient's exponent, what is added to it: a power of two, the last bits of which are the code where its steps
// begin.
struct FloatPowers {
  explicit FloatPowers(const FloatRule& float_rule)
      : rule(float_rule),
        dropped_bits(23 - rule.mantissa_bits),
        first((dropped_bits << 23) - ((128 - rule.bias) << rule.mantissa_bits)) {
    for (std::int32_t exponent = 112; exponent < 112 + kExponents; ++exponent) {
      const std::int32_t bits = exponent << 23;
      all[exponent % kExponents] = bits + (bits >> dropped_bits) + first;
    }
  }

  static constexpr bool is_packed = false;
  static constexpr std::int32_t kExponents = 32;  // more than the normal codes have
  const FloatRule& rule;
  std::int32_t dropped_bits;
  std::int32_t first;
  alignas(64) std::int32_t all[kExponents];  // by the last bits of the biased exponent
};

template <class V>
struct FloatRowCoder {
  FloatRowCoder(const FloatPowers& float_powers, float row_unit)
      : sign_shift(31 - float_powers.rule.exponent_bits - float_powers.rule.mantissa_bits),
        unit(V::set(row_unit)),
        largest(V::set(float_powers.rule.largest)),
        tie(V::kept(V::set_ints(half_step(float_powers)))),
        beside(V::kept(V::set_ints(2 * half_step(float_powers) - 8))),
        least(V::kept(V::set_ints((128 - float_powers.rule.bias) << 23 | half_step(float_powers)))),
        magnitude(V::set_ints((1 << (31 - sign_shift)) - 1)),
        powers(float_powers) {}

  // In the last bits of a float.
  static std::int32_t half_step(const FloatPowers& of) { return 1 << (of.dropped_bits - 1); }

  std::int32_t sign_shift;
  typename V::F unit, largest;
  typename V::Bits tie, beside;
  typename V::Bits least;  // the first tie of the normal codes: what is below becomes one, too
  typename V::Bits magnitude;
  typename V::Powers powers;
  static constexpr std::uint8_t code_xor = 0, codes_of_byte_log2 = 0;
};

template <class V>
struct RowCoder<V, Codes::kFloats> : FloatRowCoder<V> {
  using FloatRowCoder<V>::FloatRowCoder;
};
template <class V>
struct RowCoder<V, Codes::kFloatsInside> : FloatRowCoder<V> {
  using FloatRowCoder<V>::FloatRowCoder;
};

template <class V>
struct GroupCoder {
  typename V::F reciprocal, middle, zero, scaled_scale, cut, minimum, scaled_minimum;
  float scale;
  bool divides;
};

// Scales of some groups, and what else is known of them; null where there is none.
struct GroupScales {
  const float* scales;
  const std::int8_t* zero_points;
  const float* minima;

  GroupScales from(std::size_t group) const {
    return {scales + group, zero_points == nullptr ? nullptr : zero_points + group,
            minima == nullptr ? nullptr : minima + group};
  }
};

inline bool is_usual_scale(float scale) {
  const float magnitude = magnitude_of(scale);
  return magnitude >= 0x1p-100f && magnitude <= 0x1p100f;
}

// The coders of up to sixteen groups, made together: one division for all of them.
template <class V, Codes kCodes>
class GroupCoders {
 public:
  using F = typename V::F;

  template <class Rule>
  void make(const GroupScales& groups, std::size_t count, const Rule& rule, float unit) {
    const F scale = V::load_part(groups.scales, count, V::set(1));
    const auto reciprocal = V::as_ints(V::div(V::set(1), scale));
    scales_.set(scale);
    reciprocals_.set(V::as_floats(V::add_ints(reciprocal, V::set_ints(are_floats(kCodes) ? 1 : 0))));
    scaled_scales_.set(V::mul(scale, V::set(unit)));
    if constexpr (kCodes == Codes::kTied) cuts_.set(cut_of(scale, rule.symmetric_divisor));
    F zero = V::zero();
    if (groups.zero_points != nullptr) zero = typename V::CodeStart(0, 0).load_part(groups.zero_points, count);
    zeros_.set(zero);
    middles_.set(V::add(V::set(kGridMiddle), zero));
    if (kCodes == Codes::kAboveMinimum) {
      const F minimum = V::load_part(groups.minima, count, V::zero());
      minima_.set(minimum);
      scaled_minima_.set(V::mul(minimum, V::set(unit)));
    }
    const F magnitude = V::max_abs(scale, scale);
    is_usual_ = !V::any_above(magnitude, 0x1p100f) && !V::any_above(V::sub(V::zero(), magnitude), -0x1p-100f);
  }

  MNQ_INLINE GroupCoder<V> at(std::size_t group) const {
    GroupCoder<V> coder;
    coder.reciprocal = V::set(reciprocals_[group]);
    coder.middle = V::set(middles_[group]);
    coder.zero = V::set(zeros_[group]);
    coder.scaled_scale = V::set(scaled_scales_[group]);
    if (kCodes == Codes::kTied) coder.cut = V::set(cuts_[group]);
    if (kCodes == Codes::kAboveMinimum) {
      coder.minimum = V::set(minima_[group]);
      coder.scaled_minimum = V::set(scaled_minima_[group]);
    }
    coder.scale = scales_[group];
    coder.divides = !is_usual_ && !is_usual_scale(coder.scale);
    return coder;
  }

 private:
  // The lowest weights that have the lowest code: the largest ones below zero whose quotients are rounded to
  // -half_codes. They are one of three floats, and what is left of them beside half_codes * scale is exact.
  static F cut_of(F scale, float half_codes) {
    const float half_step = float_from_bits(((bits_from_float(half_codes) >> 23) - 24) << 23);
    const F least = V::mul(scale, V::set(-half_step)), factor = V::set(-half_codes);
    const F tie = V::mul(scale, V::set(half_codes));
    const F below = V::as_floats(V::add_ints(V::as_ints(tie), V::set_ints(-1)));
    const F above = V::as_floats(V::add_ints(V::as_ints(tie), V::set_ints(1)));
    const F not_below = V::where_greater(least, V::fma(scale, factor, tie), above, tie);
    return V::sub(V::zero(), V::where_greater(least, V::fma(scale, factor, below), not_below, below));
  }

  LaneArray<V> scales_, reciprocals_, middles_, zeros_, scaled_scales_, cuts_, minima_, scaled_minima_;
  bool is_usual_;
};

// The codes of some vectors by division.
template <class V>
__attribute__((noinline)) void divide_vectors(const typename V::F* numbers, std::size_t count, float scale,
                                              typename V::F zero, float lowest, float highest,
                                              typename V::Bits* codes) {
  const auto low = V::sub(V::set(lowest), zero), high = V::sub(V::set(highest), zero);
  for (std::size_t k = 0; k < count; ++k) {
    const auto quotient = scale == 0 ? V::zero() : V::div(numbers[k], V::set(scale));
    codes[k] = V::to_ints(V::add(V::min(V::max(V::round(quotient), low), high), zero));
  }
}

// Codes of kCount vectors, of one group or, half of them each, of two. What they stand for, but for zero points and
// scales, takes the place of the numbers.
template <class V, Codes kCodes, std::size_t kCount, std::size_t kGroups>
MNQ_INLINE void code_vectors(const RowCoder<V, kCodes>& row, const GroupCoder<V>* groups, typename V::F* numbers,
                             typename V::Bits* codes) {
  constexpr std::size_t kOfGroup = kCount / kGroups;
  auto away = V::all_set();
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    const GroupCoder<V>& group = groups[k / kOfGroup];
    auto place = V::as_ints(V::fma(numbers[k], group.reciprocal, group.middle));
    if constexpr (kCodes != Codes::kInside) place = V::min_ints(V::max_ints(place, row.least), row.most);
    const auto steps = V::add_ints(place, row.to_steps);
    away = V::also_set(away, steps, row.beside);
    codes[k] = V::template shift_right<kGridBits>(steps);
    if constexpr (kCodes == Codes::kTied) codes[k] = V::less_one_up_to(codes[k], numbers[k], group.cut);
  }
  bool divides = groups[0].divides;
  if constexpr (kGroups == 2) divides = divides || groups[1].divides;
  if (divides || !V::is_set(away)) [[unlikely]] {
    for (std::size_t group = 0; group < kGroups; ++group) {
      typename V::F again[kOfGroup];
      typename V::Bits exact[kOfGroup];
      MNQ_UNROLL
      for (std::size_t k = 0; k < kOfGroup; ++k) again[k] = numbers[group * kOfGroup + k];
      divide_vectors<V>(again, kOfGroup, groups[group].scale, groups[group].zero, row.lowest, row.highest, exact);
      MNQ_UNROLL
      for (std::size_t k = 0; k < kOfGroup; ++k) codes[group * kOfGroup + k] = exact[k];
    }
  }
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) numbers[k] = V::to_floats(codes[k]);
}

template <class V>
MNQ_INLINE typename V::F divide_floats(typename V::F numbers, float scale) {
  return scale == 0 ? V::zero() : V::div(V::magnitude(numbers), V::set(scale));
}

// The same of floats: what codes stand for is without its sign. Scales are not below 0.
template <class V, Codes kCodes, std::size_t kCount, std::size_t kGroups>
requires(are_floats(kCodes)) MNQ_INLINE void code_vectors(const RowCoder<V, kCodes>& row, const GroupCoder<V>* groups,
                                                          typename V::F* numbers, typename V::Bits* codes) {
  using F = typename V::F;
  constexpr std::size_t kOfGroup = kCount / kGroups;
  F quotients[kCount];
  typename V::Bits normal[kCount];
  auto away = V::all_set();
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    quotients[k] = V::mul(V::magnitude(numbers[k]), groups[k / kOfGroup].reciprocal);
    normal[k] = V::max_ints(V::as_ints(quotients[k]), row.least);
    away = V::also_set(away, V::xor_ints(normal[k], row.tie), row.beside);
  }
  bool divides = groups[0].divides;
  if constexpr (kGroups == 2) divides = divides || groups[1].divides;
  if (divides || !V::is_set(away)) [[unlikely]] {
    MNQ_UNROLL
    for (std::size_t k = 0; k < kCount; ++k) {
      quotients[k] = divide_floats<V>(numbers[k], groups[k / kOfGroup].scale);
      if (groups[k / kOfGroup].scale == 0) numbers[k] = V::zero();
      normal[k] = V::max_ints(V::as_ints(quotients[k]), row.least);
    }
  }
  MNQ_UNROLL
  for (std::size_t k = 0; k < kCount; ++k) {
    F quotient = quotients[k];
    if constexpr (kCodes == Codes::kFloats) {
      quotient = V::min(quotient, row.largest);
      normal[k] = V::min_ints(normal[k], V::as_ints(row.largest));
    }
    const F power = V::as_floats(row.powers.of(normal[k]));
    const F sum = V::add(quotient, power);
    codes[k] = V::select(row.magnitude, V::as_ints(sum), V::shift_right_by(V::as_ints(numbers[k]), row.sign_shift));
    numbers[k] = V::sub(sum, power);
  }
}

// What codes stand for, times the row's unit. numbers: as code_vectors leaves them.
template <class V, Codes kCodes>
MNQ_INLINE typename V::F dequantize_vector(const GroupCoder<V>& group, typename V::F numbers,
                                           typename V::F scaled_minimum) {
  if constexpr (kCodes == Codes::kClamped || kCodes == Codes::kAboveMinimum) numbers = V::sub(numbers, group.zero);
  const auto dequantized = V::mul(numbers, group.scaled_scale);
  return kCodes == Codes::kAboveMinimum ? V::add(dequantized, scaled_minimum) : dequantized;
}

}  // namespace
}  // namespace mnq::kernels
