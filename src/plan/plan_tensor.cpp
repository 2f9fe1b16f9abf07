#include "plan/plan_tensor.h"

#include <algorithm>

#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

// Groups and packed codes are consecutive elements behind one index of the first axis, or of the first of each matrix
// of a stack, whatever the layer's kind.
bool needs_first_axis(const LayerSettings& settings) {
  return settings.granularity == Granularity::kGroup || settings.scheme->needs_first_axis;
}

std::int64_t resolve_axis(const LayerSettings& settings, const Layer& layer, std::size_t rank) {
  const auto count = static_cast<std::int64_t>(rank);
  const std::int64_t wanted =
      settings.channel_axis.value_or(needs_first_axis(settings) ? layer.stacked_axes : layer.channel_axis);
  const std::int64_t axis = wanted < 0 ? wanted + count : wanted;
  if (axis >= 0 && axis < count) return axis;
  throw Error(Status::kConfig,
              formatted("layer {}: channel_axis={} lies outside its {} dimensions", layer.name.name, wanted, rank),
              "count axes from 0, or from -1 at the end", std::string(layer.name.name));
}

QuantizedSpec make_spec(const LogicalTensor& tensor, const Layer& layer, const LayerSettings& settings) {
  QuantizedSpec spec;
  spec.scheme = settings.scheme->name;
  spec.granularity = settings.granularity;
  spec.symmetric = settings.symmetric;
  spec.group_size = settings.granularity == Granularity::kGroup ? settings.group_size : 0;
  spec.group_rows = settings.group_rows;
  spec.scale_dtype = settings.scheme->scale_dtype;
  spec.channel_axis = resolve_axis(settings, layer, tensor.shape.size());
  if (spec.granularity != Granularity::kTensor) spec.stacked_axes = std::min(layer.stacked_axes, spec.channel_axis);
  spec.weight_dtype = tensor.dtype;
  spec.shape = tensor.shape;
  return spec;
}

Choice choose_by_scheme(const Selection& selection, const Config& config, const Layer& layer,
                        const LogicalTensor& tensor, const LayerSettings& settings, const Storage& storage) {
  const Scheme& scheme = *settings.scheme;
  const bool selected = is_selected(selection, config, layer);
  if (layer.is_router && !selection.only.names_exactly(layer.name)) {
    return leave("it chooses among experts: a router is left as it is unless only names it in full");
  }
  if (layer.is_on_request && !selected) {
    return leave(formatted("{} is quantized in a module only where layer_types or only asks for it", layer.kind->name));
  }
  if (storage.holds_everything() && scheme.skips_sensitive_layers && layer.is_sensitive && !selected) {
    const bool is_embedding = layer.kind->is_sensitive;
    return leave(formatted("{} leaves {} as it is unless it is selected", scheme.text,
                           is_embedding ? "an embedding" : "lm_head"));
  }
  const std::uint64_t count = element_count(tensor.shape);
  const bool threshold_is_set = config.find("min_parameters", layer.name).source != ValueSource::kDefault;
  if (count < settings.min_parameters && (threshold_is_set || !selected)) {
    return leave(formatted("{} parameters are fewer than {}", count, settings.min_parameters));
  }
  if (scheme.is_cast) {
    if (tensor.dtype == scheme.cast_dtype) return leave(formatted("{} already", scheme.text));
    return {true, ""};
  }
  const QuantizedSpec spec = make_spec(tensor, layer, settings);
  if (needs_first_axis(settings) && spec.channel_axis != spec.stacked_axes) {
    throw Error(Status::kUnsupported,
                formatted("layer {}: {} with channels on another axis than {} is not there yet", layer.name.name,
                          scheme.text, spec.stacked_axes),
                "use 8 bits per channel for this layer, or skip it", std::string(layer.name.name));
  }
  // weight_norm's lengths: one code each, and a scale that makes up for it, are larger and say less.
  if (spec.granularity != Granularity::kTensor && count == scale_shape(spec).row_count) {
    return leave("each of its rows is one number");
  }
  return {true, ""};
}

// What becomes of the codes of a weight: how they lie, and how they are chosen. A cast has none.
void set_storage(PlannedTensor& planned, QuantizedSpec spec, const Fit& fit) {
  planned.layout = is_coded(spec) ? fit.layout : &kRowsLayout;
  planned.method = fit.method != nullptr ? fit.method : &kMinmaxMethod;
  planned.spec = std::move(spec);
  planned.taken_suffixes = fit.suffixes;
}

void use_search(PlannedTensor& planned, bool needs_positive) {
  QuantizedSpec& spec = planned.spec;
  planned.method = &kSearchMethod;
  if (!scheme_of(spec).has_minima) spec.has_free_scales = may_have_free_scales(spec) && !needs_positive;
}

bool can_search(const QuantizedSpec& spec) { return has_scales_in_pieces(spec) && kSearchMethod.fits(spec); }

// As the settings say, where the weight can have it; what multiplies its codes as integers needs positive scales.
void choose_method(PlannedTensor& planned, const LayerSettings& settings, Choice& choice) {
  QuantizedSpec& spec = planned.spec;
  const bool needs_positive = settings.positive_scales || spec.activation_bits != 0;
  const bool breaks_signs = needs_positive && spec.symmetric && planned.method->makes_free_scales;
  if ((settings.method == &kSearchMethod || breaks_signs) && can_search(spec)) {
    use_search(planned, needs_positive);
  } else if (settings.is_method_set && settings.method == &kSearchMethod && choice.reason.empty()) {
    choice.reason = kSearchMethod.fits(spec) ? "by minmax: a scale that many rows or pieces share is not searched for"
                                             : formatted("by minmax: there is no search for {}", scheme_of(spec).text);
  } else if (settings.is_method_set && settings.method == &kMinmaxMethod && planned.method == &kSearchMethod) {
    choice.reason += std::string(choice.reason.empty() ? "" : ", ") + "by a search: minmax makes no minima";
  }
}

// A float weight that the settings choose.
Choice plan_chosen(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source,
                   const Config& config, const Selection& selection, const Storage& storage) {
  const Layer& layer = planned.layer;
  const LayerSettings settings = resolve_layer(config, layer.name);
  Choice choice = choose_by_scheme(selection, config, layer, tensor, settings, storage);
  if (!choice.quantize) return choice;
  const QuantizedSpec spec = make_spec(tensor, layer, settings);
  Fit found = fit_weight(storage,
                         {.wanted = spec,
                          .layer = layer,
                          .companion = source.companion(),
                          .is_selected = is_selected(selection, config, layer)},
                         config);
  if (!found.spec) return leave(std::move(found.reason));
  choice.reason = std::move(found.reason);
  set_storage(planned, *found.spec, found);
  planned.action = is_coded(planned.spec) ? Action::kQuantize : Action::kCast;
  if (planned.action == Action::kQuantize) choose_method(planned, settings, choice);
  planned.copies_nonfinite = settings.copies_nonfinite;
  return choice;
}

// Whether the settings say something of a weight that neither is so nor was.
bool differs_from_settings(const QuantizedSpec& planned, const QuantizedSpec& stored, const LayerName& layer,
                           const Config& config) {
  const auto is_set = [&](const char* key) {
    const FoundValue found = config.find(key, layer);
    return found.source != ValueSource::kDefault && found.value != "auto";
  };
  const LayerSettings settings = resolve_layer(config, layer);
  const std::uint64_t group_size = settings.granularity == Granularity::kGroup ? settings.group_size : 0;
  return has_bits(*settings.scheme, code_bits(planned)) &&
         ((is_set("symmetric") && settings.symmetric != planned.symmetric && settings.symmetric != stored.symmetric) ||
          (is_set("group_size") && group_size != planned.group_size && group_size != stored.group_size));
}

// Whether the settings want other codes than the weight has: where they name a dtype or a number of bits, or where models
// are published in what it has.
bool is_wanted_anew(const QuantizedSpec& stored, const LayerName& layer, const Config& config) {
  const Scheme& scheme = scheme_of(stored);
  const Scheme& wanted = *resolve_layer(config, layer).scheme;
  const bool is_dtype_set = config.find("dtype", layer).source != ValueSource::kDefault;
  const bool is_bits_set = config.find("bits", layer).value != "auto";
  if (is_bits_set && !is_dtype_set) return !has_bits(wanted, code_bits(stored));
  return &scheme != &wanted && (is_dtype_set || scheme.is_taken_as_floats);
}

// The scales that a weight has are nearer to it than any that are chosen anew, where its codes can stay with them.
void keep_scales(PlannedTensor& planned, const LogicalTensor& tensor, const Layout& layout, QuantizedSpec& spec) {
  const bool has_known_scales = tensor.layout->has_tables || !scheme_of(*tensor.spec).has_minima;
  planned.keeps_scales = has_known_scales && keeps_scales(*tensor.spec, spec);
  if (!planned.keeps_scales) return;
  spec.has_free_scales = tensor.spec->has_free_scales;
  const std::string kind(layout.kind_name == nullptr ? scheme_text(spec) : layout.kind_name(spec));
  planned.reason = formatted("as {} with the scales that it has as {}, in {}", kind, scheme_text(*tensor.spec),
                             dtype_name(spec.scale_dtype));
}

}  // namespace

void plan_stored(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source, const Config& config,
                 const Storage& storage) {
  planned.reason = formatted("quantized already ({})", scheme_text(*tensor.spec));
  const bool is_kept_apart = tensor.layout->has_own_order && storage.layout != tensor.layout;
  if (is_kept_apart || (tensor.spec->has_group_order && storage.holds_everything())) {
    planned.reason = formatted("its codes lie in an order of their own ({})", scheme_text(*tensor.spec));
    planned.action = Action::kDequantize;
    return set_storage(planned, *tensor.spec, {.layout = storage.layout});
  }
  Fit found = fit_weight(storage,
                         {.wanted = *tensor.spec,
                          .layer = planned.layer,
                          .companion = source.companion(),
                          .is_stored = true,
                          .is_selected = true},
                         config);
  if (found.spec != *tensor.spec) {
    planned.reason = std::move(found.reason);
    planned.action = found.spec ? Action::kQuantize : Action::kDequantize;
    if (found.spec) keep_scales(planned, tensor, *found.layout, *found.spec);
  }
  set_storage(planned, found.spec ? *found.spec : *tensor.spec, found);
  // A search finds the steps again that another rule made the weight of.
  const bool is_anew = planned.action == Action::kQuantize && !planned.keeps_scales && found.method == nullptr;
  const bool is_searched = is_anew && &default_method(scheme_of(planned.spec)) == &kSearchMethod;
  if (is_searched && can_search(planned.spec)) use_search(planned, planned.spec.activation_bits != 0);
}

void plan_tensor(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source, const Config& config,
                 const Selection& selection, const Storage& storage, const UnfitWeights& unfit) {
  Layer& layer = planned.layer;
  adopt_kind(layer, config, tensor);
  adopt_named(layer, selection, tensor);
  if (tensor.spec) plan_stored(planned, tensor, source, config, storage);
  // What would become floats is chosen like floats, and so is what is to get other codes.
  const bool is_kept = tensor.spec && planned.action != Action::kDequantize;
  const bool is_anew =
      planned.action == Action::kQuantize && differs_from_settings(planned.spec, *tensor.spec, layer.name, config);
  if (is_kept && !is_anew && !is_wanted_anew(*tensor.spec, layer.name, config)) return;
  const std::string stored_reason = planned.reason;
  Choice choice;
  if (layer.kind == nullptr) {
    choice = leave(std::move(layer.reason));
    planned.is_deselected = leaves_out(selection, layer.name);
  } else if (choice = choose_by_selection(selection, layer); !choice.quantize) {
    planned.is_deselected = true;
  } else {
    if (const auto found = unfit.find(tensor.name); found != unfit.end()) {
      choice = leave(formatted("{} (nonfinite=copy)", found->second));
    } else {
      const std::string selected = std::move(choice.reason);
      planned.keeps_scales = false;
      choice = plan_chosen(planned, tensor, source, config, selection, storage);
      if (choice.reason.empty()) choice.reason = selected;
    }
  }
  planned.reason = std::move(choice.reason);
  if (tensor.spec && choice.quantize) {
    planned.reason = formatted("quantized anew: {}", is_kept ? scheme_text(*tensor.spec) + " before" : stored_reason);
  } else if (tensor.spec) {
    planned.reason = stored_reason;
  }
  const std::string_view quantized_as = source.quantized_as(tensor.parts.front());
  if (quantized_as.empty()) return;
  const bool becomes_floats = planned.action == Action::kCopy;
  const char* between = planned.reason.empty() ? "" : becomes_floats ? ": " : ", ";
  planned.reason = formatted("{} {}{}{}", becomes_floats ? "made floats of" : "quantized anew, before", quantized_as,
                             between, planned.reason);
}

}  // namespace mnq
