#include "torch/graph/packed_weights.h"

#include <cstring>
#include <mutex>
#include <unordered_map>

namespace mnq::libtorch {
namespace {

constexpr std::int64_t kCodesInWord = 8, kWordBytes = 4;  // of nibbles

std::int64_t word_bytes(std::int64_t nibbles) { return (nibbles + kCodesInWord - 1) / kCodesInWord * kWordBytes; }

bool is_plain_of(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.scalar_type() == type && tensor.device().is_cpu() && tensor.is_contiguous();
}

bool are_codes_sound(const LayerTensors& layer) {
  const at::Tensor& codes = layer.codes;
  if (layer.has_nibbles) {
    return is_plain_of(codes, at::kByte) &&
           codes.sizes() == at::IntArrayRef{layer.output_count(), word_bytes(layer.row_length())};
  }
  return (is_plain_of(codes, at::kChar) || is_plain_of(codes, at::kByte)) && codes.sizes() == layer.shape;
}

bool has_one_scale(const LayerTensors& layer) {
  return layer.scale.numel() == 1 && layer.output_count() * layer.groups() != 1;
}

bool are_scales_sound(const LayerTensors& layer) {
  return is_plain_of(layer.scale, at::kFloat) &&
         (has_one_scale(layer) || layer.scale.numel() == layer.output_count() * layer.groups());
}

bool are_zero_points_sound(const LayerTensors& layer) {
  if (!layer.zero_point) return true;
  const std::int64_t count = layer.zero_point->numel();
  if (!is_plain_of(*layer.zero_point, layer.codes.scalar_type())) return false;
  if (!layer.has_nibbles) return count == layer.scale.numel();
  return !has_one_scale(layer) && count == word_bytes(layer.output_count()) * layer.groups();
}

// Counts what code writes into it.
std::uint32_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version());
}

// A tensor that weights were packed from; it is not kept alive.
class Held {
 public:
  explicit Held(const at::Tensor& tensor) : tensor_(tensor.getIntrusivePtr()), version_(version_of(tensor)) {}

  bool is(const at::Tensor& other) const {
    return tensor_._unsafe_get_target() == other.unsafeGetTensorImpl() && version_ == version_of(other);
  }
  bool expired() const { return tensor_.expired(); }

 private:
  c10::weak_intrusive_ptr<c10::TensorImpl> tensor_;  // its address is no other tensor's as long as this is here
  std::uint32_t version_;
};

// A bias by value: it is small, and a module may make it anew for each call.
class HeldBias {
 public:
  explicit HeldBias(const std::optional<at::Tensor>& bias) : copy_(bias ? bias->clone() : at::Tensor()) {}

  bool is(const std::optional<at::Tensor>& other) const {
    if (!copy_.defined() || !other) return copy_.defined() == other.has_value();
    return copy_.scalar_type() == other->scalar_type() &&
           std::memcmp(copy_.const_data_ptr(), other->const_data_ptr(), copy_.nbytes()) == 0;
  }

 private:
  at::Tensor copy_;
};

struct Entry {
  Entry(const LayerTensors& layer, std::shared_ptr<const void> packed_layer)
      : codes(layer.codes),
        scale(layer.scale),
        zero_point(layer.zero_point ? std::optional<Held>(*layer.zero_point) : std::nullopt),
        bias(layer.bias),
        shape(layer.shape),
        group_size(layer.group_size),
        convolution(layer.convolution),
        packed(std::move(packed_layer)) {}

  bool is_of(const LayerTensors& layer) const {
    const bool same_zero_point =
        zero_point && layer.zero_point ? zero_point->is(*layer.zero_point) : !zero_point && !layer.zero_point;
    return codes.is(layer.codes) && scale.is(layer.scale) && same_zero_point && group_size == layer.group_size &&
           shape == layer.shape && convolution == layer.convolution && bias.is(layer.bias);
  }

  Held codes, scale;
  std::optional<Held> zero_point;
  HeldBias bias;
  std::vector<std::int64_t> shape;
  std::int64_t group_size;
  std::optional<Convolution> convolution;
  std::shared_ptr<const void> packed;
};

class PackedWeights {
 public:
  std::shared_ptr<const void> get(const IntegerKernels& kernels, const LayerTensors& layer, Pack& pack) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(layer.codes.unsafeGetTensorImpl());
    if (found != entries_.end() && found->second.is_of(layer)) return found->second.packed;
    forget();
    auto packed = pack(kernels, layer);
    entries_.insert_or_assign(layer.codes.unsafeGetTensorImpl(), Entry(layer, packed));
    return packed;
  }

  void clean() {
    const std::lock_guard lock(mutex_);
    forget();
  }

 private:
  void forget() {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.codes.expired(); });
  }

  std::mutex mutex_;
  std::unordered_map<const c10::TensorImpl*, Entry> entries_;
};

// Never destroyed: LibTorch's modules may outlive what ends before them.
PackedWeights& all_packed_weights() {
  static auto& all = *new PackedWeights;
  return all;
}

}  // namespace

std::int64_t LayerTensors::groups() const {
  const std::int64_t length = row_length();
  if (length == 0) return 0;
  return group_size <= 0 || group_size >= length ? 1 : (length + group_size - 1) / group_size;
}

bool LayerTensors::is_sound(at::ScalarType bias_type) const {
  return shape.size() >= 2 && group_size >= 0 && are_codes_sound(*this) && are_scales_sound(*this) &&
         are_zero_points_sound(*this) &&
         (!bias || (is_plain_of(*bias, bias_type) && bias->dim() == 1 && bias->numel() == output_count()));
}

std::shared_ptr<const void> pack_rows(const IntegerKernels& kernels, const LayerTensors& layer) {
  const bool is_signed = layer.has_nibbles || layer.codes.scalar_type() == at::kChar;
  const at::Tensor bias = layer.bias ? layer.bias->to(at::kFloat) : at::Tensor();
  StoredIntegers stored;
  stored.output_count = static_cast<std::size_t>(layer.output_count());
  stored.row_length = static_cast<std::size_t>(layer.row_length());
  stored.has_nibbles = layer.has_nibbles;
  stored.code_xor = is_signed ? 0 : 0x80;
  stored.group_size = static_cast<std::size_t>(layer.group_size);
  stored.has_one_scale = has_one_scale(layer);
  stored.codes = static_cast<const std::uint8_t*>(layer.codes.const_data_ptr());
  stored.scales = layer.scale.const_data_ptr<float>();
  if (layer.zero_point) stored.zero_points = static_cast<const std::uint8_t*>(layer.zero_point->const_data_ptr());
  if (layer.bias) stored.bias = bias.const_data_ptr<float>();
  return kernels.pack(stored);
}

std::shared_ptr<const void> packed_weights(const IntegerKernels& kernels, const LayerTensors& layer, Pack& pack) {
  return all_packed_weights().get(kernels, layer, pack);
}

void forget_packed_weights() { all_packed_weights().clean(); }

}  // namespace mnq::libtorch
