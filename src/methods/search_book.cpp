// Scales of 8 bits: that of minmax and its neighbours are tried, and what leaves the least error stays. Others: the
// largest weight of a group becomes some parts of the largest value, or less than its negative one; what explains most
// stays, with the scale that suits its codes best.
#include "methods/search_book.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/not_finite.h"
#include "methods/book_scales.h"

namespace mnq {
namespace {

using kernels::CodeSums;
using kernels::kernel_table;

// Steps from minmax's scale. What is first stays where no other is better.
constexpr int kPowers[] = {0, -1, 1};
constexpr int kSteps[] = {0, -1, 1, -2, 2, -3, 3, -4, 4, 5, 6, 7, 8};

// Parts of minmax's scale, signed.
constexpr float kParts[] = {1,       0.975f, 0.95f,   0.925f, 0.9f,   0.875f,  0.85f,  0.825f,  0.8f,
                            1.05f,   1.1f,   1.15f,   1.2f,   -1,     -0.975f, -0.95f, -0.925f, -0.9f,
                            -0.875f, -0.85f, -0.825f, -0.8f,  -1.05f, -1.1f,   -1.15f, -1.2f};
constexpr std::size_t kPositiveParts = std::size(kParts) / 2;

// A piece, and memory for its groups.
struct Search {
  const QuantizedSpec& spec;
  const Scheme& scheme;
  const float* weights;
  const PiecePlace& place;
  std::uint64_t group_size;
  std::uint64_t count;  // of groups
  BookScales stored;
  std::int8_t* codes;
  float* scales;  // the best so far, then those of minmax, those that are tried, and what the best explain
  CodeSums* sums;

  float* starts() const { return scales + count; }
  float* tried() const { return scales + 2 * count; }
  float* explained() const { return scales + 3 * count; }

  void encode(const float* by) const {
    encode_values(scheme, weights, place.row_count, place.column_count, group_size, by, codes, nullptr);
  }

  void take_sums(const float* by) const {
    encode(by);
    kernel_table().code_sums(weights, place.row_count, place.column_count, group_size, scheme.book,
                             std::size_t{1} << scheme.bits, codes, sums);
  }
};

void start(const Search& search) {
  search.stored.take(search.weights, search.place, search.starts());
  std::copy_n(search.starts(), search.count, search.scales);
  std::fill_n(search.explained(), search.count, -std::numeric_limits<float>::infinity());
}

void keep_better(const Search& search, std::uint64_t group, float explained, float scale) {
  if (!(explained > search.explained()[group]) || scale == 0 || !std::isfinite(scale)) return;
  search.explained()[group] = explained;
  search.scales[group] = scale;
}

void try_neighbours(const Search& search, std::span<const int> steps) {
  for (const int step : steps) {
    for (std::uint64_t i = 0; i < search.count; ++i) {
      search.tried()[i] = search.stored.neighbour(search.starts()[i], step);
    }
    search.take_sums(search.tried());
    for (std::uint64_t i = 0; i < search.count; ++i) {
      const float scale = search.tried()[i];
      keep_better(search, i, scale * (2 * search.sums[i].a - scale * search.sums[i].b), scale);
    }
  }
}

// With the scale that suits codes best they explain A^2 / B.
void keep_fitted(const Search& search) {
  for (std::uint64_t i = 0; i < search.count; ++i) {
    const auto [a, b] = search.sums[i];
    if (b > 0) keep_better(search, i, a * (a / b), a / b);
  }
}

void try_parts(const Search& search, std::span<const float> parts) {
  for (const float part : parts) {
    for (std::uint64_t i = 0; i < search.count; ++i) search.tried()[i] = part * search.starts()[i];
    search.take_sums(search.tried());
    keep_fitted(search);
  }
  search.take_sums(search.scales);
  keep_fitted(search);
  for (std::uint64_t i = 0; i < search.count; ++i) search.scales[i] = round_scale(search.spec, search.scales[i]);
}

}  // namespace

bool can_search_book(const QuantizedSpec& spec) { return has_few_scales(spec) || scheme_of(spec).values != nullptr; }

Coded search_book(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers) {
  const std::uint64_t group_size = group_size_in(spec, place), groups = ceil_div(place.column_count, group_size);
  const std::uint64_t count = place.row_count * groups;
  const Search search{spec,
                      scheme_of(spec),
                      weights,
                      place,
                      group_size,
                      count,
                      BookScales(spec, buffers.global_scale),
                      buffers.codes.get<std::int8_t>(place.count()),
                      buffers.scales.get<float>(4 * count),
                      buffers.zero_points.get<CodeSums>(count)};
  const CodedPiece piece{.place = place, .group_size = group_size, .codes = search.codes, .scales = search.scales};
  if (const auto bad = find_not_finite(weights, place.count())) return {piece, bad};
  start(search);
  if (!has_few_scales(spec)) {
    try_parts(search, std::span(kParts).first(spec.has_free_scales ? std::size(kParts) : kPositiveParts));
  } else if (scheme_of(spec).has_global_scale) {
    try_neighbours(search, kSteps);
  } else {
    try_neighbours(search, kPowers);
  }
  encode_and_measure(search.scheme, weights, place, group_size, search.scales, search.codes, buffers.sums);
  return {piece, std::nullopt};
}

}  // namespace mnq
