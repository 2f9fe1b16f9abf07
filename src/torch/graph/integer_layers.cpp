#include "torch/graph/integer_layers.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/buffer.h"
#include "torch/graph/integer_convolutions.h"
#include "torch/graph/packed_weights.h"

namespace mnq::libtorch {
namespace {

const IntegerKernels* kernels_in_use = nullptr;

using Arguments = at::ArrayRef<c10::IValue>;
constexpr std::size_t kLinearArguments = 8, kConvolutionArguments = 12;

// As the schemas have them; the input comes before them.
LayerTensors layer_of(const Arguments& arguments) {
  LayerTensors layer{.codes = arguments[1].toTensor(),
                     .scale = arguments[2].toTensor(),
                     .zero_point = arguments[3].toOptional<at::Tensor>(),
                     .bias = arguments[4].toOptional<at::Tensor>(),
                     .shape = {},
                     .has_nibbles = !arguments[5].isNone(),
                     .group_size = arguments[6].toInt(),
                     .convolution = std::nullopt};
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
  const auto packed = packed_weights(*kernels_in_use, layer, pack_rows);
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
bool is_pointwise(const LayerTensors& layer, const Convolution& how) {
  return are_all({layer.shape.begin() + 2, layer.shape.end()}, 1) && are_all(how.stride, 1) &&
         are_all(how.padding, 0) && how.groups == 1;
}

// Matrices are transposed in blocks of a line of the cache each way, and those of floats in squares, in registers.
constexpr std::int64_t kBlock = 16, kSquare = 4;
using Four = float __attribute__((vector_size(16)));

void transpose_square(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) {
  Four rows[kSquare];
  for (std::int64_t i = 0; i < kSquare; ++i) std::memcpy(&rows[i], from + i * from_stride, sizeof(Four));
  const Four low[] = {__builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5),
                      __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5)};
  const Four high[] = {__builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7),
                       __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7)};
  const Four columns[kSquare] = {
      __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5), __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7),
      __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5), __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7)};
  for (std::int64_t i = 0; i < kSquare; ++i) std::memcpy(to + i * to_stride, &columns[i], sizeof(Four));
}

// from [rows, columns] to [columns, rows]; strides are of the matrices that these are blocks of.
template <class Number>
void transpose_block(const Number* from, std::int64_t rows, std::int64_t columns, std::int64_t from_stride, Number* to,
                     std::int64_t to_stride) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      to[column * to_stride + row] = from[row * from_stride + column];
    }
  }
}

void transpose_whole_block(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) {
  for (std::int64_t column = 0; column < kBlock; column += kSquare) {
    for (std::int64_t row = 0; row < kBlock; row += kSquare) {
      transpose_square(from + row * from_stride + column, from_stride, to + column * to_stride + row, to_stride);
    }
  }
}

// from [rows, columns] to [columns, rows], parts of matrices with these strides.
template <class Number>
void transpose(const Number* from, std::int64_t from_stride, std::int64_t row_count, std::int64_t column_count,
               Number* to, std::int64_t to_stride) {
  for (std::int64_t column = 0; column < column_count; column += kBlock) {
    for (std::int64_t row = 0; row < row_count; row += kBlock) {
      const std::int64_t rows = std::min(kBlock, row_count - row), columns = std::min(kBlock, column_count - column);
      const Number* block = from + row * from_stride + column;
      Number* place = to + column * to_stride + row;
      if constexpr (std::is_same_v<Number, float>) {
        if (rows == kBlock && columns == kBlock) {
          transpose_whole_block(block, from_stride, place, to_stride);
          continue;
        }
      }
      transpose_block(block, rows, columns, from_stride, place, to_stride);
    }
  }
}

// Places that go through all steps of a convolution while they are in the cache.
constexpr std::int64_t kPlacesAtOnce = 16 * 6;

// An example: from [row_length, places] to [output_count, places].
template <class Number>
void convolve_planes(const void* packed, const LayerTensors& layer, std::int64_t places, const Number* from,
                     Number* to) {
  static thread_local Buffer row_buffer, product_buffer;
  const std::int64_t length = layer.row_length(), outputs = layer.output_count();
  auto* rows = row_buffer.get<Number>(static_cast<std::uint64_t>(kPlacesAtOnce * length));
  auto* products = product_buffer.get<Number>(static_cast<std::uint64_t>(kPlacesAtOnce * outputs));
  for (std::int64_t place = 0; place < places; place += kPlacesAtOnce) {
    const std::int64_t count = std::min(kPlacesAtOnce, places - place);
    transpose(from + place, places, length, count, rows, length);
    kernels_in_use->run(packed, rows, static_cast<std::size_t>(count), products,
                        std::is_same_v<Number, float> ? DType::kF32 : DType::kBF16);
    transpose(products, outputs, count, outputs, to + place, places);
  }
}

template <class Number>
void convolve_examples(const void* packed, const LayerTensors& layer, const at::Tensor& x, const at::Tensor& y) {
  const std::int64_t places = c10::multiply_integers(x.sizes().slice(2));
  const auto* from = static_cast<const Number*>(x.const_data_ptr());
  auto* to = static_cast<Number*>(y.mutable_data_ptr());
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    convolve_planes(packed, layer, places, from + i * layer.row_length() * places,
                    to + i * layer.output_count() * places);
  }
}

// [n, channels, places...] as LibTorch lays it out for such an input.
std::optional<at::Tensor> convolve(const at::Tensor& x, const LayerTensors& layer) {
  const at::Tensor moved = x.movedim(1, -1);
  if (moved.is_contiguous()) {
    const auto y = multiply(moved, layer);
    return y ? std::optional(y->movedim(-1, 1)) : y;
  }
  const auto packed = packed_weights(*kernels_in_use, layer, pack_rows);
  if (packed == nullptr) return std::nullopt;
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[1] = layer.output_count();
  at::Tensor y = at::empty(shape, x.options());
  const auto run = x.scalar_type() == at::kFloat ? convolve_examples<float> : convolve_examples<std::uint16_t>;
  run(packed.get(), layer, x.contiguous(), y);
  return y;
}

std::optional<at::Tensor> run_convolution(const Arguments& arguments) {
  const at::Tensor x = arguments[0].toTensor();
  LayerTensors layer = layer_of(arguments);
  const auto rank = static_cast<std::int64_t>(layer.shape.size());
  if (!fits_kernels(x, layer, arguments[7].toBool()) || rank < 3) return std::nullopt;
  const bool is_single = x.dim() == rank - 1;  // without an axis of examples
  if (x.numel() == 0 || (x.dim() != rank && !is_single)) return std::nullopt;
  const at::Tensor examples = is_single ? x.unsqueeze(0) : x;
  const Convolution how{arguments[8].toIntVector(), arguments[9].toIntVector(), arguments[10].toIntVector(),
                        arguments[11].toInt()};
  if (examples.size(1) != layer.shape[1] * how.groups) return std::nullopt;
  const bool is_of_rows = is_pointwise(layer, how);
  if (!is_of_rows) layer.convolution = how;
  const auto y = is_of_rows ? convolve(examples, layer) : convolve_places(*kernels_in_use, examples, layer);
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
               ", int[] stride, int[] padding, int[] dilation, int groups) -> Tensor?",
           [](jit::Stack& stack) { run_operator<run_convolution, kConvolutionArguments>(stack); },
           c10::AliasAnalysisKind::FROM_SCHEMA)});
}

c10::Symbol integer_linear_symbol() { return c10::Symbol::fromQualString("mono_quant::integer_linear"); }
c10::Symbol integer_convolution_symbol() { return c10::Symbol::fromQualString("mono_quant::integer_convolution"); }

}  // namespace mnq::libtorch
