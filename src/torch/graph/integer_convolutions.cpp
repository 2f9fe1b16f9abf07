#include "torch/graph/integer_convolutions.h"

namespace mnq::libtorch {
namespace {

constexpr std::int64_t kFewestProducts = 1 << 20;  // of an example: fewer are done in floats before oneDNN has begun
constexpr std::int64_t kLongestRow = 1 << 16;      // of 255 * 128 in 32 bits

std::vector<std::int64_t> spread(const std::vector<std::int64_t>& values, std::size_t count) {
  return values.size() == 1 ? std::vector<std::int64_t>(count, values.front()) : values;
}

/// What oneDNN is given of a layer.
struct PreparedWeights {
  at::Tensor codes, scales, zero_points;
  std::optional<at::Tensor> bias;
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

// For any zero point of activations: it is not known yet.
PreparedWeights prepare(const at::Tensor& codes, const at::Tensor& scales, std::optional<at::Tensor> bias,
                        const Convolution& how) {
  constexpr double kScale = 1;
  constexpr std::int64_t kZeroPoint = 1;
  const std::size_t places = static_cast<std::size_t>(codes.dim()) - 2;
  return {call(*operators().prepare,
               {codes, scales, kScale, kZeroPoint, spread(how.stride, places), spread(how.padding, places),
                spread(how.dilation, places), how.groups, c10::IValue()}),
          scales, at::zeros({codes.size(0)}, at::kInt), std::move(bias)};
}

at::Tensor convolve_codes(const at::Tensor& codes, double scale, std::int64_t zero_point,
                          const PreparedWeights& weights, const Convolution& how) {
  const std::size_t places = static_cast<std::size_t>(codes.dim()) - 2;
  constexpr double kOutScale = 1;
  constexpr std::int64_t kOutZeroPoint = 0;
  return call(*operators().run,
              {codes, scale, zero_point, weights.codes, weights.scales, weights.zero_points, weights.bias,
               spread(how.stride, places), spread(how.padding, places), spread(how.dilation, places), how.groups,
               kOutScale, kOutZeroPoint, at::kFloat, "none", c10::List<std::optional<at::Scalar>>(), ""});
}

// Sums of the largest products there are, which saturate in 16 bits where a CPU adds two of them before it widens them.
bool finds_exact_sums() {
  if (operators().prepare == nullptr || operators().run == nullptr) return false;
  constexpr std::int64_t kChannels = 32, kOutputs = 16;
  const Convolution how{{1}, {0}, {1}, 1};
  const at::Tensor weights = at::full({kOutputs, kChannels, 3, 3}, 127, at::kChar);
  const at::Tensor codes = at::full({1, kChannels, 8, 8}, 255, at::kByte).contiguous(at::MemoryFormat::ChannelsLast);
  try {
    const at::Tensor sums = convolve_codes(codes, 1, 0, prepare(weights, at::ones({kOutputs}), std::nullopt, how), how);
    return sums.eq(255.0 * 127 * 9 * kChannels).all().item<bool>();
  } catch (const c10::Error&) {
    return false;
  }
}

bool are_sums_exact() {
  static const bool are_exact = finds_exact_sums();
  return are_exact;
}

std::shared_ptr<const void> prepare_layer(const IntegerKernels&, const LayerTensors& layer) {
  std::optional<at::Tensor> bias;
  if (layer.bias) bias = layer.bias->to(at::kFloat);
  const at::Tensor scales = layer.scale.flatten().expand({layer.output_count()}).contiguous();
  return std::make_shared<PreparedWeights>(prepare(layer.codes, scales, std::move(bias), *layer.convolution));
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

bool takes(const at::Tensor& x, const LayerTensors& layer) {
  const std::size_t places = layer.shape.size() - 2;
  const Convolution& how = *layer.convolution;
  const bool is_plain = !layer.has_nibbles && layer.codes.scalar_type() == at::kChar && !layer.zero_point &&
                        layer.groups() == 1 && layer.row_length() <= kLongestRow;
  const auto fits = [&](const std::vector<std::int64_t>& values) {
    return values.size() == 1 || values.size() == places;
  };
  return is_plain && places >= 1 && places <= 3 && x.dim() == static_cast<std::int64_t>(layer.shape.size()) &&
         fits(how.stride) && fits(how.padding) && fits(how.dilation) && products_of(x, layer) >= kFewestProducts &&
         are_sums_exact();
}

// The codes of an example, with its channels last.
std::optional<at::Tensor> convolve_example(const IntegerKernels& kernels, const at::Tensor& example,
                                           const PreparedWeights& weights, const Convolution& how) {
  at::Tensor codes = at::empty_like(example, at::kByte);
  float scale = 0;
  std::int32_t zero_point = 0;
  if (!kernels.code(example.const_data_ptr<float>(), static_cast<std::size_t>(example.numel()),
                    codes.mutable_data_ptr<std::uint8_t>(), &scale, &zero_point)) {
    return std::nullopt;
  }
  if (codes.dim() == 4) codes = codes.contiguous(at::MemoryFormat::ChannelsLast);
  if (codes.dim() == 5) codes = codes.contiguous(at::MemoryFormat::ChannelsLast3d);
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
  } catch (const c10::Error&) {  // what it does not take is told by those of floats
    return std::nullopt;
  }
}

}  // namespace mnq::libtorch
