// tensor.hpp - part of mono_quant.hpp: tensors.
#ifndef MONO_QUANT_TENSOR_HPP
#define MONO_QUANT_TENSOR_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "handle.hpp"
#include "mono_quant.h"

namespace mono_quant {

namespace detail {

template <class Value>
constexpr mnq_dtype dtype_of() {
  if constexpr (std::is_same_v<Value, float>) return MNQ_DTYPE_F32;
  if constexpr (std::is_same_v<Value, double>) return MNQ_DTYPE_F64;
  if constexpr (std::is_same_v<Value, bool>) return MNQ_DTYPE_BOOL;
  if constexpr (std::is_same_v<Value, std::int8_t>) return MNQ_DTYPE_I8;
  if constexpr (std::is_same_v<Value, std::uint8_t>) return MNQ_DTYPE_U8;
  if constexpr (std::is_same_v<Value, std::int16_t>) return MNQ_DTYPE_I16;
  if constexpr (std::is_same_v<Value, std::uint16_t>) return MNQ_DTYPE_U16;
  if constexpr (std::is_same_v<Value, std::int32_t>) return MNQ_DTYPE_I32;
  if constexpr (std::is_same_v<Value, std::uint32_t>) return MNQ_DTYPE_U32;
  if constexpr (std::is_same_v<Value, std::int64_t>) return MNQ_DTYPE_I64;
  if constexpr (std::is_same_v<Value, std::uint64_t>) return MNQ_DTYPE_U64;
  return 0;
}

}  // namespace detail

/// Row-major contiguous data that is never changed.
class Tensor : public detail::Owning<mnq_tensor, mnq_tensor_free> {
 public:
  using Owning::Owning;

  /// A copy of bytes.
  static Tensor copy(mnq_dtype dtype, std::span<const std::int64_t> shape, std::span<const std::byte> bytes) {
    return Tensor(detail::make<mnq_tensor>(mnq_tensor_create, dtype, shape.data(), shape.size(),
                                           static_cast<const void*>(bytes.data()), bytes.size()));
  }
  template <class Value>
  static Tensor copy(std::span<const std::int64_t> shape, std::span<const Value> values) {
    static_assert(detail::dtype_of<Value>() != 0, "no dtype has this type of value: pass bytes and a dtype");
    return copy(detail::dtype_of<Value>(), shape, std::as_bytes(values));
  }

  /// The caller's memory without a copy: unchanged and alive as long as `owner` lives in here and in what is made of
  /// it.
  static Tensor wrap(mnq_dtype dtype, std::span<const std::int64_t> shape, std::span<const std::byte> bytes,
                     std::shared_ptr<const void> owner) {
    auto kept = std::make_unique<std::shared_ptr<const void> >(std::move(owner));
    mnq_tensor* tensor = nullptr;
    detail::call(mnq_tensor_wrap, dtype, shape.data(), shape.size(), static_cast<const void*>(bytes.data()),
                 bytes.size(), &free_owner, static_cast<void*>(kept.get()), &tensor);
    static_cast<void>(kept.release());  // free_owner has it now
    return Tensor(tensor);
  }

  /// Takes ownership of `managed` only on success.
  static Tensor from_dlpack(DLManagedTensorVersioned* managed) {
    return Tensor(detail::make<mnq_tensor>(mnq_tensor_from_dlpack, managed));
  }
  static Tensor from_dlpack(DLManagedTensor* managed) {
    return Tensor(detail::make<mnq_tensor>(mnq_tensor_from_dlpack_unversioned, managed));
  }
  /// The caller, or who consumes it, calls its deleter. It keeps the data alive on its own.
  [[nodiscard]] DLManagedTensorVersioned* to_dlpack() const {
    return detail::make<DLManagedTensorVersioned>(mnq_tensor_to_dlpack, get());
  }

  mnq_dtype dtype() const noexcept { return mnq_tensor_dtype(get()); }
  std::span<const std::int64_t> shape() const noexcept { return {mnq_tensor_shape(get()), mnq_tensor_rank(get())}; }
  std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(mnq_tensor_data(get())), mnq_tensor_size_bytes(get())};
  }

  /// The elements; float16 and the like have only bytes(). Throws Error: DTYPE where they are of another type,
  /// INVALID_ARG where wrapped memory is not aligned for them.
  template <class Value>
  std::span<const Value> values() const {
    static_assert(detail::dtype_of<Value>() != 0, "no dtype has this type of value: use bytes()");
    if (dtype() != detail::dtype_of<Value>()) {
      throw Error(MNQ_E_DTYPE, std::string("the tensor holds ") + mnq_dtype_name(dtype()),
                  "use its own type, or bytes()", "");
    }
    if (reinterpret_cast<std::uintptr_t>(mnq_tensor_data(get())) % alignof(Value) != 0) {
      throw Error(MNQ_E_INVALID_ARG, "the tensor's memory is not aligned", "use bytes()", "");
    }
    return {static_cast<const Value*>(mnq_tensor_data(get())), mnq_tensor_size_bytes(get()) / sizeof(Value)};
  }

 private:
  static void free_owner(void* owner) { delete static_cast<std::shared_ptr<const void>*>(owner); }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_TENSOR_HPP
