// The loops that the vector instruction sets share. A wrapper V of them has
//   I, F            registers of kLanes 32-bit integers and floats
//   kCodeBytes      of an activation; a register lane takes 4 of 1 byte, or 2 of 2, at once
//   store_codes     kChunk activations as they are multiplied (arrange256.inc.h)
//   kVectors        how many of them a panel is wide
//   sets(rows)      of sums of a tile: where it has few rows, one set alone would wait for itself
//   weights<nibbles, step>(from)   kLanes columns for one step of a product; steps(nibbles) of them use up 4 bytes each
//   dot(sums, weights, row)        sums + the products of a step
//   lowest(nibbles)                what weights() takes off each weight
// and plain loads, stores and arithmetic.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "linear/linear_kernels.h"

#define MNQ_INLINE __attribute__((always_inline)) inline

namespace mnq::linear {
namespace {

// How far ahead weights are fetched: by who waits for the memory, and by who uses them several times.
constexpr std::size_t kFarAhead = 4096;
constexpr std::size_t kAhead = 512;

/// Sums of a tile of kRows.
template <class V, std::size_t kRows>
struct Sums {
  typename V::I at[kRows][V::kVectors];
};

template <class V>
constexpr std::size_t kColumns = V::kVectors* V::kLanes;
template <class V>
constexpr std::size_t kStepBytes = 4 * kColumns<V>;  // of a panel: what one lane of each column holds

template <class V, bool kNibbles, std::size_t kStep, std::size_t kRows>
MNQ_INLINE void add_step(const std::uint8_t* weights, const std::uint8_t* rows, std::size_t stride,
                         Sums<V, kRows>& sums) {
  typename V::I columns[V::kVectors];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < V::kVectors; ++v) {
    columns[v] = V::template weights<kNibbles, kStep>(weights + v * sizeof(typename V::I));
  }
#pragma GCC unroll 8
  for (std::size_t row = 0; row < kRows; ++row) {
    const typename V::I codes = V::broadcast(rows + row * stride + kStep * 4);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V::kVectors; ++v) sums.at[row][v] = V::dot(sums.at[row][v], columns[v], codes);
  }
}

/// All steps of 4 bytes of each column.
template <class V, bool kNibbles, std::size_t kRows>
MNQ_INLINE void add_steps(const std::uint8_t* weights, const std::uint8_t* rows, std::size_t stride,
                          Sums<V, kRows>& sums) {
  add_step<V, kNibbles, 0>(weights, rows, stride, sums);
  if constexpr (V::steps(kNibbles) > 1) add_step<V, kNibbles, 1>(weights, rows, stride, sums);
  if constexpr (V::steps(kNibbles) > 2) {
    add_step<V, kNibbles, 2>(weights, rows, stride, sums);
    add_step<V, kNibbles, 3>(weights, rows, stride, sums);
  }
}

/// LinearKernel::arrange: from the sum of a group's codes to its offset.
template <class V>
std::int32_t offset_weight(const Panels& panels) {
  return panels.zero_points == nullptr ? panels.plain_zero - V::lowest(panels.has_nibbles) : 1;
}

template <class V, bool kNibbles, std::size_t kRows>
MNQ_INLINE void start_sums(const Panels& panels, const CodedRows& coded, std::size_t row, std::size_t group,
                           const std::uint8_t* zero_points, Sums<V, kRows>& sums) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    const typename V::I offset = V::set(coded.offsets[(row + r) * panels.group_count + group]);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V::kVectors; ++v) {
      if (zero_points == nullptr) {
        sums.at[r][v] = offset;
      } else {
        const typename V::I zeros = V::widen(zero_points + v * V::kLanes);
        sums.at[r][v] = V::mul(offset, V::lowest(kNibbles) == 0 ? zeros : V::add(zeros, V::set(-V::lowest(kNibbles))));
      }
    }
  }
}

template <class V, std::size_t kRows>
MNQ_INLINE void clear_sums(Sums<V, kRows>& sums) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V::kVectors; ++v) sums.at[r][v] = V::zero();
  }
}

template <class V, std::size_t kRows>
MNQ_INLINE void add_sums(const Sums<V, kRows>& more, Sums<V, kRows>& sums) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V::kVectors; ++v) sums.at[r][v] = V::add(sums.at[r][v], more.at[r][v]);
  }
}

/// Fetches a step that is to come.
template <class V, std::size_t kAhead>
MNQ_INLINE void prefetch_step(const std::uint8_t* weights) {
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kStepBytes<V>; i += 64) V::prefetch(weights + kAhead + i);
}

/// A group of a tile.
template <class V, bool kNibbles, std::size_t kRows>
MNQ_INLINE void sum_group(const std::uint8_t* weights, const std::uint8_t* rows, std::size_t stride,
                          std::size_t step_count, Sums<V, kRows>& sums) {
  constexpr std::size_t kSets = V::sets(kRows), kStep = kStepBytes<V>;
  constexpr std::size_t kRowBytes = 4 * V::steps(kNibbles);  // of a row for 4 bytes of a column
  Sums<V, kRows> more[kSets];
#pragma GCC unroll 4
  for (std::size_t set = 1; set < kSets; ++set) clear_sums<V>(more[set]);
#pragma GCC unroll 1
  for (std::size_t step = 0; step < step_count; step += kSets) {
#pragma GCC unroll 4
    for (std::size_t set = 0; set < kSets; ++set) {
      const std::uint8_t* from = weights + (step + set) * kStep;
      prefetch_step<V, kRows == 1 ? kFarAhead : kAhead>(from);
      add_steps<V, kNibbles>(from, rows + (step + set) * kRowBytes, stride, set == 0 ? sums : more[set]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t set = 1; set < kSets; ++set) add_sums<V>(more[set], sums);
}

/// What a group comes to, on top of those before it.
template <class V>
MNQ_INLINE typename V::F add_group(typename V::I sum, const float* scales, bool is_first, const float* before) {
  return V::fma(V::to_floats(sum), V::load(scales), is_first ? V::zero_floats() : V::load(before));
}

template <class V>
MNQ_INLINE typename V::F finish(const Panels& panels, typename V::F zero_point, typename V::F scale, std::size_t place,
                                typename V::F value) {
  value = V::mul(V::fma(zero_point, V::load(panels.column_sums + place), value), scale);
  return panels.bias == nullptr ? value : V::add(value, V::load(panels.bias + place));
}

/// Where the outputs of a tile go.
struct TileTarget {
  float* floats;
  std::size_t stride;
};

/// The sums of a group to what comes before it, or of the last one to outputs.
template <class V, std::size_t kRows>
MNQ_INLINE void store_group(const Panels& panels, const CodedRows& coded, std::size_t panel, std::size_t row,
                            std::size_t group, const Sums<V, kRows>& sums, float* values, const TileTarget& to) {
  const float* scales = panels.scales + (panel * panels.group_count + group) * kColumns<V>;
  const bool is_first = group == 0, is_last = group + 1 == panels.group_count;
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    float* before = values + r * kColumns<V>;
    float* after = is_last ? to.floats + r * to.stride : before;
    const typename V::F zero_point = V::set(-coded.zero_points[row + r]), scale = V::set(coded.scales[row + r]);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V::kVectors; ++v) {
      const std::size_t i = v * V::kLanes;
      typename V::F value = add_group<V>(sums.at[r][v], scales + i, is_first, before + i);
      if (is_last) value = finish<V>(panels, zero_point, scale, panel * kColumns<V> + i, value);
      V::store(after + i, value);
    }
  }
}

template <class V, bool kNibbles, std::size_t kRows>
MNQ_INLINE void sum_groups(const Panels& panels, const CodedRows& coded, std::size_t panel, std::size_t row,
                           const TileTarget& to) {
  constexpr std::size_t kPerByte = kNibbles ? 2 : 1;
  alignas(64) float values[kRows * kColumns<V>];
  const std::uint8_t* weights = panels.codes + panel * panels.panel_bytes();
  const std::uint8_t* rows = coded.codes + row * coded.stride;
  const std::uint8_t* zero_points = panels.zero_points;
  if (zero_points != nullptr) zero_points += panel * panels.group_count * kColumns<V>;
  for (std::size_t group = 0; group < panels.group_count; ++group) {
    const std::size_t length = panels.group_length(group);
    Sums<V, kRows> sums;
    start_sums<V, kNibbles>(panels, coded, row, group, zero_points, sums);
    sum_group<V, kNibbles>(weights, rows, coded.stride, length / 4 / kPerByte, sums);
    store_group<V, kRows>(panels, coded, panel, row, group, sums, values, to);
    weights += length / 4 / kPerByte * kStepBytes<V>;
    rows += length * V::kCodeBytes;
    if (zero_points != nullptr) zero_points += kColumns<V>;
  }
}

/// Rows without elements.
template <class V>
void store_bias(const Panels& panels, std::size_t panel, std::size_t rows, const TileTarget& to) {
  for (std::size_t i = 0; i < rows * kColumns<V>; ++i) {
    const std::size_t column = i % kColumns<V>;
    to.floats[i / kColumns<V> * to.stride + column] =
        panels.bias == nullptr ? 0 : 0.0f + panels.bias[panel * kColumns<V> + column];  // not -0
  }
}

/// Outputs that could not be stored where they belong: [rows][stride], `count` of each row.
inline void move_outputs(const float* values, std::size_t stride, std::size_t rows, std::size_t row, std::size_t first,
                         std::size_t count, const Target& out) {
  for (std::size_t r = 0; r < rows; ++r) {
    const float* from = values + r * stride;
    const std::size_t place = (row + r) * out.stride + first;
    if (out.floats != nullptr) {
      std::memcpy(out.floats + place, from, count * sizeof(float));
    } else {
      out.narrow(from, count, out.halves + place);
    }
  }
}

/// Fetches the lines that outputs will be written to: there are hundreds of steps until then.
template <class V, std::size_t kRows>
MNQ_INLINE void prefetch_outputs(const TileTarget& to) {
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t i = 0; i < kColumns<V>; i += 16) __builtin_prefetch(to.floats + r * to.stride + i, 1);
  }
}

template <class V, bool kNibbles, std::size_t kRows>
void multiply_tile(const Panels& panels, const CodedRows& coded, std::size_t panel, std::size_t row,
                   const Target& out) {
  alignas(64) float moved[kRows * kColumns<V>];
  const std::size_t first = panel * kColumns<V>;
  const std::size_t left = panels.output_count - first, count = left < kColumns<V> ? left : kColumns<V>;
  const bool is_direct = out.floats != nullptr && count == kColumns<V>;
  const TileTarget to =
      is_direct ? TileTarget{out.floats + row * out.stride + first, out.stride} : TileTarget{moved, kColumns<V>};
  if (is_direct) prefetch_outputs<V, kRows>(to);
  sum_groups<V, kNibbles, kRows>(panels, coded, panel, row, to);
  if (panels.group_count == 0) store_bias<V>(panels, panel, kRows, to);
  if (!is_direct) move_outputs(moved, kColumns<V>, kRows, row, first, count, out);
}

template <class V, bool kNibbles>
void multiply_rows(const Panels& panels, const CodedRows& coded, std::size_t panel, std::size_t row, std::size_t count,
                   const Target& out) {
  switch (count) {
    case 1:
      return multiply_tile<V, kNibbles, 1>(panels, coded, panel, row, out);
    case 2:
      return multiply_tile<V, kNibbles, 2>(panels, coded, panel, row, out);
    case 3:
      return multiply_tile<V, kNibbles, 3>(panels, coded, panel, row, out);
    case 4:
      return multiply_tile<V, kNibbles, 4>(panels, coded, panel, row, out);
    case 5:
      return multiply_tile<V, kNibbles, 5>(panels, coded, panel, row, out);
    default:
      return multiply_tile<V, kNibbles, kTileRows>(panels, coded, panel, row, out);
  }
}

/// LinearKernel::multiply. Rows are cut into tiles of equal height: one of a single row at the end would cost as much
/// as one of four.
template <class V>
void multiply(const Panels& panels, const CodedRows& rows, const Block& block, const Target& out) {
  const std::size_t count = block.last_row - block.first_row;
  const std::size_t tiles = (count + kTileRows - 1) / kTileRows;
  for (std::size_t panel = block.first_panel; panel < block.last_panel; ++panel) {
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t first = count * tile / tiles, last = count * (tile + 1) / tiles;
      const auto work = panels.has_nibbles ? multiply_rows<V, true> : multiply_rows<V, false>;
      work(panels, rows, panel, block.first_row + first, last - first, out);
    }
  }
}

}  // namespace
}  // namespace mnq::linear
