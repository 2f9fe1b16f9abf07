#include "torch/graph/integer_convolutions.h"

#include <algorithm>
#include <new>

namespace mnq::libtorch {
namespace {

constexpr std::int64_t kFewestProducts = 1 << 20;  // of an example: fewer are done in floats before oneDNN has begun
constexpr std::int64_t kLongestRow = 1 << 16;      // of 255 * 128 in 32 bits

using List = std::vector<std::int64_t>;

List spread(const List& values, std::size_t count) { return values.size() == 1 ? List(count, values.front()) : values; }

/// What oneDNN is given of a layer. It never gets a zero point, nor padding, which would be of that value: with AMX,
/// 3.12 then writes beyond its memory for some shapes (64 channels, 3 x 3, padding and dilation 2), and its sums are
/// wrong for more.
struct PreparedWeights {
  at::Tensor codes, scales, zero_points;
  at::Tensor sums, bias;  ///< of each row, in double: its scale times the sum of its codes; and what is added to it
};

const jit::Operator* find_operator(const char* name) {
  for (const auto& known : jit::getAllOperatorsFor(c10::Symbol::fromQualString(name))) {
    if (known->schema().overload_name().empty()) return known.get();
  }
  return nullptr;
}

at::Tensor call(const jit::Operator& known, jit::Stack arguments) {
  known.getOperation()(arguments);
  return std::move(arguments.back()).toTensor();
}

// LibTorch's, where it was built with oneDNN.
struct Operators {
  const jit::Operator* prepare = find_operator("onednn::qconv_prepack");
  const jit::Operator* run = find_operator("onednn::qconv_pointwise");
};

const Operators& operators() {
  static const Operators found;
  return found;
}

at::Tensor prepare_codes(const at::Tensor& codes, const at::Tensor& scales, const Convolution& how) {
  constexpr double kScale = 1;
  constexpr std::int64_t kZeroPoint = 0;
  const std::size_t places = static_cast<std::size_t>(codes.dim()) - 2;
  return call(*operators().prepare, {codes, scales, kScale, kZeroPoint, spread(how.stride, places), List(places, 0),
                                     spread(how.dilation, places), how.groups, c10::IValue()});
}

PreparedWeights prepare(const at::Tensor& codes, const at::Tensor& scales, const std::optional<at::Tensor>& bias,
                        const Convolution& how) {
  return {prepare_codes(codes, scales, how), scales, at::zeros({codes.size(0)}, at::kInt),
          codes.flatten(1).sum(1).to(at::kDouble) * scales.to(at::kDouble),
          bias ? bias->to(at::kDouble) : at::zeros({codes.size(0)}, at::kDouble)};
}

at::Tensor with_channels_last(const at::Tensor& codes) {
  if (codes.dim() == 4) return codes.contiguous(at::MemoryFormat::ChannelsLast);
  return codes.dim() == 5 ? codes.contiguous(at::MemoryFormat::ChannelsLast3d) : codes.contiguous();
}

// Around each axis, the last one first.
at::Tensor padded(const at::Tensor& codes, std::int64_t zero_point, const Convolution& how) {
  const List padding = spread(how.padding, static_cast<std::size_t>(codes.dim()) - 2);
  List both;
  for (auto each = padding.rbegin(); each != padding.rend(); ++each) both.insert(both.end(), 2, *each);
  const bool is_padded = std::ranges::any_of(padding, [](std::int64_t each) { return each != 0; });
  return is_padded ? at::constant_pad_nd(codes, both, zero_point) : codes;
}

at::Tensor convolve_codes(const at::Tensor& codes, double scale, std::int64_t zero_point,
                          const PreparedWeights& weights, const Convolution& how) {
  const std::size_t places = static_cast<std::size_t>(codes.dim()) - 2;
  const at::Tensor bias = weights.bias - weights.sums * (static_cast<double>(zero_point) * scale);
  constexpr double kOutScale = 1;
  constexpr std::int64_t kNoZeroPoint = 0;
  return call(*operators().run, {with_channels_last(padded(codes, zero_point, how)), scale, kNoZeroPoint, weights.codes,
                                 weights.scales, weights.zero_points, bias.to(at::kFloat), spread(how.stride, places),
                                 List(places, 0), spread(how.dilation, places), how.groups, kOutScale, kNoZeroPoint,
                                 at::kFloat, "none", c10::List<std::optional<at::Scalar>>(), ""});
}

// Sums of the largest products there are, which saturate in 16 bits where a CPU adds two of them before it widens them.
bool finds_exact_sums() {
  if (operators().prepare == nullptr || operators().run == nullptr) return false;
  constexpr std::int64_t kChannels = 32, kOutputs = 16;
  const Convolution how{{1}, {0}, {1}, 1};
  const at::Tensor weights = at::full({kOutputs, kChannels, 3, 3}, 127, at::kChar);
  const at::Tensor codes = at::full({1, kChannels, 8, 8}, 255, at::kByte);
  try {
    const at::Tensor sums = convolve_codes(codes, 1, 0, prepare(weights, at::ones({kOutputs}), std::nullopt, how), how);
    return sums.eq(255.0 * 127 * 9 * kChannels).all().item<bool>();
  } catch (const std::exception&) {
    return false;
  }
}

bool are_sums_exact() {
  static const bool are_exact = finds_exact_sums();
  return are_exact;
}

std::shared_ptr<const void> prepare_layer(const IntegerKernels&, const LayerTensors& layer) {
  const at::Tensor scales = layer.scale.flatten().expand({layer.output_count()}).contiguous();
  return std::make_shared<PreparedWeights>(prepare(layer.codes, scales, layer.bias, *layer.convolution));
}

// About as many as floats would take.
double products_of(const at::Tensor& example, const LayerTensors& layer) {
  double count = static_cast<double>(layer.output_count() * layer.row_length());
  for (const std::int64_t places : example.sizes().slice(2)) count *= static_cast<double>(places);
  for (const std::int64_t stride : spread(layer.convolution->stride, layer.shape.size() - 2)) {
    count /= static_cast<double>(stride);
  }
  return count;
}

// Whether there is an output on each axis; what there is not is told by floats.
bool has_outputs(const at::Tensor& x, const LayerTensors& layer) {
  constexpr std::int64_t kMost = 1 << 30;
  const std::size_t places = layer.shape.size() - 2;
  const Convolution& how = *layer.convolution;
  const List stride = spread(how.stride, places), padding = spread(how.padding, places),
             dilation = spread(how.dilation, places);
  for (std::size_t i = 0; i < places; ++i) {
    const std::int64_t length = x.size(static_cast<std::int64_t>(i) + 2), filter = layer.shape[i + 2];
    if (stride[i] < 1 || padding[i] < 0 || dilation[i] < 1 || filter < 1) return false;
    if (std::max({stride[i], padding[i], dilation[i], filter, length}) > kMost) return false;
    if (length + 2 * padding[i] < dilation[i] * (filter - 1) + 1) return false;
  }
  return true;
}

bool takes(const at::Tensor& x, const LayerTensors& layer) {
  const std::size_t places = layer.shape.size() - 2;
  const Convolution& how = *layer.convolution;
  const bool is_plain = !layer.has_nibbles && layer.codes.scalar_type() == at::kChar && !layer.zero_point &&
                        layer.groups() == 1 && layer.row_length() <= kLongestRow;
  const auto fits = [&](const List& values) { return values.size() == 1 || values.size() == places; };
  return is_plain && places >= 1 && places <= 3 && x.dim() == static_cast<std::int64_t>(layer.shape.size()) &&
         fits(how.stride) && fits(how.padding) && fits(how.dilation) && has_outputs(x, layer) &&
         products_of(x, layer) >= kFewestProducts && are_sums_exact();
}

std::optional<at::Tensor> convolve_example(const IntegerKernels& kernels, const at::Tensor& example,
                                           const PreparedWeights& weights, const Convolution& how) {
  at::Tensor codes = at::empty_like(example, at::kByte);
  float scale = 0;
  std::int32_t zero_point = 0;
  if (!kernels.code(example.const_data_ptr<float>(), static_cast<std::size_t>(example.numel()),
                    codes.mutable_data_ptr<std::uint8_t>(), &scale, &zero_point)) {
    return std::nullopt;
  }
  return convolve_codes(codes, scale, zero_point, weights, how);
}

std::optional<at::Tensor> convolve_examples(const IntegerKernels& kernels, const at::Tensor& x,
                                            const LayerTensors& layer) {
  const auto packed = packed_weights(kernels, layer, prepare_layer);
  const auto& weights = *static_cast<const PreparedWeights*>(packed.get());
  std::vector<at::Tensor> outputs;
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    auto y = convolve_example(kernels, x.narrow(0, i, 1), weights, *layer.convolution);
    if (!y) return std::nullopt;
    outputs.push_back(*std::move(y));
  }
  return outputs.size() == 1 ? outputs.front() : at::cat(outputs);
}

}  // namespace

std::optional<at::Tensor> convolve_places(const IntegerKernels& kernels, const at::Tensor& x,
                                          const LayerTensors& layer) {
  if (!takes(x, layer)) return std::nullopt;
  const at::MemoryFormat format = x.suggest_memory_format();
  try {
    const auto y = convolve_examples(kernels, x.to(at::kFloat).contiguous(format), layer);
    return y ? std::optional(y->to(x.scalar_type()).contiguous(format)) : y;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {  // of oneDNN, too: what it does not take floats may, or say why
    return std::nullopt;
  }
}

}  // namespace mnq::libtorch
