#include "layouts/held_kinds.h"

#include <algorithm>

namespace mnq {
namespace {

bool divides_rows(std::uint64_t group_size, const Shape& shape) {
  return shape.size() >= 2 && static_cast<std::uint64_t>(shape.back()) % group_size == 0;
}

bool allows_symmetry(const HeldKind& kind, const QuantizedSpec& spec) {
  return !kind.symmetric || *kind.symmetric == spec.symmetric;
}

bool is_of_kind(const HeldKind& kind, const QuantizedSpec& spec) {
  const bool has_scales_so = !kind.scale_dtype || *kind.scale_dtype == spec.scale_dtype;
  if (spec.scheme != kind.scheme || !allows_symmetry(kind, spec) || !has_scales_so) return false;
  if (spec.channel_axis != 0 || spec.group_rows != 1) return false;
  if (spec.granularity == Granularity::kChannel) return kind.has_channels;
  const bool is_its_size = kind.group_size == 0 || kind.group_size == spec.group_size;
  return spec.granularity == Granularity::kGroup && is_its_size && divides_rows(spec.group_size, spec.shape);
}

// Scales of float64 are stored as float32.
DType new_scale_dtype(const HeldKind& kind, DType weight_dtype) {
  if (kind.scale_dtype) return *kind.scale_dtype;
  return weight_dtype == DType::kF64 ? DType::kF32 : weight_dtype;
}

// Groups become those of the kind, or channels where there can be none.
Change change_scales(const HeldKind& kind, QuantizedSpec& spec) {
  Change change = Change::kNothing;
  if (spec.granularity == Granularity::kTensor) {
    spec.granularity = Granularity::kChannel;
    change = Change::kScalePerTensor;
  }
  if (spec.channel_axis != 0) {
    spec.channel_axis = spec.stacked_axes = 0;
    change = Change::kChannelAxis;
  }
  if (kind.group_size != 0) {
    spec.granularity = Granularity::kGroup;
    spec.group_size = kind.group_size;
  } else if (spec.granularity == Granularity::kGroup && !divides_rows(spec.group_size, spec.shape)) {
    spec.granularity = Granularity::kChannel;
    spec.group_size = 0;
    change = Change::kGroupSize;
  }
  return change;
}

}  // namespace

bool holds(std::span<const HeldKind> kinds, const QuantizedSpec& spec) {
  return std::ranges::any_of(kinds, [&](const HeldKind& kind) { return is_of_kind(kind, spec); });
}

const HeldKind& nearest_kind(std::span<const HeldKind> kinds, const QuantizedSpec& wanted) {
  const auto find = [&](const auto& is_like) { return std::ranges::find_if(kinds, is_like); };
  const auto is_same = [&](const HeldKind& kind) {
    return kind.scheme == wanted.scheme && allows_symmetry(kind, wanted);
  };
  if (const auto found = find(is_same); found != kinds.end()) return *found;
  for (const bool has_minima : {!wanted.symmetric, false}) {
    const auto found = find([&](const HeldKind& kind) {
      const Scheme& scheme = *find_scheme(kind.scheme);
      return scheme.bits == scheme_of(wanted).bits && scheme.has_minima == has_minima;
    });
    if (found != kinds.end()) return *found;
  }
  return kinds.front();
}

std::optional<NearestSpec> spec_of_kind(const HeldKind& kind, const QuantizedSpec& wanted) {
  if (!kind.has_channels && !divides_rows(kind.group_size, wanted.shape)) return std::nullopt;
  NearestSpec nearest{wanted};
  QuantizedSpec& spec = nearest.spec;
  if (spec.scheme != kind.scheme) nearest.change = Change::kScheme;
  spec.scheme = kind.scheme;
  spec.symmetric = kind.symmetric.value_or(wanted.symmetric && !scheme_of(wanted).has_minima);
  const Change change = change_scales(kind, spec);
  if (change != Change::kNothing) nearest.change = change;
  spec.group_rows = 1;
  spec.scale_dtype = new_scale_dtype(kind, spec.weight_dtype);
  spec.activation_bits = 0;
  return nearest;
}

}  // namespace mnq
