// AMX: sums of 16 rows and 16 columns to a tile, 64 elements of each in one instruction. Panels are those of AVX-512
// VNNI, which does what has few rows.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12's own header, bug 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni,amx-tile,amx-int8"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni,amx-tile,amx-int8")
#endif

#include <algorithm>

#include "linear/linear_rows.inc.h"
#include "linear/linear_table.h"
#include "linear/vector512.inc.h"

namespace mnq::linear {
namespace {

using V = Avx512Vnni;

constexpr std::size_t kTileHeight = 16;  // rows of activations
constexpr std::size_t kWidth = 32;       // columns that are worked on together: two tiles

/// What the compiler has yet to store is seen by tiles, whose instructions it does not look into.
MNQ_INLINE void finish_stores() { __asm__ volatile("" ::: "memory"); }

/// What LDTILECFG reads.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  void set(std::size_t tile, std::size_t height, std::size_t width_bytes) {
    rows[tile] = static_cast<std::uint8_t>(height);
    row_bytes[tile] = static_cast<std::uint16_t>(height == 0 ? 0 : width_bytes);
  }

  // The compiler knows of the first bytes alone that they are read.
  MNQ_INLINE void load() const {
    finish_stores();
    _tile_loadconfig(this);
    finish_stores();
  }
};

/// Elements to an instruction.
std::size_t step_of(const Panels& panels) {
  return panels.group_size % 64 == 0 && panels.row_length % 64 == 0 ? 64 : 32;
}

/// Whether rows are too few for tiles. Sums of small groups go through memory more often.
bool are_few(std::size_t rows, const Panels& panels) {
  if (!panels.has_nibbles) return rows < 6;
  return rows < (panels.group_size < 64 ? 12 : 8);
}

/// The panel that comes next is fetched while one is worked on, as much of it in each of some steps.
class Ahead {
 public:
  void start(const Panels& panels, const Block& block, std::size_t panel, std::size_t steps) {
    next_ = panels.codes + panel * panels.panel_bytes();
    end_ = panel < block.last_panel ? next_ + panels.panel_bytes() : next_;
    step_bytes_ = (panels.panel_bytes() / steps + 63) / 64 * 64;
  }

  MNQ_INLINE void step() {
    const std::uint8_t* end = next_ + std::min<std::size_t>(step_bytes_, static_cast<std::size_t>(end_ - next_));
    for (; next_ < end; next_ += 64) _mm_prefetch(reinterpret_cast<const char*>(next_), _MM_HINT_T1);
  }

 private:
  const std::uint8_t* next_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  std::size_t step_bytes_ = 0;
};

/// Outputs that are worked on together: some rows of columns [column, column + kWidth).
struct Piece {
  std::size_t panel, column;  ///< the latter of the panel
  std::size_t row, rows;

  std::size_t first_output() const { return panel * kColumns<V> + column; }
};

/// Where the outputs of a piece go, and what makes them of what its groups came to.
class Outputs {
 public:
  /// values: [piece.rows][kWidth], for outputs that cannot be stored where they belong.
  MNQ_INLINE Outputs(const Panels& panels, const CodedRows& coded, const Piece& piece, const Target& out, float* values)
      : piece_(piece), out_(out), values_(values), zero_points_(coded.zero_points + piece.row) {
    const std::size_t first = piece.first_output();
    scales_ = coded.scales + piece.row;
    count_ = std::min(kWidth, panels.output_count - first);
    has_bias_ = panels.bias != nullptr;
    is_direct_ = out.floats != nullptr && count_ == kWidth;
    to_ = is_direct_ ? TileTarget{out.floats + piece.row * out.stride + first, out.stride} : TileTarget{values, kWidth};
    for (std::size_t v = 0; v < 2; ++v) {
      column_sums_[v] = V::load(panels.column_sums + first + v * V::kLanes);
      bias_[v] = has_bias_ ? V::load(panels.bias + first + v * V::kLanes) : V::zero_floats();
    }
  }

  MNQ_INLINE void store(std::size_t r, const __m512 (&values)[2]) const {
    const __m512 zero_point = V::set(-zero_points_[r]), scale = V::set(scales_[r]);
#pragma GCC unroll 2
    for (std::size_t v = 0; v < 2; ++v) {
      const __m512 value = V::mul(V::fma(zero_point, column_sums_[v], values[v]), scale);
      V::store(to_.floats + r * to_.stride + v * V::kLanes, has_bias_ ? V::add(value, bias_[v]) : value);
    }
  }

  void finish() const {
    if (is_direct_) return;
    move_outputs(values_, kWidth, piece_.rows, piece_.row, piece_.first_output(), count_, out_);
  }

 private:
  const Piece& piece_;
  const Target& out_;
  const float* values_;
  const float* zero_points_;
  const float* scales_;
  std::size_t count_;
  bool has_bias_, is_direct_;
  TileTarget to_;
  __m512 column_sums_[2], bias_[2];
};

/// Weights of 8 bits, from where they lie: 32 rows at a time, so that each tile is loaded for two products. Tiles 0 to 3
/// have the sums of the upper rows, then of the lower ones; 4 and 5 their codes; 6 and 7 weights.
class ByteProduct {
 public:
  ByteProduct(const Panels& panels, const CodedRows& coded, const Target& out)
      : panels_(panels), coded_(coded), out_(out), step_(step_of(panels)) {}

  void multiply(const Block& block) {
    const std::size_t count = block.last_row - block.first_row;
    const std::size_t pieces = (count + 2 * kTileHeight - 1) / (2 * kTileHeight);
    for (std::size_t panel = block.first_panel; panel < block.last_panel; ++panel) {
      const std::size_t columns = std::min(kColumns<V>, panels_.output_count - panel * kColumns<V>);
      ahead_.start(panels_, block, panel + 1, 2 * pieces * (panels_.row_length / step_));
      for (std::size_t column = 0; column < columns; column += kWidth) {
        for (std::size_t i = 0; i < pieces; ++i) {
          const std::size_t first = count * i / pieces, last = count * (i + 1) / pieces;
          multiply_piece({panel, column, block.first_row + first, last - first});
        }
      }
    }
    add_stored();
  }

 private:
  void multiply_piece(const Piece& piece) {
    const std::size_t upper = piece.rows <= kTileHeight ? piece.rows : (piece.rows + 1) / 2;
    shape_tiles(upper, piece.rows - upper);
    for (std::size_t group = 0; group < panels_.group_count; ++group) {
      sum_tiles(piece, group);
      add_stored();
      store_tiles();
      stored_ = {piece, group};
    }
  }

  /// What tiles stored before: it is added up while the products of others run.
  MNQ_INLINE void add_stored() {
    if (stored_.piece.rows == 0) return;
    const Outputs outputs(panels_, coded_, stored_.piece, out_, values_);
    if (stored_.group + 1 < panels_.group_count) {
      add_group_sums<false>(stored_.piece, stored_.group, outputs);
    } else {
      add_group_sums<true>(stored_.piece, stored_.group, outputs);
      outputs.finish();
    }
  }

  void shape_tiles(std::size_t upper, std::size_t lower) {
    if (upper == upper_ && lower == lower_) return;
    upper_ = upper;
    lower_ = lower;
    TileShapes shapes;
    for (std::size_t tile : {0, 1}) shapes.set(tile, upper, 64);
    for (std::size_t tile : {2, 3}) shapes.set(tile, lower, 64);
    shapes.set(4, upper, step_);
    shapes.set(5, lower, step_);
    for (std::size_t tile : {6, 7}) shapes.set(tile, step_ / 4, 64);
    shapes.load();
  }

  MNQ_INLINE void sum_tiles(const Piece& piece, std::size_t group) {
    const std::size_t first = group * panels_.group_size, length = panels_.group_length(group);
    const std::uint8_t* rows = coded_.codes + piece.row * coded_.stride + first;
    const std::uint8_t* weights =
        panels_.codes + piece.panel * panels_.panel_bytes() + first / 4 * kStepBytes<V> + piece.column * 4;
    const std::size_t stride = coded_.stride;
    const std::uint8_t* lower = rows + upper_ * stride;
    _tile_zero(0);
    _tile_zero(1);
    if (lower_ != 0) {
      _tile_zero(2);
      _tile_zero(3);
    }
    for (std::size_t i = 0; i < length; i += step_) {
      const std::uint8_t* from = weights + i / 4 * kStepBytes<V>;
      _tile_loadd(4, rows + i, stride);
      _tile_loadd(6, from, kStepBytes<V>);
      _tile_dpbsud(0, 4, 6);
      _tile_loadd(7, from + 4 * V::kLanes, kStepBytes<V>);
      _tile_dpbsud(1, 4, 7);
      if (lower_ != 0) {
        _tile_loadd(5, lower + i, stride);
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
      }
      ahead_.step();
    }
  }

  MNQ_INLINE void store_tiles() {
    std::int32_t* lower_sums = sums_ + upper_ * kWidth;
    _tile_stored(0, sums_, kWidth * 4);
    _tile_stored(1, sums_ + V::kLanes, kWidth * 4);
    if (lower_ != 0) {
      _tile_stored(2, lower_sums, kWidth * 4);
      _tile_stored(3, lower_sums + V::kLanes, kWidth * 4);
    }
  }

  template <bool kIsLast>
  MNQ_INLINE void add_group_sums(const Piece& piece, std::size_t group, const Outputs& outputs) {
    const std::size_t place = (piece.panel * panels_.group_count + group) * kColumns<V> + piece.column;
    const std::size_t group_count = panels_.group_count;
    const bool has_zeros = panels_.zero_points != nullptr, is_first = group == 0;
    __m512i zeros[2];
    __m512 scales[2];
    for (std::size_t v = 0; v < 2; ++v) {
      zeros[v] = has_zeros ? V::widen(panels_.zero_points + place + v * V::kLanes) : V::set(1);
      scales[v] = V::load(panels_.scales + place + v * V::kLanes);
    }
    const std::int32_t* offsets = coded_.offsets + piece.row * group_count + group;
    for (std::size_t r = 0; r < piece.rows; ++r) {
      const __m512i offset = V::set(offsets[r * group_count]);
      __m512 values[2];
#pragma GCC unroll 2
      for (std::size_t v = 0; v < 2; ++v) {
        const std::size_t at = r * kWidth + v * V::kLanes;
        const __m512i sum = V::add(_mm512_load_si512(sums_ + at), has_zeros ? V::mul(offset, zeros[v]) : offset);
        values[v] = V::fma(V::to_floats(sum), scales[v], is_first ? V::zero_floats() : V::load(values_ + at));
        if constexpr (!kIsLast) V::store(values_ + at, values[v]);
      }
      if constexpr (kIsLast) outputs.store(r, values);
    }
  }

  const Panels& panels_;
  const CodedRows& coded_;
  const Target& out_;
  std::size_t step_;
  std::size_t upper_ = 0, lower_ = 0;  ///< rows of the tiles
  struct {
    Piece piece;
    std::size_t group;
  } stored_{};
  Ahead ahead_;
  alignas(64) std::int32_t sums_[2 * kTileHeight * kWidth];
  alignas(64) float values_[2 * kTileHeight * kWidth];
};

/// Weights of 4 bits: taken apart, and their zero points off, a slice of elements at a time, which many rows then share.
/// A tile's floats stay in registers while it goes through the groups of a slice. Tile 0 has sums, 4 codes, 6 weights.
/// Where rows do not fill the last tile it takes some of the one before it, too, which come to the same.
class NibbleProduct {
 public:
  NibbleProduct(const Panels& panels, const CodedRows& coded, const Block& block, const Target& out)
      : panels_(panels),
        coded_(coded),
        block_(block),
        out_(out),
        step_(step_of(panels)),
        height_(std::min(kTileHeight, block.last_row - block.first_row)) {
    TileShapes shapes;
    shapes.set(0, height_, 64);
    shapes.set(4, height_, step_);
    shapes.set(6, step_ / 4, 64);
    shapes.load();
  }

  void multiply() {
    const std::size_t tiles = (block_.last_row - block_.first_row + height_ - 1) / height_;
    const std::size_t bands = (tiles + kBand - 1) / kBand;
    for (std::size_t panel = block_.first_panel; panel < block_.last_panel; ++panel) {
      const std::size_t columns = std::min(kColumns<V>, panels_.output_count - panel * kColumns<V>);
      ahead_.start(panels_, block_, panel + 1, 2 * bands * ((panels_.row_length + kSlice - 1) / kSlice));
      for (std::size_t column = 0; column < columns; column += kWidth) {
        for (std::size_t band = 0; band < bands; ++band) {
          multiply_band(panel, column, tiles * band / bands, tiles * (band + 1) / bands);
        }
      }
    }
  }

 private:
  static constexpr std::size_t kBand = 4;     // tiles that share a slice
  static constexpr std::size_t kSlice = 256;  // elements
  static constexpr std::size_t kLate = 2;     // groups until sums are read: stores of tiles take their time

  /// Elements [first, last), of whole groups or of a part of one.
  struct Slice {
    std::size_t first, last;
  };

  Slice slice_from(std::size_t first) const {
    const std::size_t group = panels_.group_size, length = panels_.row_length;
    if (group <= kSlice) return {first, std::min(length, first + kSlice / group * group)};
    return {first, std::min({length, first + kSlice, (first / group + 1) * group})};
  }

  std::size_t row_of(std::size_t tile) const {
    return std::min(block_.first_row + tile * height_, block_.last_row - height_);
  }

  void multiply_band(std::size_t panel, std::size_t column, std::size_t first_tile, std::size_t last_tile) {
    const Piece piece{panel, column, 0, 0};
    for (Slice slice = slice_from(0); slice.first < panels_.row_length; slice = slice_from(slice.last)) {
      take_apart(piece, slice);
      ahead_.step();
      for (std::size_t tile = first_tile; tile < last_tile; ++tile) {
        const std::uint8_t* rows = coded_.codes + row_of(tile) * coded_.stride + slice.first;
        const std::size_t place = (tile - first_tile) * kTileHeight * kWidth;
        for (std::size_t v = 0; v < 2; ++v) add_slice(piece, slice, rows, v * V::kLanes, place + v * V::kLanes);
      }
    }
    for (std::size_t tile = first_tile; tile < last_tile; ++tile) {
      const Piece outputs_of{panel, column, row_of(tile), height_};
      float* from = values_ + (tile - first_tile) * kTileHeight * kWidth;
      const Outputs outputs(panels_, coded_, outputs_of, out_, from);
      for (std::size_t r = 0; r < height_; ++r) {
        outputs.store(r, {V::load(from + r * kWidth), V::load(from + r * kWidth + V::kLanes)});
      }
      outputs.finish();
    }
  }

  /// To bytes, [element / 4][column][4].
  void take_apart(const Piece& piece, const Slice& slice) {
    const std::uint8_t* from =
        panels_.codes + piece.panel * panels_.panel_bytes() + slice.first / 8 * kStepBytes<V> + piece.column * 4;
    std::uint8_t* to = bytes_;
    for (std::size_t i = slice.first; i < slice.last;) {
      const std::size_t group = i / panels_.group_size;
      const std::size_t end = std::min({slice.last, (group + 1) * panels_.group_size, panels_.row_length});
      const __m512i left = zero_points_of(piece, group, 0), right = zero_points_of(piece, group, V::kLanes);
      for (; i < end; i += 8, from += kStepBytes<V>, to += 8 * kWidth) {
        take_apart(from, left, to);
        take_apart(from + 64, right, to + 64);
      }
    }
    finish_stores();
  }

  static MNQ_INLINE void take_apart(const std::uint8_t* from, __m512i zero_points, std::uint8_t* to) {
    _mm512_store_si512(to, _mm512_sub_epi8(V::weights<true, 0>(from), zero_points));
    _mm512_store_si512(to + 4 * kWidth, _mm512_sub_epi8(V::weights<true, 1>(from), zero_points));
  }

  /// Of 16 columns, four times each.
  __m512i zero_points_of(const Piece& piece, std::size_t group, std::size_t column) const {
    if (panels_.zero_points == nullptr) return _mm512_set1_epi8(static_cast<char>(panels_.plain_zero));
    const std::size_t place = (piece.panel * panels_.group_count + group) * kColumns<V> + piece.column + column;
    return V::mul(V::widen(panels_.zero_points + place), V::set(0x01010101));
  }

  /// Adds to values_ + place what the slice's groups come to that end in it.
  void add_slice(const Piece& piece, const Slice& slice, const std::uint8_t* rows, std::size_t column,
                 std::size_t place) {
    const std::size_t group_size = panels_.group_size, length = panels_.row_length, stride = coded_.stride,
                      step = step_;
    const std::size_t group = slice.first / group_size;
    const bool starts = slice.first == group * group_size;
    const bool ends = slice.last == length || slice.last % group_size == 0;
    const float* scales =
        panels_.scales + (piece.panel * panels_.group_count + group) * kColumns<V> + piece.column + column;
    const std::uint8_t* weights = bytes_ + 4 * column;
    float* values = values_ + place;
    __m512 sums[kTileHeight];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kTileHeight; ++r) {
      sums[r] = group == 0 ? V::zero_floats() : V::load(values + r * kWidth);
    }
    std::size_t stored = 0, added = 0;
    for (std::size_t i = 0; i < slice.last - slice.first;) {
      if (starts) {
        _tile_zero(0);
      } else {
        _tile_loadd(0, partial_ + place, kWidth * 4);
      }
      for (const std::size_t end = std::min(i + group_size, slice.last - slice.first); i < end; i += step) {
        _tile_loadd(4, rows + i, stride);
        _tile_loadd(6, weights + i * kWidth, 4 * kWidth);
        _tile_dpbssd(0, 4, 6);
      }
      if (!ends) {
        _tile_stored(0, partial_ + place, kWidth * 4);
        return;
      }
      _tile_stored(0, ring_[stored++ % kRing], 64);
      if (stored > kLate) {
        add_sums(ring_[added % kRing], scales + added * kColumns<V>, sums);
        ++added;
      }
    }
    for (; added < stored; ++added) add_sums(ring_[added % kRing], scales + added * kColumns<V>, sums);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kTileHeight; ++r) V::store(values + r * kWidth, sums[r]);
  }

  static MNQ_INLINE void add_sums(const std::int32_t* from, const float* scales, __m512* sums) {
    const __m512 scale = V::load(scales);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kTileHeight; ++r) {
      sums[r] = V::fma(V::to_floats(_mm512_load_si512(from + r * V::kLanes)), scale, sums[r]);
    }
  }

  static constexpr std::size_t kRing = 4;
  const Panels& panels_;
  const CodedRows& coded_;
  const Block& block_;
  const Target& out_;
  std::size_t step_, height_;
  Ahead ahead_;
  alignas(64) std::int32_t ring_[kRing][kTileHeight * V::kLanes] = {};
  alignas(64) std::int32_t partial_[kBand * kTileHeight * kWidth];  ///< of a group that goes on in the next slice
  alignas(64) float values_[kBand * kTileHeight * kWidth];
  alignas(64) std::uint8_t bytes_[kSlice * kWidth];
};

void arrange(const Panels& panels, const float* values, std::size_t count, const RowScale& scale, std::uint8_t* codes,
             std::int32_t* offsets) {
  kAvx512VnniLinear.arrange(panels, values, count, scale, codes, offsets);
}

void multiply(const Panels& panels, const CodedRows& rows, const Block& block, const Target& out) {
  if (are_few(block.last_row - block.first_row, panels) || panels.group_count == 0) {
    kAvx512VnniLinear.multiply(panels, rows, block, out);
    return;
  }
  if (panels.has_nibbles) {
    NibbleProduct(panels, rows, block, out).multiply();
  } else {
    ByteProduct(panels, rows, out).multiply(block);
  }
  _tile_release();
}

}  // namespace

constinit const LinearKernel kAmxLinear{.isa = "amx",
                                        .kernels = "amx",
                                        .columns = kColumns<V>,
                                        .code_bytes = V::kCodeBytes,
                                        .arrange = arrange,
                                        .multiply = multiply};

}  // namespace mnq::linear

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
