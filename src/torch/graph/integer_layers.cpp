#include "torch/graph/integer_layers.h"

#include <algorithm>

#include "torch/graph/packed_weights.h"

namespace mnq::libtorch {
namespace {

const IntegerKernels* kernels_in_use = nullptr;

using Arguments = at::ArrayRef<c10::IValue>;
constexpr std::size_t kLinearArguments = 8, kConvolutionArguments = 11;

// As the schemas have them; the input comes before them.
LayerTensors layer_of(const Arguments& arguments) {
  LayerTensors layer{.codes = arguments[1].toTensor(),
                     .scale = arguments[2].toTensor(),
                     .zero_point = arguments[3].toOptional<at::Tensor>(),
                     .bias = arguments[4].toOptional<at::Tensor>(),
                     .shape = {},
                     .has_nibbles = !arguments[5].isNone(),
                     .group_size = arguments[6].toInt()};
  layer.shape = layer.has_nibbles ? arguments[5].toIntVector() : layer.codes.sizes().vec();
  return layer;
}

bool fits_kernels(const at::Tensor& x, const LayerTensors& layer, bool takes_bfloat16) {
  const bool is_known = x.scalar_type() == at::kFloat || (takes_bfloat16 && x.scalar_type() == at::kBFloat16);
  return is_known && x.device().is_cpu() && x.layout() == at::kStrided && layer.is_sound(x.scalar_type());
}

// Rows [.., row_length] to [.., output_count].
std::optional<at::Tensor> multiply(const at::Tensor& x, const LayerTensors& layer) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = layer.output_count();
  at::Tensor out = at::empty(shape, x.options());
  if (out.numel() == 0) return out;
  const auto packed = packed_weights(*kernels_in_use, layer);
  if (packed == nullptr) return std::nullopt;
  const at::Tensor rows = x.contiguous();
  kernels_in_use->run(packed.get(), rows.const_data_ptr(), static_cast<std::size_t>(out.numel() / layer.output_count()),
                      out.mutable_data_ptr(), x.scalar_type() == at::kFloat ? DType::kF32 : DType::kBF16);
  return out;
}

std::optional<at::Tensor> run_linear(const Arguments& arguments) {
  const at::Tensor x = arguments[0].toTensor();
  const LayerTensors layer = layer_of(arguments);
  const bool fits = fits_kernels(x, layer, arguments[7].toBool()) && layer.shape.size() == 2 && x.dim() > 0 &&
                    x.size(-1) == layer.row_length();
  return fits ? multiply(x, layer) : std::nullopt;
}

bool are_all(const std::vector<std::int64_t>& values, std::int64_t value) {
  return std::ranges::all_of(values, [&](std::int64_t each) { return each == value; });
}

// Whether each output is a product of one place of the input, whatever the dilation.
bool is_pointwise(const Arguments& arguments, const LayerTensors& layer) {
  return layer.shape.size() > 2 && are_all({layer.shape.begin() + 2, layer.shape.end()}, 1) &&
         are_all(arguments[8].toIntVector(), 1) && are_all(arguments[9].toIntVector(), 0) && arguments[10].toInt() == 1;
}

// [n, a, b] to [n, b, a], contiguous. LibTorch transposes one matrix block by block, and several element by element.
at::Tensor transposed(const at::Tensor& x) {
  at::Tensor result = at::empty({x.size(0), x.size(2), x.size(1)}, x.options());
  for (std::int64_t i = 0; i < x.size(0); ++i) result[i].copy_(x[i].t());
  return result;
}

// [n, channels, places...] as LibTorch lays it out for such an input.
std::optional<at::Tensor> convolve(const at::Tensor& x, const LayerTensors& layer) {
  const at::Tensor moved = x.movedim(1, -1);
  const bool has_rows = moved.is_contiguous();
  const auto y = multiply(has_rows ? moved : transposed(x.contiguous().flatten(2)), layer);
  if (!y || has_rows) return y ? std::optional(y->movedim(-1, 1)) : y;
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[1] = layer.output_count();
  return transposed(*y).reshape(shape);
}

std::optional<at::Tensor> run_convolution(const Arguments& arguments) {
  const at::Tensor x = arguments[0].toTensor();
  const LayerTensors layer = layer_of(arguments);
  if (!fits_kernels(x, layer, arguments[7].toBool()) || !is_pointwise(arguments, layer)) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(layer.shape.size());
  const bool is_single = x.dim() == rank - 1;  // without an axis of examples
  if (x.numel() == 0 || (x.dim() != rank && !is_single)) return std::nullopt;
  const at::Tensor examples = is_single ? x.unsqueeze(0) : x;
  if (examples.size(1) != layer.row_length()) return std::nullopt;
  const auto y = convolve(examples, layer);
  return y && is_single ? std::optional(y->squeeze(0)) : y;
}

template <auto kRun, std::size_t kCount>
void run_operator(jit::Stack& stack) {
  c10::IValue result = kRun(jit::last(stack, kCount));
  jit::drop(stack, kCount);
  jit::push(stack, std::move(result));
}

const std::string kLayerArguments =
    "Tensor x, Tensor codes, Tensor scale, Tensor? zero_point, Tensor? bias, int[]? shape, int group_size, "
    "bool takes_bfloat16";

}  // namespace

void register_integer_layers(const IntegerKernels& kernels) {
  kernels_in_use = &kernels;
  static const jit::RegisterOperators registration(
      {jit::Operator(
           "mono_quant::integer_linear(" + kLayerArguments + ") -> Tensor?",
           [](jit::Stack& stack) { run_operator<run_linear, kLinearArguments>(stack); },
           c10::AliasAnalysisKind::FROM_SCHEMA),
       jit::Operator(
           "mono_quant::integer_convolution(" + kLayerArguments +
               ", int[] stride, int[] padding, int groups) -> Tensor?",
           [](jit::Stack& stack) { run_operator<run_convolution, kConvolutionArguments>(stack); },
           c10::AliasAnalysisKind::FROM_SCHEMA)});
}

c10::Symbol integer_linear_symbol() { return c10::Symbol::fromQualString("mono_quant::integer_linear"); }
c10::Symbol integer_convolution_symbol() { return c10::Symbol::fromQualString("mono_quant::integer_convolution"); }

}  // namespace mnq::libtorch
