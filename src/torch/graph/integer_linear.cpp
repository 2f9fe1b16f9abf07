#include "torch/graph/integer_linear.h"

#include <vector>

namespace mnq::libtorch {
namespace {

const IntegerKernels* kernels_in_use = nullptr;

// What the stock function gives, for whatever the integer kernels do not take.
at::Tensor linear_in_floats(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& scale,
                            const std::optional<at::Tensor>& zero_point, const std::optional<at::Tensor>& bias) {
  at::Tensor weight = codes.to(x.scalar_type());
  if (zero_point) weight = weight - *zero_point;
  const at::Tensor y = at::linear(x, weight) * scale.flatten();
  return bias ? y + *bias : y;
}

bool fits_kernels(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& scale,
                  const std::optional<at::Tensor>& zero_point, const std::optional<at::Tensor>& bias) {
  const auto plain = [](const at::Tensor& tensor, at::ScalarType type) {
    return tensor.scalar_type() == type && tensor.device().is_cpu() && tensor.is_contiguous();
  };
  return kernels_in_use->linear != nullptr && x.scalar_type() == at::kFloat && x.device().is_cpu() && x.dim() > 0 &&
         codes.dim() == 2 && x.size(-1) == codes.size(1) && plain(codes, at::kChar) && plain(scale, at::kFloat) &&
         (scale.numel() == 1 || scale.numel() == codes.size(0)) &&
         (!zero_point || (plain(*zero_point, at::kChar) && zero_point->numel() == scale.numel())) &&
         (!bias || (plain(*bias, at::kFloat) && bias->numel() == codes.size(0)));
}

at::Tensor linear_dynamic(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& scale,
                          const std::optional<at::Tensor>& zero_point, const std::optional<at::Tensor>& bias) {
  if (!fits_kernels(x, codes, scale, zero_point, bias)) return linear_in_floats(x, codes, scale, zero_point, bias);
  const at::Tensor rows = x.contiguous();
  const auto row_length = static_cast<std::size_t>(codes.size(1));
  const auto output_count = static_cast<std::size_t>(codes.size(0));
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = codes.size(0);
  at::Tensor out = at::empty(shape, x.options());
  if (out.numel() == 0) return out;
  const auto row_count = static_cast<std::size_t>(out.numel()) / output_count;
  std::vector<std::int8_t> row_codes(row_count * row_length);
  std::vector<float> row_scales(row_count);
  kernels_in_use->quantize_activations(rows.const_data_ptr<float>(), row_count, row_length, row_codes.data(),
                                       row_scales.data());
  kernels_in_use->linear(row_codes.data(), row_scales.data(), row_count, row_length,
                         codes.const_data_ptr<std::int8_t>(), scale.const_data_ptr<float>(),
                         zero_point ? zero_point->const_data_ptr<std::int8_t>() : nullptr, scale.numel() == 1 ? 0 : 1,
                         bias ? bias->const_data_ptr<float>() : nullptr, output_count, out.mutable_data_ptr<float>());
  return out;
}

void run_linear_dynamic(jit::Stack& stack) {
  const auto bias = jit::pop(stack).toOptional<at::Tensor>();
  const auto zero_point = jit::pop(stack).toOptional<at::Tensor>();
  const at::Tensor scale = jit::pop(stack).toTensor();
  const at::Tensor codes = jit::pop(stack).toTensor();
  const at::Tensor x = jit::pop(stack).toTensor();
  jit::push(stack, linear_dynamic(x, codes, scale, zero_point, bias));
}

}  // namespace

void register_integer_linear(const IntegerKernels& kernels) {
  kernels_in_use = &kernels;
  static const jit::RegisterOperators registration({jit::Operator(
      "mono_quant::linear_dynamic(Tensor x, Tensor codes, Tensor scale, Tensor? zero_point, Tensor? bias) -> Tensor",
      [](jit::Stack& stack) { run_linear_dynamic(stack); }, c10::AliasAnalysisKind::FROM_SCHEMA)});
}

c10::Symbol integer_linear_symbol() { return c10::Symbol::fromQualString("mono_quant::linear_dynamic"); }

}  // namespace mnq::libtorch
