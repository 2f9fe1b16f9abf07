#include "plan/storage.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

// One weight on its way into a format.
struct Fitting {
  const Storage& storage;
  const WeightRequest& request;
  const Config& config;
  const QuantizedSpec& asked;  // as the settings say, or as it is stored

  FoundValue find(std::string_view key) const { return config.find(key, request.layer.name); }
  bool is_for_layer(std::string_view key) const { return find(key).source >= ValueSource::kConfigLayers; }
  bool is_set(std::string_view key) const { return find(key).value != "auto"; }
  bool is_scheme_asked_for() const { return is_set("bits") || find("dtype").source != ValueSource::kDefault; }

  [[noreturn]] void fail(const char* key, const std::string& what) const {
    throw Error(Status::kConfig, formatted("layer {}: {}", request.layer.name.name, what), std::string(storage.advice),
                key);
  }
};

// Of all kinds of its scheme.
std::vector<std::string> group_sizes_of(const Layout& layout, const HeldKind& kind) {
  std::vector<std::string> sizes;
  for (const HeldKind& each : layout.holds) {
    if (each.scheme == kind.scheme) sizes.push_back(std::to_string(each.group_size));
  }
  return sizes;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) {
    const bool is_last = &text == &texts.back();
    all += (all.empty() ? "" : is_last ? " or " : ", ") + text;
  }
  return all;
}

// A key that the user set and that the kind cannot follow is an error, and not just a reason.
void require_followed(const Fitting& fitting, const HeldKind& kind) {
  const Storage& storage = fitting.storage;
  const QuantizedSpec& wanted = fitting.asked;
  const std::vector<std::string> sizes = group_sizes_of(*storage.layout, kind);
  const bool has_size = std::ranges::find(sizes, fitting.find("group_size").value) != sizes.end();
  if (fitting.is_scheme_asked_for() && !has_bits(*find_scheme(kind.scheme), code_bits(wanted))) {
    fitting.fail("dtype", formatted("{} has no {}", storage.title, scheme_text(wanted)));
  }
  if (kind.group_size != 0 && fitting.is_set("group_size") && !has_size) {
    fitting.fail("group_size", formatted("{} has groups of {} only", storage.title, joined(sizes)));
  }
  if (kind.is_per_tensor && fitting.is_set("group_size") && wanted.group_size != 0) {
    fitting.fail("group_size", formatted("{} {}", storage.title, storage.layout->scales_text));
  }
  if (wanted.granularity == Granularity::kTensor && !kind.is_per_tensor) {
    fitting.fail("per_channel", formatted("{} {}", storage.title, storage.layout->scales_text));
  }
  // Where there are no channels, none can lie on an axis.
  if (kind.has_channels ? wanted.channel_axis != 0 : fitting.is_set("channel_axis")) {
    fitting.fail("channel_axis", formatted("{} {}", storage.title, storage.layout->axis_text));
  }
}

// Why a weight that is quantized already must be quantized anew, or gets other groups than were asked for.
std::string reason_of_change(const Fitting& fitting, const NearestSpec& nearest) {
  const std::string_view title = fitting.storage.title;
  const QuantizedSpec& wanted = fitting.asked;
  switch (nearest.change) {
    case Change::kNothing:
      return "";
    case Change::kScheme:
      if (!fitting.request.is_stored) return formatted("as {}", scheme_text(nearest.spec));
      return formatted("quantized anew: {} has no {}", title,
                       scheme_of(wanted).has_minima ? "float minima" : scheme_text(wanted));
    case Change::kScalePerTensor:
      return formatted("quantized anew, per channel: {} has no other scale", title);
    case Change::kChannelAxis:
      return formatted("quantized anew: {} {}", title, fitting.storage.layout->axis_text);
    case Change::kScaleDType:
      return fitting.request.is_stored
                 ? formatted("quantized anew: {} has no scales of {}", title, dtype_name(wanted.scale_dtype))
                 : "";
    case Change::kGroupOrder:
      return formatted("quantized anew: {} has no groups of columns that do not follow each other", title);
    case Change::kGroupSize:
      break;
  }
  return formatted("{}per channel: groups of {} do not divide {} columns",
                   fitting.request.is_stored ? "quantized anew, " : "", wanted.group_size, wanted.shape.back());
}

// A kind that has a name of its own is told by it.
std::string reason_of_kind(const Fitting& fitting, const HeldKind& kind, std::string_view widened_for) {
  if (fitting.request.is_stored) {
    return formatted("quantized anew as {}: {} has no {}", kind.name, fitting.storage.title,
                     scheme_text(fitting.asked));
  }
  const std::uint64_t size = fitting.request.wanted.group_size;
  if (kind.group_size != 0 && fitting.is_set("group_size") && size != kind.group_size) {
    return formatted("as {} in groups of {}: groups of {} do not divide {} columns", kind.name, kind.group_size, size,
                     fitting.request.wanted.shape.back());
  }
  return widened_for.empty() ? formatted("as {}", kind.name) : formatted("as {}: {}", kind.name, widened_for);
}

// Rows that no kind's groups fit become float16.
Fit fit_odd_rows(const Fitting& fitting, const HeldKind& kind) {
  const QuantizedSpec& wanted = fitting.request.wanted;
  std::string reason =
      formatted("{}'s blocks of {} do not fit {}", fitting.storage.title, kind.group_size, shape_text(wanted.shape));
  const Scheme& half = half_cast_scheme();
  if (fitting.request.is_stored || wanted.weight_dtype == half.cast_dtype) return {std::nullopt, std::move(reason)};
  QuantizedSpec spec;
  spec.scheme = half.name;
  spec.weight_dtype = wanted.weight_dtype;
  spec.shape = wanted.shape;
  return {spec, formatted("as {}: {}", half.text, reason)};
}

// Whether this layer differs from what was asked for all: then activation_bits for all may pass it by.
bool has_own_scheme(const Fitting& fitting) {
  return std::ranges::any_of(std::array{"dtype", "bits", "symmetric", "group_size"},
                             [&](const char* key) { return fitting.is_for_layer(key); });
}

void fit_activations(const Fitting& fitting, Fit& fit) {
  const auto may_run = fitting.storage.layout->may_run_in_integers;
  if (may_run == nullptr || fitting.find("activation_bits").value != "8") return;
  constexpr const char* kNeeds = "8 bits need int8 weights, symmetric and per channel";
  if (may_run(*fit.spec)) {
    fit.spec->activation_bits = 8;
  } else if (!fitting.request.is_stored && (fitting.is_for_layer("activation_bits") || !has_own_scheme(fitting))) {
    fitting.fail("activation_bits", "activations of 8 bits need int8 weights, symmetric and per channel");
  } else if (fit.reason.empty()) {
    fit.reason = formatted("activations stay float: {}", kNeeds);
  }
}

Fit fit_anew(const Fitting& fitting, std::string_view widens_for) {
  const std::span<const HeldKind> kinds = fitting.storage.layout->holds;
  const HeldKind& wanted_kind = nearest_kind(kinds, fitting.request.wanted);
  if (!spec_of_kind(wanted_kind, fitting.request.wanted)) return fit_odd_rows(fitting, wanted_kind);
  if (!fitting.request.is_stored) require_followed(fitting, wanted_kind);
  const bool has_own_bits = fitting.is_for_layer("bits") || fitting.is_for_layer("dtype");
  const bool is_widened = !widens_for.empty() && !fitting.request.is_stored && !has_own_bits &&
                          &wanted_kind != &kinds.front() &&
                          spec_of_kind(kinds.front(), fitting.request.wanted).has_value();
  const HeldKind& kind = is_widened ? kinds.front() : wanted_kind;
  const auto nearest = spec_of_kind(kind, fitting.request.wanted);
  Fit fit{nearest->spec, kind.name.empty() ? reason_of_change(fitting, *nearest)
                                           : reason_of_kind(fitting, kind, is_widened ? widens_for : "")};
  fit.method = fitting.storage.method;
  fit.spec->has_free_scales = fit.method != nullptr && fit.method->makes_free_scales;
  fit_activations(fitting, fit);
  return fit;
}

bool has_scheme(std::span<const HeldKind> kinds, std::string_view scheme) {
  return std::ranges::find(kinds, scheme, &HeldKind::scheme) != kinds.end();
}

const Layout& layout_of(const Storage& storage, const QuantizedSpec& spec, const WeightRequest& request) {
  return storage.choose_layout == nullptr ? *storage.layout : storage.choose_layout(spec, request.companion);
}

bool is_default(const WeightRequest& request, const Config& config, const char* key) {
  const FoundValue found = config.find(key, request.layer.name);
  return found.source == ValueSource::kDefault || found.value == "auto";
}

// One scale for a row is enough for the codes of the settings' default, and too little for fewer bits.
QuantizedSpec with_groups_of_kind(const Storage& storage, const WeightRequest& request, const Config& config) {
  QuantizedSpec spec = request.wanted;
  const bool has_channels = is_coded(spec) && has_integer_codes(spec) && spec.granularity == Granularity::kChannel;
  if (!has_channels || request.is_stored || storage.holds_everything()) return spec;
  const std::uint64_t size = groups_of_fewer_bits(nearest_kind(storage.layout->holds, spec), spec);
  const bool is_free = std::ranges::all_of(std::array{"dtype", "bits", "group_size"},
                                           [&](const char* key) { return is_default(request, config, key); });
  if (!is_free || size == 0) return spec;
  spec.granularity = Granularity::kGroup;
  spec.group_size = size;
  return spec;
}

// The last group of a row may be shorter where a weight comes from. Groups that divide both keep its scales, unless they
// are too small, or the format would leave the weight float for them.
QuantizedSpec with_groups_that_divide(const Storage& storage, const WeightRequest& request, QuantizedSpec spec) {
  constexpr std::uint64_t kSmallest = 16;
  const bool has_groups = is_coded(spec) && has_integer_codes(spec) && spec.granularity == Granularity::kGroup;
  if (!has_groups || !request.is_stored || storage.holds_everything()) return spec;
  if (storage.rule != nullptr && !storage.rule(request).leaves_for.empty()) return spec;
  const std::uint64_t size = std::gcd(spec.group_size, static_cast<std::uint64_t>(spec.shape.back()));
  if (size < kSmallest || size == spec.group_size) return spec;
  spec.group_size = size;
  spec.has_group_order = false;
  return spec;
}

Fit fit_spec(const Storage& storage, WeightRequest request, const Config& config, const QuantizedSpec& asked) {
  const QuantizedSpec& wanted = request.wanted;
  const bool has_place = !wanted.has_group_order || storage.layout->holds_group_order;
  const bool may_stay = storage.holds_everything() || (has_place && holds(storage.layout->holds, wanted));
  const bool is_opaque = is_coded(wanted) && !has_integer_codes(wanted);
  const Layout& layout = is_opaque ? layout_of(storage, wanted, request) : *storage.layout;
  const bool can_hold = !is_coded(wanted) || layout.can_hold(wanted);
  request.is_held = request.is_stored && is_coded(wanted) && (is_opaque ? can_hold : may_stay);
  WeightRule rule = storage.rule == nullptr ? WeightRule() : storage.rule(request);
  if (!rule.leaves_for.empty()) return {std::nullopt, std::move(rule.leaves_for), storage.layout};
  // Codes that are no integers stay as they are, or become floats: made anew they would lose once more. New ones may
  // get other scales.
  const bool is_of_a_kind = !request.is_stored && has_scheme(storage.layout->holds, wanted.scheme);
  const bool is_taken_as_it_is = storage.holds_everything() || (is_opaque && !is_of_a_kind);
  if (is_taken_as_it_is && !can_hold) {
    const bool is_asked_for = !request.is_stored && !storage.holds_everything();
    const Fitting fitting{storage, request, config, asked};
    if (is_asked_for) fitting.fail("dtype", formatted("{} has no {}", storage.title, scheme_text(wanted)));
    return {std::nullopt, formatted("the output has no {}", scheme_text(wanted)), storage.layout};
  }
  if (is_taken_as_it_is) return {wanted, "", &layout, nullptr, storage.suffixes};
  const bool stays = request.is_held || !is_coded(wanted);
  Fit fit = stays ? Fit{wanted, ""} : fit_anew({storage, request, config, asked}, rule.widens_for);
  fit.layout = storage.layout;
  if (!fit.spec || !is_coded(*fit.spec)) return fit;
  fit.layout = &layout_of(storage, *fit.spec, request);
  fit.suffixes = storage.suffixes;
  return fit;
}

}  // namespace

Fit fit_weight(const Storage& storage, WeightRequest request, const Config& config) {
  const QuantizedSpec spec = with_groups_that_divide(storage, request, with_groups_of_kind(storage, request, config));
  return fit_spec(storage,
                  {.wanted = spec,
                   .layer = request.layer,
                   .companion = request.companion,
                   .is_stored = request.is_stored,
                   .is_selected = request.is_selected},
                  config, request.wanted);
}

}  // namespace mnq
