// A layout: where codes, scales and zero points lie in a container's tensors. One file each family, one row each in
// layout_table.cpp. What is stored of a weight X are tensors X + suffix; which part holds what is known to its layout
// alone.
//
// Codes pass through as CodedPiece, so that any layout's weight becomes any other's: load, then store. A layout keeps
// scales and zero points in tables apart from the codes, or together with them in blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/tensor_source.h"
#include "layouts/held_kinds.h"
#include "schemes/coded_piece.h"

namespace mnq {

/// One stored tensor of a quantized weight X: its name is X + suffix, or that of the layer, L of L.weight, + suffix.
struct StoredPart {
  std::string_view suffix;
  DType dtype = DType::kI8;
  Shape shape;
  Shape former_shape = {};   ///< in files of earlier versions, the same values in the same order; empty: as now
  bool is_of_layer = false;  ///< its name is made of the layer's: L.scales
};

/// What the part of a weight is called.
std::string part_name(std::string_view weight, const StoredPart& part);

/// Scales of a whole weight, [scale_shape] each; empty where there are none or they are not known.
struct ScaleTables {
  std::vector<float> scales;
  std::vector<std::int8_t> zero_points;
  std::vector<float> minima;
  float global_scale = 1;  ///< where scales are stored in two levels: they are those of the first divided by this
  std::vector<std::uint32_t> group_of_column;  ///< where columns of a group do not follow each other; empty: they do
};

/// The stored parts of one weight.
class PartReader {
 public:
  /// Both must outlive it.
  PartReader(const TensorSource& source, std::span<const std::size_t> parts) : source_(source), parts_(parts) {}

  std::size_t count() const { return parts_.size(); }

  /// Parts [first, first + count) alone.
  PartReader some(std::size_t first, std::size_t count) const { return {source_, parts_.subspan(first, count)}; }
  const TensorInfo& info(std::size_t part) const { return source_.tensors()[parts_[part]]; }

  /// Bytes [offset, offset + size): where they lie, or read into `buffer`. Aligned for the part's dtype. Errors: kIo.
  const std::byte* fetch(std::size_t part, std::uint64_t offset, std::uint64_t size, Buffer& buffer) const;

  /// Errors: kIo.
  void read(std::size_t part, std::uint64_t offset, std::span<std::byte> into) const {
    source_.read(parts_[part], offset, into);
  }

 private:
  const TensorSource& source_;
  std::span<const std::size_t> parts_;
};

/// The outputs of a sink that are the parts of one weight.
class PartWriter {
 public:
  PartWriter(TensorSink& sink, std::size_t first) : sink_(&sink), first_(first) {}

  void write(std::size_t part, std::uint64_t offset, const void* bytes, std::uint64_t size) const {
    sink_->write(first_ + part, offset, {static_cast<const std::byte*>(bytes), size});
  }

 private:
  TensorSink* sink_;
  std::size_t first_;
};

/// Memory for one piece on its way through a layout.
struct LayoutBuffers {
  Buffer raw;     ///< bytes as they were read
  Buffer codes;   ///< one a byte
  Buffer joined;  ///< likewise, of several matrices that are stored one by one
  Buffer scales;  ///< float32: scales, then minima
  Buffer stored;  ///< bytes as they are written
};

struct Layout {
  std::string_view name;

  /// The weights that can lie so, the most accurate kind first; empty: all that are quantized.
  std::span<const HeldKind> holds = {};

  /// For people, behind the name of a format: which scales there are, and of which axis.
  std::string_view scales_text = "", axis_text = "";

  /// What its readers call a weight of this spec, "Q4_0". Null: as the layout.
  std::string_view (*kind_name)(const QuantizedSpec& spec) = nullptr;

  /// Whether codes can be decoded, but lie in no other layout.
  bool has_own_order = false;

  /// Whether columns of a group need not follow each other.
  bool holds_group_order = false;

  /// Whether activations of 8 bits can be asked for with a weight of this spec. Null: with none.
  bool (*may_run_in_integers)(const QuantizedSpec& spec) = nullptr;

  /// Whether scales lie in tables: load and store then know nothing of them but what store is given.
  bool has_tables = true;

  /// Whether weights of this spec can lie so.
  bool (*can_hold)(const QuantizedSpec& spec) = nullptr;

  /// Elements of a row that can only be had together. A piece may start at their multiples. More than a row has: rows
  /// that are stored together.
  std::uint64_t (*unit)(const QuantizedSpec& spec) = nullptr;

  /// Whether codes of a weight of this spec may come as CodedPiece::nibbles, rows and groups of whole words. Null: never.
  bool (*takes_nibbles)(const QuantizedSpec& spec) = nullptr;

  /// What is stored of a weight, codes first.
  std::vector<StoredPart> (*parts)(const QuantizedSpec& spec) = nullptr;

  /// The part that says nothing but what the spec says, as a shape; empty: there is none. Null: never. A copy writes it
  /// anew.
  std::optional<std::size_t> (*told_part)(const QuantizedSpec& spec) = nullptr;

  /// Stores the codes of a piece, and the scales and minima that it has with it. From several threads.
  void (*store)(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out,
                LayoutBuffers& buffers) = nullptr;

  /// Stores those tables that are given, and what a layout says of the weight besides.
  void (*store_tables)(const QuantizedSpec& spec, const ScaleTables& tables, const PartWriter& out) = nullptr;

  /// The codes of a piece; without tables its scales and minima too. They lie in the buffers, or where the source has
  /// them.
  CodedPiece (*load)(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place,
                     LayoutBuffers& buffers) = nullptr;

  /// All tables there are.
  ScaleTables (*load_tables)(const QuantizedSpec& spec, const PartReader& in) = nullptr;

  /// What is wrong with what is stored besides codes and scales; empty: nothing. Null: nothing is.
  std::string (*find_problem)(const QuantizedSpec& spec, const PartReader& in) = nullptr;
};

/// Our own: what safetensors and PyTorch files hold. All others are in layouts.h.
extern const Layout kRowsLayout;

/// Of compressed-tensors' the one for a weight of these numbers. Integers are packed, but where the model is run with
/// them or cannot be built of packed weights.
const Layout& compressed_layout(const QuantizedSpec& spec, bool needs_plain_weights);

/// Whether weights of this spec can be multiplied with activations of 8 bits.
bool may_run_in_integers(const QuantizedSpec& spec);

/// What a weight's codes and scales are called in a config_groups: {"num_bits": 4, "type": "int", "strategy": "group"}.
struct CodeNumbers {
  std::int32_t width = 0;
  std::string_view type;
  std::string_view strategy;
  std::string_view scale_dtype = "";  ///< "torch.uint8"; empty: a plain float
};
CodeNumbers code_numbers(const QuantizedSpec& spec);

/// The scheme of integers that many bits wide, as it lies in those layouts; null where they have none.
const Scheme* find_integer_scheme(std::int64_t width);

/// All of them.
std::span<const Layout* const> all_layouts();

}  // namespace mnq
