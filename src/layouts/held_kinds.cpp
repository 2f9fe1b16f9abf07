#include "layouts/held_kinds.h"

#include <algorithm>
#include <utility>

namespace mnq {
namespace {

bool divides_rows(std::uint64_t group_size, const Shape& shape) {
  return shape.size() >= 2 && static_cast<std::uint64_t>(shape.back()) % group_size == 0;
}

bool fits_rows(const HeldKind& kind, const Shape& shape) {
  if (kind.is_per_tensor || kind.group_size == 0) return true;
  return kind.group_rows > 1 ? shape.size() == 2 : divides_rows(kind.group_size, shape);
}

bool allows_symmetry(const HeldKind& kind, const QuantizedSpec& spec) {
  return !kind.symmetric || *kind.symmetric == spec.symmetric;
}

bool is_of_kind(const HeldKind& kind, const QuantizedSpec& spec) {
  const bool has_scales_so = !kind.scale_dtype || *kind.scale_dtype == spec.scale_dtype;
  if (spec.scheme != kind.scheme || !allows_symmetry(kind, spec) || !has_scales_so) return false;
  if (kind.is_per_tensor) return spec.granularity == Granularity::kTensor;
  if (spec.channel_axis != spec.stacked_axes || spec.group_rows != kind.group_rows) return false;
  if (spec.granularity == Granularity::kChannel) return kind.has_channels;
  const bool is_its_size = kind.group_size == 0 || kind.group_size == spec.group_size;
  if (spec.granularity != Granularity::kGroup || !is_its_size) return false;
  return kind.group_rows > 1 || divides_rows(spec.group_size, spec.shape);
}

// Of those that are alike: the one whose groups are as wanted, else the first one whose groups fit, else the first one.
template <class IsLike>
const HeldKind* find_kind(std::span<const HeldKind> kinds, const QuantizedSpec& wanted, const IsLike& is_like) {
  const auto fits = [&](const HeldKind& kind) { return fits_rows(kind, wanted.shape); };
  const auto is_as_wanted = [&](const HeldKind& kind) { return kind.group_size == wanted.group_size && fits(kind); };
  const auto is_any = [](const HeldKind&) { return true; };
  const auto find = [&](const auto& is_good) {
    const auto found =
        std::ranges::find_if(kinds, [&](const HeldKind& kind) { return is_like(kind) && is_good(kind); });
    return found == kinds.end() ? nullptr : &*found;
  };
  if (const HeldKind* found = find(is_as_wanted)) return found;
  if (const HeldKind* found = find(fits)) return found;
  return find(is_any);
}

// Scales of float64 are stored as float32.
DType new_scale_dtype(const HeldKind& kind, DType weight_dtype) {
  if (kind.scale_dtype) return *kind.scale_dtype;
  return weight_dtype == DType::kF64 ? DType::kF32 : weight_dtype;
}

// Groups become those of the kind, or channels where there can be none.
Change change_scales(const HeldKind& kind, QuantizedSpec& spec) {
  Change change = Change::kNothing;
  if (kind.is_per_tensor) {
    spec.granularity = Granularity::kTensor;
    spec.group_size = 0;
    return change;
  }
  if (spec.granularity == Granularity::kTensor) {
    spec.granularity = Granularity::kChannel;
    change = Change::kScalePerTensor;
  }
  if (spec.channel_axis != spec.stacked_axes) {
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

bool is_float_of_scales(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

// Whether each group of one lies in a single group of the other.
bool has_groups_within(const QuantizedSpec& from, const QuantizedSpec& to) {
  if (from.granularity == Granularity::kTensor) return true;
  const bool is_of_one_axis = from.channel_axis == to.channel_axis && from.stacked_axes == to.stacked_axes;
  if (!is_of_one_axis || to.granularity == Granularity::kTensor) return false;
  if (from.granularity == Granularity::kChannel) return true;
  return to.granularity == Granularity::kGroup && from.group_size % to.group_size == 0;
}

bool has_codes_within(const QuantizedSpec& from, const QuantizedSpec& to) {
  const Scheme &before = scheme_of(from), &after = scheme_of(to);
  // Codes less their zero points have a bit more.
  const bool has_zeros = from.symmetric || !to.symmetric || before.bits < after.bits;
  const bool has_place = after.has_minima || (!before.has_minima && has_zeros);
  return has_place && before.bits <= after.bits && before.rule.code_min >= after.rule.code_min;
}

}  // namespace

bool holds(std::span<const HeldKind> kinds, const QuantizedSpec& spec) {
  return std::ranges::any_of(kinds, [&](const HeldKind& kind) { return is_of_kind(kind, spec); });
}

const HeldKind& nearest_kind(std::span<const HeldKind> kinds, const QuantizedSpec& wanted) {
  const auto is_same = [&](const HeldKind& kind) {
    return kind.scheme == wanted.scheme && allows_symmetry(kind, wanted);
  };
  if (const HeldKind* found = find_kind(kinds, wanted, is_same)) return *found;
  for (const bool has_minima : {!wanted.symmetric, wanted.symmetric}) {
    const HeldKind* found = find_kind(kinds, wanted, [&](const HeldKind& kind) {
      const Scheme& scheme = *find_scheme(kind.scheme);
      return scheme.bits == scheme_of(wanted).bits && scheme.has_minima == has_minima;
    });
    if (found != nullptr) return *found;
  }
  return *find_kind(kinds, wanted, [&](const HeldKind& kind) { return kind.scheme == kinds.front().scheme; });
}

std::uint64_t groups_of_fewer_bits(const HeldKind& kind, const QuantizedSpec& wanted) {
  const Scheme& scheme = *find_scheme(kind.scheme);
  const bool has_own = kind.group_size != 0 || kind.is_per_tensor;
  return has_own || scheme.bits >= scheme_of(wanted).bits ? 0 : scheme.group_size_default;
}

bool keeps_scales(const QuantizedSpec& from, const QuantizedSpec& to) {
  return has_integer_codes(from) && has_integer_codes(to) && !from.has_group_order && from.group_rows == 1 &&
         to.group_rows == 1 && is_float_of_scales(to.scale_dtype) && has_groups_within(from, to) &&
         has_codes_within(from, to);
}

std::optional<NearestSpec> spec_of_kind(const HeldKind& kind, const QuantizedSpec& wanted) {
  if (!fits_rows(kind, wanted.shape)) return std::nullopt;
  NearestSpec nearest{wanted};
  QuantizedSpec& spec = nearest.spec;
  if (spec.scheme != kind.scheme) nearest.change = Change::kScheme;
  spec.scheme = kind.scheme;
  spec.symmetric = kind.symmetric.value_or(wanted.symmetric && !scheme_of(wanted).has_minima);
  const Change change = change_scales(kind, spec);
  if (change != Change::kNothing) nearest.change = change;
  if (std::exchange(spec.has_group_order, false) && nearest.change == Change::kNothing) {
    nearest.change = Change::kGroupOrder;
  }
  spec.group_rows = kind.group_rows;
  spec.scale_dtype = new_scale_dtype(kind, spec.weight_dtype);
  const bool has_other_scales = kind.scale_dtype && spec.scale_dtype != wanted.scale_dtype;
  if (nearest.change == Change::kNothing && has_other_scales) nearest.change = Change::kScaleDType;
  spec.activation_bits = 0;
  return nearest;
}

}  // namespace mnq
