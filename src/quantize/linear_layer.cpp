#include "quantize/linear_layer.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "base/threads.h"
#include "formats/memory.h"
#include "layouts/tables.h"
#include "linear/linear_table.h"
#include "plan/layer_kinds.h"
#include "plan/plan.h"
#include "quantize/jobs.h"
#include "quantize/loop/weight_reader.h"
#include "quantize/weight_of_layer.h"

namespace mnq {
namespace {

constexpr std::string_view kKind = "Linear";
constexpr std::uint64_t kRowsAtOnce = 64;

[[noreturn]] void fail_packing(const std::string& name, const std::string& why, const std::string& suggestion) {
  throw Error(Status::kUnsupported, formatted("{} cannot be packed: {}", name, why), suggestion, name);
}

// [out, in], or the same of a convolution of 1 x 1.
bool is_matrix(const Shape& shape) {
  return shape.size() >= 2 && std::all_of(shape.begin() + 2, shape.end(), [](std::int64_t size) { return size == 1; });
}

// What a weight must be to be multiplied with rows.
void require_matrix(const LogicalTensor& weight) {
  if (!is_matrix(weight.shape)) {
    fail_packing(weight.name, formatted("it has the shape {}", shape_text(weight.shape)), "weights are [out, in]");
  }
  if (weight.spec && (weight.spec->channel_axis != 0 || weight.spec->stacked_axes != 0)) {
    fail_packing(weight.name, formatted("its channels lie along axis {}", weight.spec->channel_axis),
                 "weights are [out, in], with a scale for each row or its groups");
  }
}

// What a float weight must be: [out, in] for its layer, too. GPT-2's Conv1D and transposed convolutions are [in, out].
void require_rows_of_outputs(const TensorSource& source, const LogicalTensor& weight) {
  const std::vector<LogicalTensor>& weights = source.require_weights();
  const Layer layer = find_layers(weights, source.companion())[static_cast<std::size_t>(&weight - weights.data())];
  if (layer.kind == nullptr || (layer.channel_axis == 0 && layer.stacked_axes == 0)) return;
  fail_packing(weight.name,
               formatted("it is a {}'s, with its outputs along axis {}", layer.kind->name, layer.channel_axis),
               "transpose it, and make the layer of floats");
}

// Whether the codes of a scheme are integers of a byte, times a scale.
void require_integers(const std::string& name, const QuantizedSpec& spec) {
  if (has_integer_codes(spec) && !scheme_of(spec).has_minima) return;
  fail_packing(name, formatted("it is {}", scheme_text(spec)),
               "dequantize the model first, or quantize it to integers");
}

bool has_nibbles(const QuantizedSpec& spec) {
  const kernels::CodeRule& rule = scheme_of(spec).rule;
  return rule.code_min >= -8 && rule.code_max <= 7;
}

// A whole weight, one code a byte, and what each row has of scales.
struct CodedWeight {
  std::vector<std::int8_t> codes, zero_points;
  std::vector<float> scales;
};

void add_tables(const WeightReader& reader, const QuantizedSpec& spec, std::uint64_t rows, CodedWeight& to) {
  const ScaleTables& tables = reader.tables();
  const ScaleShape shape = scale_shape(spec);
  for (std::uint64_t row = 0; row < rows; ++row) {
    const auto first = static_cast<std::ptrdiff_t>(shape.row_of(row) * shape.groups);
    const auto count = static_cast<std::ptrdiff_t>(shape.groups);
    to.scales.insert(to.scales.end(), tables.scales.begin() + first, tables.scales.begin() + first + count);
    if (tables.zero_points.empty()) continue;
    to.zero_points.insert(to.zero_points.end(), tables.zero_points.begin() + first,
                          tables.zero_points.begin() + first + count);
  }
}

CodedWeight load_codes(const TensorSource& source, const LogicalTensor& weight) {
  const QuantizedSpec& spec = *weight.spec;
  const RowView rows = row_view(weight.shape, 0);
  const WeightReader reader(source, weight);
  if (!reader.tables().group_of_column.empty()) {
    fail_packing(weight.name, "the columns of a group do not follow each other",
                 "dequantize the model, or convert it to another format, first");
  }
  CodedWeight coded;
  coded.codes.reserve(rows.row_count * rows.row_length);
  if (weight.layout->has_tables) add_tables(reader, spec, rows.row_count, coded);
  const auto code_xor = static_cast<std::int8_t>(scheme_of(spec).rule.code_xor);
  LayoutBuffers buffers;
  for (std::uint64_t row = 0; row < rows.row_count && rows.row_length != 0; row += kRowsAtOnce) {
    const PiecePlace place{row, std::min(kRowsAtOnce, rows.row_count - row), 0, rows.row_length};
    const CodedPiece piece = reader.load(place, buffers);
    std::transform(piece.codes, piece.codes + place.count(), std::back_inserter(coded.codes),
                   [&](std::int8_t code) { return static_cast<std::int8_t>(code ^ code_xor); });
    if (weight.layout->has_tables) continue;
    coded.scales.insert(coded.scales.end(), piece.scales, piece.scales + piece.scale_count());
    if (piece.zero_points == nullptr) continue;
    coded.zero_points.insert(coded.zero_points.end(), piece.zero_points, piece.zero_points + piece.scale_count());
  }
  return coded;
}

std::vector<float> load_bias(const TensorSource& source, std::size_t stored, std::size_t output_count) {
  const TensorInfo& info = source.tensors()[stored];
  if (!is_weight_dtype(info.dtype) || info.shape != Shape{static_cast<std::int64_t>(output_count)}) {
    throw Error(Status::kShape,
                formatted("{} is {} {}, not a float for each of {} outputs", info.name, dtype_name(info.dtype),
                          shape_text(info.shape), output_count),
                "", info.name);
  }
  const std::vector<std::size_t> parts{stored};
  return load_floats(PartReader(source, parts), 0);
}

// 0 where it is unset: the number of threads may change until a layer runs.
std::uint32_t threads_of(const Config& config) {
  const std::string value = config.find("threads").value;
  return value == "auto" || value == "0" ? 0 : resolve_job(config).threads;
}

std::unique_ptr<LinearLayer> pack_layer(std::string name, std::string scheme, const linear::LinearWeights& weights,
                                        const Config& config) {
  const bool symmetric = config.flag("symmetric_activations");
  return std::make_unique<LinearLayer>(LinearLayer{std::move(name), std::move(scheme), threads_of(config),
                                                   linear::PackedLinear(weights, symmetric, linear::linear_kernel())});
}

// A weight that has codes.
std::unique_ptr<LinearLayer> pack_weight(const TensorSource& source, const LogicalTensor& weight,
                                         const std::vector<float>& bias, const Config& config) {
  require_integers(weight.name, *weight.spec);
  const CodedWeight coded = load_codes(source, weight);
  linear::LinearWeights weights;
  weights.output_count = static_cast<std::size_t>(weight.shape.front());
  weights.row_length = row_view(weight.shape, 0).row_length;
  weights.has_nibbles = has_nibbles(*weight.spec);
  weights.group_size = weight.spec->granularity == Granularity::kGroup ? weight.spec->group_size : 0;
  weights.scales = coded.scales.data();
  weights.zero_points = coded.zero_points.empty() ? nullptr : coded.zero_points.data();
  weights.bias = bias.empty() ? nullptr : bias.data();
  weights.codes = [&](std::size_t first, std::size_t) { return coded.codes.data() + first * weights.row_length; };
  return pack_layer(std::string(layer_name_from(weight.name).name), scheme_text(*weight.spec), weights, config);
}

// The settings with one layer chosen, whatever else they choose.
Settings choosing(const Settings* call, const std::string& layer) {
  Settings settings = call == nullptr ? Settings() : *call;
  set_value(settings, "only", layer + ",*");  // its name may be no glob of itself: "fc[0]"
  set_value(settings, "skip", "");
  return settings;
}

// A model of this weight alone, quantized.
std::shared_ptr<const TensorSource> quantize_weight(const TensorSource& source, const LogicalTensor& weight,
                                                    const LinearSettings& settings) {
  if (!is_weight_dtype(weight.dtype)) {
    throw Error(Status::kDType, formatted("{} is {}", weight.name, dtype_name(weight.dtype)),
                "weights are F32, BF16, F16 or F64, or quantized", weight.name);
  }
  LayerHint hint{std::string(layer_name_from(weight.name).name), std::string(kKind), 0, ""};
  const bool is_plain = weight.shape.size() == 2;
  const auto alone = make_memory_source({{weight.name, load_tensor(source, weight.parts.front()),
                                          is_plain ? std::optional(std::move(hint)) : std::nullopt}},
                                        {});
  const Settings call = choosing(settings.call, weight.name);
  const Config config(settings.config, &call);
  const Plan plan = make_plan(*alone, config);
  const PlannedTensor& planned = plan.tensors.front();
  if (planned.action == Action::kCast) {
    fail_packing(weight.name, formatted("it becomes {}", scheme_text(planned.spec)),
                 "choose integers of 8 or 4 bits for it");
  }
  if (!has_codes(planned, plan.logical.front())) fail_packing(weight.name, planned.reason, "");
  std::shared_ptr<const TensorSource> quantized;
  RunControl control;
  quantize(*alone, config, control, memory_output(*alone, quantized));
  return quantized;
}

}  // namespace

std::uint32_t LinearLayer::thread_count() const { return threads == 0 ? default_thread_count() : threads; }

std::string LinearLayer::describe() const {
  return Json{{"name", name},
              {"scheme", scheme},
              {"output_count", packed.output_count()},
              {"row_length", packed.row_length()},
              {"group_size", packed.group_size()},
              {"has_zero_points", packed.has_zero_points()},
              {"has_bias", packed.has_bias()},
              {"symmetric_activations", packed.has_symmetric_rows()},
              {"size_bytes", packed.size_bytes()},
              {"threads", thread_count()},
              {"isa", packed.isa()}}
      .dump();
}

std::unique_ptr<LinearLayer> make_linear_layer(const TensorSource& source, const std::string& layer,
                                               const LinearSettings& settings) {
  const LogicalTensor& weight = weight_of_layer(source, layer);
  require_matrix(weight);
  if (!weight.spec) require_rows_of_outputs(source, weight);
  std::vector<float> bias;
  const std::size_t stored = bias_of_weight(source, weight);
  if (stored != TensorSource::kNone) bias = load_bias(source, stored, static_cast<std::size_t>(weight.shape.front()));
  const Config config(settings.config, settings.call);
  if (weight.spec && is_coded(*weight.spec)) return pack_weight(source, weight, bias, config);
  const auto quantized = quantize_weight(source, weight, settings);
  const LogicalTensor& made = quantized->require_weights().front();
  if (!made.spec) {  // nonfinite=copy
    throw Error(Status::kValidation, formatted("{} has values that are not finite", weight.name),
                "repair the checkpoint", weight.name);
  }
  require_matrix(made);
  return pack_weight(*quantized, made, bias, config);
}

std::unique_ptr<LinearLayer> make_linear_layer(const Tensor& weight, const Tensor* bias,
                                               const LinearSettings& settings) {
  std::vector<NamedTensor> tensors{{"linear.weight", weight}};
  if (bias != nullptr) tensors.push_back({"linear.bias", *bias});
  return make_linear_layer(*make_memory_source(std::move(tensors), {}), "linear", settings);
}

std::unique_ptr<LinearLayer> make_linear_layer(const linear::LinearWeights& weights, std::string_view scheme,
                                               const LinearSettings& settings) {
  return pack_layer("", std::string(scheme), weights, Config(settings.config, settings.call));
}

}  // namespace mnq
