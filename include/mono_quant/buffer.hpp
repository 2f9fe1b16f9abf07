// buffer.hpp - part of mono_quant.hpp: bytes and text that the library made.
#ifndef MONO_QUANT_BUFFER_HPP
#define MONO_QUANT_BUFFER_HPP

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "handle.hpp"
#include "mono_quant.h"

namespace mono_quant {

/// Bytes or text that the library made.
class Buffer : public detail::Owning<mnq_buffer, mnq_buffer_free> {
 public:
  using Owning::Owning;

  std::string_view text() const noexcept { return {mnq_buffer_data(get()), mnq_buffer_size(get())}; }
  std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(text())); }
  operator std::string() const { return std::string(text()); }  ///< a copy

  friend bool operator==(const Buffer& a, std::string_view b) noexcept { return a.text() == b; }
  friend bool operator==(const Buffer& a, const Buffer& b) noexcept { return a.text() == b.text(); }
};

}  // namespace mono_quant

#endif  // MONO_QUANT_BUFFER_HPP
