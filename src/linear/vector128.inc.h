// What the instruction sets of ARM have in common: 4 columns to a register, and 32 registers. Products take signed bytes:
// weights of 8 bits are 128 less than panels have them, the codes that files have.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "linear/linear_kernels.h"
#include "linear/linear_rows.inc.h"

namespace mnq::linear {
namespace {

struct Vector128 {
  using I = int32x4_t;
  using F = float32x4_t;
  static constexpr std::size_t kLanes = 4;
  static constexpr std::size_t kCodeBytes = 1;
  static constexpr std::size_t kVectors = 4;  // 6 rows of them leave some for weights and one for codes
  static constexpr std::size_t sets(std::size_t rows) { return rows <= 2 ? 2 : 1; }
  static constexpr std::size_t steps(bool nibbles) { return nibbles ? 2 : 1; }
  static constexpr std::int32_t lowest(bool nibbles) { return nibbles ? 0 : 128; }

  template <bool kNibbles, std::size_t kStep>
  static I weights(const std::uint8_t* from) {
    const uint8x16_t bytes = vld1q_u8(from);
    if constexpr (!kNibbles) return vreinterpretq_s32_u8(veorq_u8(bytes, vdupq_n_u8(0x80)));
    return vreinterpretq_s32_u8(kStep == 0 ? vandq_u8(bytes, vdupq_n_u8(15)) : vshrq_n_u8(bytes, 4));
  }
  static I broadcast(const std::uint8_t* from) {
    std::int32_t four;
    std::memcpy(&four, from, sizeof four);
    return vdupq_n_s32(four);
  }

  static I zero() { return vdupq_n_s32(0); }
  static I set(std::int32_t value) { return vdupq_n_s32(value); }
  static I add(I a, I b) { return vaddq_s32(a, b); }
  static I mul(I a, I b) { return vmulq_s32(a, b); }
  static I widen(const std::uint8_t* from) {
    std::uint32_t four;
    std::memcpy(&four, from, sizeof four);
    const uint16x8_t words = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words)));
  }
  static void prefetch(const std::uint8_t* from) { __builtin_prefetch(from); }

  static F zero_floats() { return vdupq_n_f32(0); }
  static F set(float value) { return vdupq_n_f32(value); }
  static F to_floats(I a) { return vcvtq_f32_s32(a); }
  static F load(const float* from) { return vld1q_f32(from); }
  static void store(float* to, F values) { vst1q_f32(to, values); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
};

/// The codes of 16 values.
MNQ_INLINE int8x16_t code_values(const float* values, float32x4_t inverse, int32x4_t zero_point) {
  int16x4_t codes[4];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) {
    const float32x4_t scaled = vmulq_f32(vld1q_f32(values + 4 * i), inverse);
    codes[i] = vqmovn_s32(vaddq_s32(vcvtnq_s32_f32(scaled), zero_point));
  }
  return vcombine_s8(vqmovn_s16(vcombine_s16(codes[0], codes[1])), vqmovn_s16(vcombine_s16(codes[2], codes[3])));
}

/// As code_values, of the last values of a row.
inline int8x16_t code_rest(const float* values, std::size_t count, float32x4_t inverse, int32x4_t zero_point) {
  float all[16] = {};
  std::int8_t codes[16];
  std::memcpy(all, values, count * sizeof(float));
  vst1q_s8(codes, code_values(all, inverse, zero_point));
  std::memset(codes + count, 0, 16 - count);
  return vld1q_s8(codes);
}

/// LinearKernel::arrange.
template <class V>
void arrange(const Panels& panels, const float* values, std::size_t count, const RowScale& scale, std::uint8_t* codes,
             std::int32_t* offsets) {
  const float32x4_t inverse = vdupq_n_f32(scale.inverse);
  const int32x4_t zero_point = vdupq_n_s32(scale.zero_point);
  std::size_t i = 0;
  for (std::size_t group = 0; group < panels.group_count; ++group) {
    const std::size_t end = i + panels.group_length(group);
    std::int32_t sum = 0;
    for (; i < end; i += 16) {
      const int8x16_t some = i + 16 <= count ? code_values(values + i, inverse, zero_point)
                                             : code_rest(values + i, count < i ? 0 : count - i, inverse, zero_point);
      vst1q_s8(reinterpret_cast<std::int8_t*>(codes + i), some);
      sum += vaddlvq_s8(some);
    }
    offsets[group] = -offset_weight<V>(panels) * sum;
  }
}

}  // namespace
}  // namespace mnq::linear
