#include "torch/graph/integer_linear.h"

#include <memory>
#include <mutex>
#include <unordered_map>
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
  return kernels_in_use->run != nullptr && x.scalar_type() == at::kFloat && x.device().is_cpu() && x.dim() > 0 &&
         codes.dim() == 2 && x.size(-1) == codes.size(1) && plain(codes, at::kChar) && plain(scale, at::kFloat) &&
         (scale.numel() == 1 || scale.numel() == codes.size(0)) &&
         (!zero_point || (plain(*zero_point, at::kChar) && zero_point->numel() == scale.numel())) &&
         (!bias || (plain(*bias, at::kFloat) && bias->numel() == codes.size(0)));
}

template <class Number>
std::vector<Number> copy_of(const at::Tensor& tensor) {
  const Number* values = tensor.const_data_ptr<Number>();
  return {values, values + tensor.numel()};
}

// What belongs to codes, by value: it is small beside them, and some of it may be made anew for each call.
struct Companions {
  std::vector<float> scale, bias;
  std::vector<std::int8_t> zero_point;

  bool operator==(const Companions&) const = default;
};

Companions companions_of(const at::Tensor& scale, const std::optional<at::Tensor>& zero_point,
                         const std::optional<at::Tensor>& bias) {
  return {copy_of<float>(scale), bias ? copy_of<float>(*bias) : std::vector<float>(),
          zero_point ? copy_of<std::int8_t>(*zero_point) : std::vector<std::int8_t>()};
}

// Weights that were packed, each for as long as a module has its codes.
class PackedWeights {
 public:
  /// Null where they cannot be packed.
  std::shared_ptr<const void> get(const at::Tensor& codes, const Companions& companions) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(codes.unsafeGetTensorImpl());
    if (found != entries_.end() && found->second.version == version_of(codes) &&
        found->second.companions == companions) {
      return found->second.packed;
    }
    std::erase_if(entries_, [](const auto& entry) { return entry.second.codes.expired(); });
    auto packed = pack(codes, companions);
    entries_.insert_or_assign(codes.unsafeGetTensorImpl(),
                              Entry{c10::weak_intrusive_ptr<c10::TensorImpl>(codes.getIntrusivePtr()),
                                    version_of(codes), companions, packed});
    return packed;
  }

 private:
  struct Entry {
    c10::weak_intrusive_ptr<c10::TensorImpl> codes;  // its address is no other tensor's as long as this is here
    std::uint32_t version;
    Companions companions;
    std::shared_ptr<const void> packed;
  };

  // Counts what code writes into it.
  static std::uint32_t version_of(const at::Tensor& tensor) {
    return tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version());
  }

  static std::shared_ptr<const void> pack(const at::Tensor& codes, const Companions& with) {
    return kernels_in_use->pack(codes.const_data_ptr<std::int8_t>(), static_cast<std::size_t>(codes.size(0)),
                                static_cast<std::size_t>(codes.size(1)), with.scale.data(),
                                with.zero_point.empty() ? nullptr : with.zero_point.data(),
                                with.scale.size() == 1 ? 0 : 1, with.bias.empty() ? nullptr : with.bias.data());
  }

  std::mutex mutex_;
  std::unordered_map<const c10::TensorImpl*, Entry> entries_;
};

// Never destroyed: LibTorch's modules may outlive what ends before them.
PackedWeights& packed_weights() {
  static auto& all = *new PackedWeights;
  return all;
}

at::Tensor linear_dynamic(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& scale,
                          const std::optional<at::Tensor>& zero_point, const std::optional<at::Tensor>& bias) {
  if (!fits_kernels(x, codes, scale, zero_point, bias)) return linear_in_floats(x, codes, scale, zero_point, bias);
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = codes.size(0);
  at::Tensor out = at::empty(shape, x.options());
  if (out.numel() == 0) return out;
  const auto packed = packed_weights().get(codes, companions_of(scale, zero_point, bias));
  if (packed == nullptr) return linear_in_floats(x, codes, scale, zero_point, bias);
  const at::Tensor rows = x.contiguous();
  kernels_in_use->run(packed.get(), rows.const_data_ptr<float>(), static_cast<std::size_t>(out.numel() / codes.size(0)),
                      out.mutable_data_ptr<float>());
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
