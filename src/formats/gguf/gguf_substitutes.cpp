#include "formats/gguf/gguf_substitutes.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "base/text/format.h"

namespace mnq {
namespace {

template <class Narrow, class Wide>
Wide as_wide(Narrow value) {
  return static_cast<Wide>(value);
}
template <class Narrow, class Wide>
Narrow as_narrow(Wide value) {
  return static_cast<Narrow>(value);
}

// E5M2 is the first byte of a float16.
std::uint16_t half_of_e5m2(std::uint8_t value) { return static_cast<std::uint16_t>(value << 8); }
std::uint8_t e5m2_of_half(std::uint16_t half) { return static_cast<std::uint8_t>(half >> 8); }

// E4M3 (no infinities, NaN where all bits are set): sign, 4 bits of exponent with bias 7, 3 of mantissa.
std::uint16_t half_of_e4m3(std::uint8_t value) {
  const unsigned sign = static_cast<unsigned>(value >> 7) << 15, exponent = value >> 3 & 15u, mantissa = value & 7u;
  if ((value & 0x7f) == 0x7f) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (exponent > 0) return static_cast<std::uint16_t>(sign | (exponent + 8) << 10 | mantissa << 7);
  if (mantissa == 0) return static_cast<std::uint16_t>(sign);
  const unsigned shift = mantissa >= 4 ? 0 : mantissa >= 2 ? 1 : 2;  // a multiple of 2^-9, which float16 has as normal
  return static_cast<std::uint16_t>(sign | (8 - shift) << 10 | (mantissa << (8 + shift) & 0x3ff));
}
std::uint8_t e4m3_of_half(std::uint16_t half) {
  const unsigned sign = static_cast<unsigned>(half >> 15) << 7, exponent = half >> 10 & 31u, mantissa = half & 0x3ffu;
  if (exponent == 31) return static_cast<std::uint8_t>(sign | 0x7f);
  if (exponent > 8) return static_cast<std::uint8_t>(sign | (exponent - 8) << 3 | mantissa >> 7);
  const unsigned whole = exponent < 6 ? 0 : (mantissa | 0x400) >> (16 - exponent);
  return static_cast<std::uint8_t>(sign | whole);
}

// E8M0 is the exponent of a float32: 2^(value - 127), the last one NaN.
std::uint32_t float_of_e8m0(std::uint8_t value) {
  if (value == 0) return 0x00400000;
  return value == 0xff ? 0x7fc00000 : static_cast<std::uint32_t>(value) << 23;
}
std::uint8_t e8m0_of_float(std::uint32_t bits) { return static_cast<std::uint8_t>(bits >> 23); }

template <class Narrow, class Wide, Wide (*to_wide)(Narrow)>
void widen(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i, from += sizeof(Narrow), to += sizeof(Wide)) {
    Narrow value;
    std::memcpy(&value, from, sizeof value);
    const Wide wide = to_wide(value);
    std::memcpy(to, &wide, sizeof wide);
  }
}

template <class Narrow, class Wide, Wide (*to_wide)(Narrow), Narrow (*to_narrow)(Wide)>
bool narrow(const std::byte* from, std::size_t count, std::byte* to) {
  bool fits = true;
  for (std::size_t i = 0; i < count; ++i, from += sizeof(Wide), to += sizeof(Narrow)) {
    Wide wide;
    std::memcpy(&wide, from, sizeof wide);
    const Narrow value = to_narrow(wide);
    fits = fits && to_wide(value) == wide;
    std::memcpy(to, &value, sizeof value);
  }
  return fits;
}

template <class Narrow, class Wide, Wide (*to_wide)(Narrow), Narrow (*to_narrow)(Wide)>
constexpr GgufSubstitute wider(DType dtype, DType stored, std::string_view text) {
  return {dtype,
          stored,
          sizeof(Narrow),
          sizeof(Wide),
          text,
          widen<Narrow, Wide, to_wide>,
          narrow<Narrow, Wide, to_wide, to_narrow>};
}
template <class Narrow, class Wide>
constexpr GgufSubstitute wider_integer(DType dtype, DType stored, std::string_view text) {
  return wider<Narrow, Wide, as_wide<Narrow, Wide>, as_narrow<Narrow, Wide>>(dtype, stored, text);
}

constexpr GgufSubstitute kSubstitutes[] = {
    {DType::kBool, DType::kI8, 1, 1, "I8, 0 and 1"},
    wider_integer<std::uint8_t, std::int16_t>(DType::kU8, DType::kI16, "I16"),
    wider_integer<std::uint16_t, std::int32_t>(DType::kU16, DType::kI32, "I32"),
    wider_integer<std::uint32_t, std::int64_t>(DType::kU32, DType::kI64, "I64"),
    {DType::kU64, DType::kI64, 8, 8, "I64, negative from 2^63 on"},
    {DType::kC64, DType::kF32, 4, 4, "pairs of F32"},
    wider<std::uint8_t, std::uint16_t, half_of_e5m2, e5m2_of_half>(DType::kF8E5M2, DType::kF16, "F16"),
    wider<std::uint8_t, std::uint16_t, half_of_e4m3, e4m3_of_half>(DType::kF8E4M3, DType::kF16, "F16"),
    wider<std::uint8_t, std::uint32_t, float_of_e8m0, e8m0_of_float>(DType::kF8E8M0, DType::kF32, "F32"),
    {DType::kF8E4M3FNUZ, DType::kI8, 1, 1, "bytes"},
    {DType::kF8E5M2FNUZ, DType::kI8, 1, 1, "bytes"},
    {DType::kF6E2M3, DType::kI8, 1, 1, "bytes"},
    {DType::kF6E3M2, DType::kI8, 1, 1, "bytes"},
    {DType::kF4, DType::kI8, 1, 1, "bytes"},
};

// At a border between characters.
std::string_view first_bytes(std::string_view text, std::size_t count) {
  while (count > 0 && (static_cast<unsigned char>(text[count]) & 0xc0) == 0x80) --count;
  return text.substr(0, count);
}
std::string_view last_bytes(std::string_view text, std::size_t count) {
  while (count > 0 && (static_cast<unsigned char>(text[text.size() - count]) & 0xc0) == 0x80) --count;
  return text.substr(text.size() - count);
}

}  // namespace

const GgufSubstitute* find_gguf_substitute(DType dtype) {
  const auto* found = std::ranges::find(kSubstitutes, dtype, &GgufSubstitute::dtype);
  return found == std::end(kSubstitutes) ? nullptr : found;
}

Shape folded_shape(const Shape& shape) {
  if (shape.size() <= kMostGgufDimensions) return shape;
  const auto kept = static_cast<std::ptrdiff_t>(kMostGgufDimensions) - 1;
  Shape folded(shape.end() - kept, shape.end());
  const auto rows = checked_element_count(Shape(shape.begin(), shape.end() - kept));
  folded.insert(folded.begin(), static_cast<std::int64_t>(rows.value_or(0)));  // without a count only where empty
  return folded;
}

Shape stored_gguf_shape(const GgufSubstitute* substitute, const TensorInfo& tensor) {
  if (substitute == nullptr) return tensor.shape;
  if (dtype_bits(tensor.dtype) < 8) return {static_cast<std::int64_t>(tensor.size_bytes)};
  Shape shape = tensor.shape;
  if (tensor.dtype == DType::kC64) shape.push_back(2);
  return shape;
}

std::string short_gguf_name(const std::string& name, std::size_t attempt) {
  constexpr std::size_t kHashBytes = 8, kEndBytes = 32;
  Hash hash;
  hash.add(std::as_bytes(std::span(name)));
  hash.add(std::as_bytes(std::span(&attempt, 1)));
  const std::size_t start_bytes = kMostGgufNameBytes - kHashBytes - kEndBytes - 2;
  return formatted("{}~{}~{}", first_bytes(name, start_bytes), hash.text().substr(0, kHashBytes),
                   last_bytes(name, kEndBytes));
}

}  // namespace mnq
