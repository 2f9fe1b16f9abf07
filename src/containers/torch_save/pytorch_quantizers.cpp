// What a tensor that PyTorch quantized says of its codes. Source: torch/_utils.py, _rebuild_qtensor, 2.13
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/text/format.h"
#include "containers/archive_error.h"
#include "containers/pickle/pickle_fields.h"
#include "containers/torch_save/pytorch_tensors.h"

namespace mnq {
namespace {

constexpr std::string_view kOfTensor = "per_tensor_affine", kOfChannels = "per_channel_affine",
                           kOfFloatChannels = "per_channel_affine_float_qparams";

// Scales are rounded to float32 when they are used.
bool is_scale(double scale) { return std::isfinite(static_cast<float>(scale)); }

// Zero points of float_qparams are float32, and PyTorch itself calls that scheme per_channel_affine in a file.
bool may_hold(DType dtype, bool are_scales) {
  if (are_scales) return is_weight_dtype(dtype);
  return dtype == DType::kI32 || dtype == DType::kI64 || dtype == DType::kF32;
}

// Packages whose tensors are codes in a class of their own.
constexpr std::array<std::string_view, 5> kQuantizers{"torchao", "optimum.quanto", "quanto", "hqq", "bitsandbytes"};

bool is_of_package(std::string_view module, std::string_view package) {
  return module.starts_with(package) && (module.size() == package.size() || module[package.size()] == '.');
}

void read_single_scale(const Pickle& pickle, PytorchQuantizer& quantizer, const std::string& name,
                       std::span<const PickleIndex> said) {
  const PickleValue &scale = pickle.at(said[1]), &zero_point = pickle.at(said[2]);
  if (scale.kind != PickleKind::kFloat || zero_point.kind != PickleKind::kInt) {
    pickle.fail(formatted("has a quantized tensor {} whose scale or zero point is no number", shown(name)));
  }
  quantizer.scale = scale.real;
  quantizer.zero_point = zero_point.integer;
  if (!is_scale(quantizer.scale))
    pickle.fail(formatted("has a quantized tensor {} with a scale of {}", shown(name), scale.real));
  const auto [lowest, highest] = quantizer.code_range();
  if (quantizer.zero_point < lowest || quantizer.zero_point > highest) {
    pickle.fail(formatted("has a quantized tensor {} with the zero point {}, which is no {}", shown(name),
                          quantizer.zero_point, quantizer.dtype));
  }
}

void read_tables(const PytorchTensors& tensors, const Pickle& pickle, PytorchQuantizer& quantizer,
                 const std::string& name, std::span<const PickleIndex> said) {
  const PickleValue& axis = pickle.at(said[3]);
  const auto rank = static_cast<std::int64_t>(quantizer.shape.size());
  if (axis.kind != PickleKind::kInt || axis.integer < 0 || axis.integer >= rank) {
    pickle.fail(formatted("has a quantized tensor {} whose channels lie on none of its {} axes", shown(name), rank));
  }
  quantizer.axis = axis.integer;
  const Shape channels{quantizer.shape[static_cast<std::size_t>(axis.integer)]};
  for (const std::size_t table : {1, 2}) {
    const char* what = table == 1 ? "scales" : "zero points";
    const auto call = PytorchDicts(pickle).tensor_call(said[table]);
    if (!call || PytorchTensors::is_quantized(*call))
      pickle.fail(formatted("has a quantized tensor {} without {}", shown(name), what));
    PytorchTensor read_table = tensors.read(formatted("{} ({})", name, what), *call);
    if (!read_table.oddity.empty() || !may_hold(read_table.dtype, table == 1)) {
      pickle.fail(formatted("has a quantized tensor {} whose {} are {}", shown(name), what,
                            read_table.oddity.empty() ? std::string(dtype_name(read_table.dtype))
                                                      : "a tensor that " + read_table.oddity));
    }
    if (read_table.shape != channels) {
      pickle.fail(formatted("has a quantized tensor {} of {} channels with {} {}", shown(name), channels[0],
                            shape_text(read_table.shape), what));
    }
    quantizer.tables.push_back(std::move(read_table));
  }
}

}  // namespace

// _rebuild_wrapper_subclass(class, ...)
void PytorchTensors::refuse_wrapped(const std::string& name, const TensorCall& call) const {
  if (call.function != "_rebuild_wrapper_subclass" || call.arguments.empty()) return;
  const PickleValue& type = pickle_.at(call.arguments[0]);
  const auto is_of = [&](std::string_view package) { return is_of_package(type.module, package); };
  if (type.kind != PickleKind::kGlobal || std::ranges::none_of(kQuantizers, is_of)) return;
  refuse(formatted("tensor {}: is quantized as {}, which is not read", shown(name), global_name(type)),
         "pass the float checkpoint it was made from");
}

std::pair<std::int64_t, std::int64_t> PytorchQuantizer::code_range() const {
  const std::int64_t half = std::int64_t{1} << (code_bits - 1);
  const bool is_unsigned = dtype.starts_with("qu");
  return is_unsigned ? std::pair(std::int64_t{0}, 2 * half - 1) : std::pair(-half, half - 1);
}

// (scheme, scale, zero point), or (scheme, scales, zero points, axis)
void PytorchTensors::read_quantizer(PytorchTensor& tensor, Shape shape, const TensorCall& call) const {
  const TorchDType& row = *row_of(call, *form_of(call));
  PytorchQuantizer quantizer{row.name, row.code_bits, std::move(shape), call.arguments[4], 1, 0, {}, {}};
  const auto said = pickle_.items(pickle_.at(quantizer.parameters));
  const auto is_said = [&](std::string_view scheme) {
    return !said.empty() && pickle_.is_global(pickle_.at(said[0]), "torch", scheme);
  };
  if (is_said(kOfTensor) && said.size() == 3) {
    read_single_scale(pickle_, quantizer, tensor.name, said);
  } else if ((is_said(kOfChannels) || is_said(kOfFloatChannels)) && said.size() == 4) {
    read_tables(*this, pickle_, quantizer, tensor.name, said);
  } else if (!said.empty() && pickle_.at(said[0]).kind == PickleKind::kGlobal &&
             std::ranges::none_of(std::array{kOfTensor, kOfChannels, kOfFloatChannels}, is_said)) {
    refuse(formatted("tensor {}: is quantized by {}, which is not read", shown(tensor.name),
                     global_name(pickle_.at(said[0]))),
           "pass the float checkpoint it was made from");
  } else {
    pickle_.fail(formatted("has a quantized tensor {} that does not say its scales", shown(tensor.name)));
  }
  tensor.quantizer = std::move(quantizer);
}

}  // namespace mnq
