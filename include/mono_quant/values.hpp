// values.hpp - part of mono_quant.hpp: what goes into a method of a module, and comes out of it.
#ifndef MONO_QUANT_VALUES_HPP
#define MONO_QUANT_VALUES_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "handle.hpp"
#include "mono_quant.h"
#include "tensor.hpp"

namespace mono_quant {

/// What goes into a method of a module, or comes out of it: a flat list of named values.
class Values : public detail::Owning<mnq_values, mnq_values_free> {
 public:
  using Owning::Owning;
  Values() : Owning(detail::make<mnq_values>(mnq_values_create)) {}

  /// name: of the argument, or a part of it ("hidden.0"); empty for the next one that no name was given for.
  Values& add(const Tensor& tensor, const std::string& name = {}) {
    detail::call(mnq_values_add_tensor, get(), detail::c_text(name), tensor.get());
    return *this;
  }
  Values& add(detail::Number auto value, const std::string& name = {}) {
    if constexpr (std::is_same_v<decltype(value), bool>) {
      detail::call(mnq_values_add_bool, get(), detail::c_text(name), static_cast<std::int32_t>(value));
    } else if constexpr (std::is_integral_v<decltype(value)>) {
      detail::call(mnq_values_add_int, get(), detail::c_text(name), static_cast<std::int64_t>(value));
    } else {
      detail::call(mnq_values_add_float, get(), detail::c_text(name), static_cast<double>(value));
    }
    return *this;
  }
  Values& add_text(const std::string& text, const std::string& name = {}) {
    detail::call(mnq_values_add_text, get(), detail::c_text(name), detail::c_text(text));
    return *this;
  }
  Values& add_none(const std::string& name = {}) {
    detail::call(mnq_values_add_none, get(), detail::c_text(name));
    return *this;
  }

  std::size_t size() const noexcept { return mnq_values_count(get()); }
  std::string name(std::size_t index) const { return detail::text_or_empty(mnq_values_name(get(), index)); }
  mnq_value_kind kind(std::size_t index) const noexcept { return mnq_values_kind(get(), index); }

  /// Throw Error: NOT_FOUND beyond size(), DTYPE for a value of another kind.
  Tensor tensor(std::size_t index) const {
    return Tensor(detail::make<mnq_tensor>(mnq_values_get_tensor, get(), index));
  }
  std::int64_t integer(std::size_t index) const {
    std::int64_t value = 0;
    detail::call(mnq_values_get_int, get(), index, &value);
    return value;
  }
  double number(std::size_t index) const {
    double value = 0;
    detail::call(mnq_values_get_float, get(), index, &value);
    return value;
  }
  std::string text(std::size_t index) const { return detail::text_or_empty(mnq_values_get_text(get(), index)); }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_VALUES_HPP
