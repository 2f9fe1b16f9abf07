#include "plan/plan.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"
#include "plan/foreign_tensors.h"
#include "plan/selection.h"

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
              "count axes from 0, or from -1 at the end", layer.name.name);
}

QuantizedSpec make_spec(const LogicalTensor& tensor, const Layer& layer, const LayerSettings& settings) {
  QuantizedSpec spec;
  spec.scheme = settings.scheme->name;
  spec.granularity = settings.granularity;
  spec.symmetric = settings.symmetric;
  spec.group_size = settings.granularity == Granularity::kGroup ? settings.group_size : 0;
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
                "use 8 bits per channel for this layer, or skip it", layer.name.name);
  }
  // weight_norm's lengths: one code each, and a scale that makes up for it, are larger and say less.
  if (spec.granularity != Granularity::kTensor && count == scale_shape(spec).row_count) {
    return leave("each of its rows is one number");
  }
  return {true, ""};
}

// Scales of earlier versions get the shape that they have now.
void add_copies(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source) {
  const auto parts = tensor.spec ? tensor.layout->parts(*tensor.spec) : std::vector<StoredPart>();
  for (std::size_t i = 0; i < tensor.parts.size(); ++i) {
    PlannedOutput& output = planned.outputs.emplace_back(source.tensors()[tensor.parts[i]], tensor.parts[i]);
    const bool is_former = i < parts.size() && !parts[i].former_shape.empty();
    if (is_former && output.info.shape == parts[i].former_shape) output.info.shape = parts[i].shape;
  }
}

void add_parts(PlannedTensor& planned, const LogicalTensor& tensor) {
  for (const StoredPart& part : planned.layout->parts(planned.spec)) {
    planned.outputs.push_back({{tensor.name + std::string(part.suffix), part.dtype, part.shape,
                                *checked_size_bytes(part.dtype, part.shape)}});
  }
}

void add_floats(PlannedTensor& planned, const LogicalTensor& tensor) {
  planned.outputs.push_back(
      {{tensor.name, tensor.dtype, tensor.shape, *checked_size_bytes(tensor.dtype, tensor.shape)}});
}

// What becomes of the codes of a weight: how they lie, and how they are chosen. A cast has none.
void set_storage(PlannedTensor& planned, QuantizedSpec spec, const Fit& fit) {
  planned.layout = is_coded(spec) ? fit.layout : &kRowsLayout;
  planned.method = fit.method != nullptr ? fit.method : &kMinmaxMethod;
  planned.spec = std::move(spec);
  planned.taken_suffixes = fit.suffixes;
}

// As the settings say, where the weight can have it; what multiplies its codes as integers needs positive scales.
void choose_method(PlannedTensor& planned, const LayerSettings& settings, Choice& choice) {
  QuantizedSpec& spec = planned.spec;
  const bool needs_positive = settings.positive_scales || spec.activation_bits != 0;
  const bool breaks_signs = needs_positive && spec.symmetric && planned.method->makes_free_scales;
  const bool can_search = has_scales_in_pieces(spec) && kSearchMethod.fits(spec);
  if ((settings.method == &kSearchMethod || breaks_signs) && can_search) {
    planned.method = &kSearchMethod;
    if (!scheme_of(spec).has_minima) spec.has_free_scales = spec.symmetric && !needs_positive;
  } else if (settings.is_method_set && settings.method == &kSearchMethod && choice.reason.empty()) {
    choice.reason = kSearchMethod.fits(spec) ? "by minmax: a scale that many rows or pieces share is not searched for"
                                             : formatted("by minmax: there is no search for {}", scheme_of(spec).text);
  }
}

// A weight that is quantized already.
void plan_stored(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source, const Config& config,
                 const Storage& storage) {
  planned.reason = formatted("quantized already ({})", scheme_text(*tensor.spec));
  if (tensor.layout->has_own_order && storage.layout != tensor.layout) {
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
  }
  set_storage(planned, found.spec ? *found.spec : *tensor.spec, found);
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

void add_outputs(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source) {
  switch (planned.action) {
    case Action::kCopy:
      return is_recoded(planned, tensor) ? add_parts(planned, tensor) : add_copies(planned, tensor, source);
    case Action::kDequantize:
      return add_floats(planned, tensor);
    case Action::kQuantize:
    case Action::kCast:
      return add_parts(planned, tensor);
  }
}

void plan_tensor(PlannedTensor& planned, const LogicalTensor& tensor, const TensorSource& source, const Config& config,
                 const Selection& selection, const Storage& storage, const UnfitWeights& unfit) {
  Layer& layer = planned.layer;
  adopt_kind(layer, config, tensor);
  adopt_named(layer, selection, tensor);
  if (tensor.spec) return plan_stored(planned, tensor, source, config, storage);
  Choice choice;
  if (layer.kind == nullptr) {
    choice = leave(layer.reason);
    planned.is_deselected = leaves_out(selection, layer.name);
  } else if (choice = choose_by_selection(selection, layer); !choice.quantize) {
    planned.is_deselected = true;
  } else {
    if (const auto found = unfit.find(tensor.name); found != unfit.end()) {
      choice = leave(formatted("{} (nonfinite=copy)", found->second));
    } else {
      const std::string selected = std::move(choice.reason);
      choice = plan_chosen(planned, tensor, source, config, selection, storage);
      if (choice.reason.empty()) choice.reason = selected;
    }
  }
  planned.reason = choice.reason;
}

// Few formats, and of their layers few, can follow it.
void warn_of_idle_activation_bits(Plan& plan, const Config& config) {
  bool is_asked_for = config.find("activation_bits").value == "8";
  for (const PlannedTensor& planned : plan.tensors) {
    if (planned.action == Action::kQuantize && planned.spec.activation_bits != 0) return;
    is_asked_for = is_asked_for || config.find("activation_bits", planned.layer.name).value == "8";
  }
  if (is_asked_for) {
    plan.warnings.emplace_back(
        "activation_bits=8 has no effect here: int8 layers of compressed-tensors folders follow it, nothing else");
  }
}

// Of two tensors that would have an output of this name, the one that would not if it were left as it is.
std::string name_clash_hint(const PlannedTensor& a, const PlannedTensor& b, const std::string& name) {
  for (const PlannedTensor* tensor : {&a, &b}) {
    if (tensor->action == Action::kQuantize && tensor->layer.name.tensor != name) {
      return formatted("skip the layer {}, or rename the other tensor", tensor->layer.name.name);
    }
  }
  return formatted("rename the tensor {} of the input", name);
}

void require_distinct_names(const Plan& plan) {
  std::unordered_map<std::string_view, const PlannedTensor*> owners;
  const auto require_own = [&](const PlannedTensor* owner, const PlannedTensor& tensor, const std::string& name) {
    if (owner == &tensor) return;
    throw Error(Status::kFormat, formatted("two tensors of the output would be called {}", name),
                name_clash_hint(*owner, tensor, name), name);
  };
  for (const PlannedTensor& tensor : plan.tensors) {
    for (const PlannedOutput& output : tensor.outputs) {
      const auto [owner, is_new] = owners.emplace(output.info.name, &tensor);
      if (!is_new) require_own(owner->second, tensor, output.info.name);
    }
  }
  for (const PlannedTensor& tensor : plan.tensors) {
    for (const std::string_view suffix : tensor.taken_suffixes) {
      const std::string name = tensor.layer.name.tensor + std::string(suffix);
      if (const auto owner = owners.find(name); owner != owners.end()) require_own(owner->second, tensor, name);
    }
  }
}

// Nothing but the tensors says so.
void remark_on_conv1d(Plan& plan, const Companion* companion) {
  if (is_conv1d_model(companion)) return;
  const auto count = std::ranges::count_if(plan.tensors, [](const PlannedTensor& planned) {
    return planned.layer.kind != nullptr && planned.layer.kind->name == "Conv1D";
  });
  if (count == 0) return;
  plan.warnings.push_back(formatted(
      "{} layers are taken for the Conv1D of GPT-2, whose weights are [in, out]: by their names and shapes", count));
}

// One planned copy for each logical tensor.
Plan start_plan(const TensorSource& source) {
  Plan plan;
  plan.logical = source.require_weights();
  std::vector<Layer> layers = find_layers(plan.logical, source.companion());
  plan.tensors.resize(plan.logical.size());
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    plan.tensors[i].logical = i;
    plan.tensors[i].layer = std::move(layers[i]);
  }
  return plan;
}

void finish_plan(Plan& plan, const TensorSource& source) {
  for (const std::string& remark : source.remarks()) plan.warnings.push_back(remark);
  require_distinct_names(plan);
}

void plan_floats(PlannedTensor& planned, const LogicalTensor& tensor) {
  planned.action = Action::kDequantize;
  planned.spec = *tensor.spec;
}

// A plan for weights that are quantized already; all others are copied.
template <class Decide>
Plan plan_quantized(const TensorSource& source, const Decide& decide) {
  Plan plan = start_plan(source);
  for (PlannedTensor& planned : plan.tensors) {
    const LogicalTensor& tensor = plan.logical[planned.logical];
    if (tensor.spec) {
      decide(planned, tensor);
    } else {
      planned.reason = "not quantized";
    }
    add_outputs(planned, tensor, source);
  }
  finish_plan(plan, source);
  return plan;
}

}  // namespace

std::string_view action_name(Action action) {
  switch (action) {
    case Action::kQuantize:
      return "quantize";
    case Action::kCast:
      return "cast";
    case Action::kCopy:
      return "copy";
    case Action::kDequantize:
      break;
  }
  return "dequantize";
}

bool is_recoded(const PlannedTensor& planned, const LogicalTensor& tensor) {
  return planned.action == Action::kCopy && tensor.spec && is_coded(*tensor.spec) && planned.layout != tensor.layout;
}

bool has_codes(const PlannedTensor& planned, const LogicalTensor& tensor) {
  if (planned.action == Action::kQuantize) return true;
  return planned.action == Action::kCopy && tensor.spec && is_coded(*tensor.spec);
}

std::vector<const TensorInfo*> PlanSlice::outputs() const {
  std::vector<const TensorInfo*> infos;
  std::size_t count = 0;
  for (std::size_t item = 0; item < size(); ++item) count += tensor(item).outputs.size();
  infos.reserve(count);
  for (std::size_t item = 0; item < size(); ++item) {
    for (const PlannedOutput& output : tensor(item).outputs) infos.push_back(&output.info);
  }
  return infos;
}

Plan make_plan(const TensorSource& source, const Config& config, const Storage& storage, const UnfitWeights& unfit) {
  refuse_foreign_tensors(source, source.require_weights());
  Plan plan = start_plan(source);
  const Selection selection = read_selection(config);
  resolve_layer(config, {});  // a combination that cannot be is an error even where no layer would use it
  for (PlannedTensor& planned : plan.tensors) {
    plan_tensor(planned, plan.logical[planned.logical], source, config, selection, storage, unfit);
    add_outputs(planned, plan.logical[planned.logical], source);
  }
  remark_on_conv1d(plan, source.companion());
  warn_of_idle_globs(plan, config, selection);
  warn_of_idle_activation_bits(plan, config);
  finish_plan(plan, source);
  return plan;
}

Plan make_dequantize_plan(const TensorSource& source) {
  refuse_foreign_tensors(source, source.require_weights());
  return plan_quantized(source, plan_floats);
}

Plan make_dequantize_plan(const TensorSource& source, std::size_t weight) {
  refuse_foreign_tensors(source, source.require_weights());
  Plan plan;
  plan.logical = source.require_weights();
  PlannedTensor& planned = plan.tensors.emplace_back();
  const LogicalTensor& tensor = plan.logical[weight];
  planned.logical = weight;
  planned.layer.name = {tensor.name, tensor.name};
  if (tensor.spec) plan_floats(planned, tensor);
  add_outputs(planned, tensor, source);
  return plan;
}

Plan make_convert_plan(const TensorSource& source, const Config& config, const Storage& storage) {
  if (!storage.holds_everything()) refuse_foreign_tensors(source, source.require_weights());
  const auto foreign = find_foreign_tensors(source.require_weights());
  Plan plan = plan_quantized(source, [&](PlannedTensor& planned, const LogicalTensor& tensor) {
    plan_stored(planned, tensor, source, config, storage);
  });
  if (foreign) {
    plan.warnings.push_back(
        formatted("{}: its tensors are copied as they are, none is read as a weight", foreign->text()));
  }
  return plan;
}

}  // namespace mnq
