// Which quantized weights a layout holds, as rows of data, and which of them is nearest to one that it does not hold.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "schemes/scheme.h"

namespace mnq {

/// Weights that are alike in a layout. All of them are matrices, or stacks of them, whose channels are the first axis
/// and whose groups are of the last one.
struct HeldKind {
  std::string_view scheme;
  std::string_view name = "";             ///< what its readers call it, "Q8_0"; empty: as the scheme
  bool has_channels = false;              ///< it may have a scale for each channel
  bool is_per_tensor = false;             ///< it has one scale for the whole weight, and nothing else
  std::uint64_t group_size = 0;           ///< the only one that groups have; 0: any that divides a row
  std::uint64_t group_rows = 1;           ///< of blocks, which may reach over the ends of a weight: see QuantizedSpec
  std::optional<bool> symmetric = {};     ///< empty: it may be either
  std::optional<DType> scale_dtype = {};  ///< empty: it may be any, and new ones get the weight's
};

/// What had to be changed to come from a spec to one that is held.
enum class Change { kNothing, kScheme, kScalePerTensor, kChannelAxis, kGroupSize, kGroupOrder, kScaleDType };

struct NearestSpec {
  QuantizedSpec spec;
  Change change = Change::kNothing;  ///< the last of those that a weight would have to be quantized anew for
};

/// Whether a weight of this spec lies in such a layout as it is.
bool holds(std::span<const HeldKind> kinds, const QuantizedSpec& spec);

/// The kind with the same scheme; else one with as many bits, and with minima where there would be zero points; else
/// the first one, which is the most accurate.
const HeldKind& nearest_kind(std::span<const HeldKind> kinds, const QuantizedSpec& wanted);

/// The weight quantized anew as one of a kind. Empty where its groups fit no row.
std::optional<NearestSpec> spec_of_kind(const HeldKind& kind, const QuantizedSpec& wanted);

/// The groups that the scheme of a kind has by default, where its codes have fewer bits than those that are wanted. 0:
/// it has no fewer, or groups of its own.
std::uint64_t groups_of_fewer_bits(const HeldKind& kind, const QuantizedSpec& wanted);

/// Whether a weight of integers can become another one with the scales that it has, for as many columns or fewer. Its
/// codes then are the same, but where a scale or a minimum is rounded by more than a code can show.
bool keeps_scales(const QuantizedSpec& from, const QuantizedSpec& to);

}  // namespace mnq
