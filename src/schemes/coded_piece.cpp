#include "schemes/coded_piece.h"

#include <algorithm>

namespace mnq {
namespace {

// Calls of(scale index, first element, count) for each group of a piece.
template <class Of>
void for_each_group(const CodedPiece& piece, const Of& of) {
  std::uint64_t scale = 0, element = 0;
  for (std::uint64_t row = 0; row < piece.place.row_count; ++row) {
    for (std::uint64_t column = 0; column < piece.place.column_count; column += piece.group_size, ++scale) {
      const std::uint64_t count = std::min(piece.group_size, piece.place.column_count - column);
      of(scale, element, count);
      element += count;
    }
  }
}

void decode_with_minima(const kernels::KernelTable& kernels, const Scheme& scheme, const CodedPiece& piece,
                        float* weights) {
  const auto lowest = static_cast<std::int8_t>(scheme.rule.code_min);
  for_each_group(piece, [&](std::uint64_t scale, std::uint64_t at, std::uint64_t count) {
    kernels.dequantize_rows(piece.codes + at, 1, count, count, 0, &piece.scales[scale], &lowest, weights + at);
    for (std::uint64_t i = at; i < at + count; ++i) weights[i] += piece.minima[scale];
  });
}

// The scale is copied: as far as the compiler knows, each weight that is written could be it.
void decode_by_book(const Scheme& scheme, const CodedPiece& piece, float* weights) {
  const float* book = scheme.book;
  for_each_group(piece, [&](std::uint64_t index, std::uint64_t at, std::uint64_t count) {
    const float scale = piece.scales[index];
    const std::int8_t* codes = piece.codes + at;
    float* to = weights + at;
    for (std::uint64_t i = 0; i < count; ++i) to[i] = book[static_cast<std::uint8_t>(codes[i])] * scale;
  });
}

// Rows of one number each have a scale each: a call for each would cost more than the work.
void decode_numbers(const Scheme& scheme, const CodedPiece& piece, float* weights) {
  for (std::uint64_t i = 0; i < piece.place.row_count; ++i) {
    const auto code = static_cast<std::int8_t>(static_cast<std::uint8_t>(piece.codes[i]) ^ scheme.rule.code_xor);
    const int zero_point = piece.zero_points == nullptr ? 0 : piece.zero_points[i];
    weights[i] = static_cast<float>(code - zero_point) * piece.scales[i];
  }
}

}  // namespace

void decode(const kernels::KernelTable& kernels, const Scheme& scheme, const CodedPiece& piece, float* weights) {
  if (scheme.blocks != nullptr) {
    return scheme.blocks->decode(piece.blocks, piece.place.count() / scheme.blocks->elements, weights);
  }
  if (scheme.has_minima) return decode_with_minima(kernels, scheme, piece, weights);
  if (scheme.book != nullptr) return decode_by_book(scheme, piece, weights);
  if (piece.place.column_count == 1) return decode_numbers(scheme, piece, weights);
  kernels.dequantize_rows(piece.codes, piece.place.row_count, piece.place.column_count, piece.group_size,
                          scheme.rule.code_xor, piece.scales, piece.zero_points, weights);
}

}  // namespace mnq
