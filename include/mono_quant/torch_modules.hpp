// torch_modules.hpp - part of torch.hpp: modules that hold codes, and compute from them.
#ifndef MONO_QUANT_TORCH_MODULES_HPP
#define MONO_QUANT_TORCH_MODULES_HPP

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mono_quant::libtorch {

namespace detail {

/// How a quantized weight is decoded.
struct Decoding {
  std::int64_t bits = 8;        ///< 16: a cast
  std::int64_t group_size = 0;  ///< 0: none
  std::int64_t axis = 0;
  std::vector<std::int64_t> shape;
  at::ScalarType dtype = at::kFloat;  ///< of the weight
};

inline at::Tensor unpacked(const at::Tensor& words, std::int64_t length) {
  const at::Tensor bytes = words.contiguous().view(at::kByte);
  return at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, -1)
             .flatten(-2)
             .slice(-1, 0, length)
             .to(at::kChar) -
         8;
}

/// The weight from its codes [shape] or packed words, scale and zero point (undefined: zero).
inline at::Tensor decode(const Decoding& how, const at::Tensor& codes, const at::Tensor& scale, at::Tensor zero_point) {
  if (how.bits == 16) return codes.to(how.dtype);
  const std::int64_t rows = how.shape[0];
  if (how.bits == 4 && zero_point.defined()) {
    const at::Tensor eight = unpacked(zero_point.reshape({-1, 1}), 8);  // of eight rows and one group
    zero_point =
        eight.reshape({-1, scale.size(1), 8}).permute({0, 2, 1}).reshape({-1, scale.size(1)}).slice(0, 0, rows);
  }
  if (how.bits == 8 && how.group_size == 0) {
    std::vector<std::int64_t> view(how.shape.size(), 1);
    view[static_cast<std::size_t>(how.axis)] = -1;
    at::Tensor weight = codes.to(at::kFloat);
    if (zero_point.defined()) weight = weight - zero_point.to(at::kFloat).reshape(view);
    return (weight * scale.reshape(view)).to(how.dtype);
  }
  std::int64_t length = 1;
  for (std::size_t axis = 1; axis < how.shape.size(); ++axis) length *= how.shape[axis];
  at::Tensor weight = (how.bits == 4 ? unpacked(codes, length) : codes.reshape({rows, -1})).to(at::kFloat);
  const std::int64_t group = how.group_size == 0 ? length : how.group_size;
  const auto spread = [&](const at::Tensor& values) { return values.repeat_interleave(group, 1).slice(1, 0, length); };
  if (zero_point.defined()) weight = weight - spread(zero_point.to(at::kFloat));
  return (weight * spread(scale)).reshape(how.shape).to(how.dtype);
}

/// The buffers that every quantized module has, and the weight they stand for.
template <class Derived>
class QuantizedImpl : public ::torch::nn::Cloneable<Derived> {
 public:
  QuantizedImpl(Decoding how, std::map<std::string, at::Tensor> parts, at::Tensor bias)
      : how_(std::move(how)), parts_(std::move(parts)), bias_(std::move(bias)) {
    QuantizedImpl::reset();
  }
  void reset() override {
    // Copies: clone() copies this object first, and then writes into what reset() registers.
    for (auto& [name, tensor] : parts_) tensor = this->register_buffer(name, tensor.detach().clone());
    if (bias_.defined()) bias_ = this->register_parameter("bias", bias_.detach().clone(), bias_.requires_grad());
  }

  at::Tensor weight() const { return decode(how_, codes(), part("weight_scale"), part("weight_zero_point")); }

  /// A float type is that of the weight and the bias: codes and scales stay what they are.
  using ::torch::nn::Module::to;
  void to(::torch::Dtype dtype, bool /*non_blocking*/ = false) override {
    how_.dtype = dtype;
    if (bias_.defined()) bias_.set_data(bias_.to(dtype));
  }
  void to(::torch::Device device, ::torch::Dtype dtype, bool non_blocking = false) override {
    ::torch::nn::Module::to(device, non_blocking);
    to(dtype, non_blocking);
  }

 protected:
  at::Tensor part(const std::string& name) const {
    const auto found = parts_.find(name);
    return found == parts_.end() ? at::Tensor() : found->second;
  }
  at::Tensor codes() const { return part(how_.bits == 4 ? "weight_packed" : "weight"); }
  const at::Tensor& bias() const { return bias_; }

  Decoding how_;

 private:
  std::map<std::string, at::Tensor> parts_;
  at::Tensor bias_;
};

struct QuantizedLinearImpl : QuantizedImpl<QuantizedLinearImpl> {
  using QuantizedImpl::QuantizedImpl;

  at::Tensor forward(const at::Tensor& x) {
    const bool has_scale_a_row = how_.axis == 0 || part("weight_scale").numel() == 1;
    const bool scales_output = how_.bits == 8 && how_.group_size == 0 && has_scale_a_row && how_.dtype == at::kFloat &&
                               !part("weight_zero_point").defined();
    if (!scales_output) return at::linear(x, weight(), bias());
    const at::Tensor y = at::linear(x, codes().to(x.scalar_type())) * part("weight_scale").flatten();
    return bias().defined() ? y + bias() : y;
  }
};

struct QuantizedEmbeddingImpl : QuantizedImpl<QuantizedEmbeddingImpl> {
  using QuantizedImpl::QuantizedImpl;

  at::Tensor forward(const at::Tensor& indices) {
    if (how_.bits != 8 || how_.group_size != 0 || how_.axis != 0) return at::embedding(weight(), indices);
    // The rows that are asked for, not the whole table.
    const at::Tensor flat = indices.flatten();
    const auto rows_of = [&](const at::Tensor& values) {
      return values.defined() && values.size(0) > 1 ? values.index_select(0, flat) : values;
    };
    Decoding how = how_;
    how.shape[0] = flat.size(0);
    std::vector<std::int64_t> shape = indices.sizes().vec();
    shape.push_back(how.shape[1]);
    return decode(how, codes().index_select(0, flat), rows_of(part("weight_scale")), rows_of(part("weight_zero_point")))
        .reshape(shape);
  }
};

struct QuantizedConvImpl : QuantizedImpl<QuantizedConvImpl> {
  struct Geometry {
    std::vector<std::int64_t> stride, padding, dilation, output_padding;
    std::int64_t groups = 1;
    bool transposed = false;
  };
  QuantizedConvImpl(Decoding how, std::map<std::string, at::Tensor> parts, at::Tensor conv_bias, Geometry geometry)
      : QuantizedImpl(std::move(how), std::move(parts), std::move(conv_bias)), geometry_(std::move(geometry)) {}

  at::Tensor forward(const at::Tensor& x) { return geometry_.transposed ? transposed(x) : convolved(x); }

 private:
  // By rank, as at::convolution takes no input without a batch.
  at::Tensor convolved(const at::Tensor& x) const {
    const Geometry& g = geometry_;
    const auto run = [&](auto conv) { return conv(x, weight(), bias(), g.stride, g.padding, g.dilation, g.groups); };
    if (g.stride.size() == 1) return run([](auto&&... all) { return at::conv1d(all...); });
    if (g.stride.size() == 2) return run([](auto&&... all) { return at::conv2d(all...); });
    return run([](auto&&... all) { return at::conv3d(all...); });
  }
  at::Tensor transposed(const at::Tensor& x) const {
    const Geometry& g = geometry_;
    const auto run = [&](auto conv) {
      return conv(x, weight(), bias(), g.stride, g.padding, g.output_padding, g.groups, g.dilation);
    };
    if (g.stride.size() == 1) return run([](auto&&... all) { return at::conv_transpose1d(all...); });
    if (g.stride.size() == 2) return run([](auto&&... all) { return at::conv_transpose2d(all...); });
    return run([](auto&&... all) { return at::conv_transpose3d(all...); });
  }

  Geometry geometry_;
};

}  // namespace detail

}  // namespace mono_quant::libtorch

#endif  // MONO_QUANT_TORCH_MODULES_HPP
