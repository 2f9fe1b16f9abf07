#include <array>

#include "layouts/layout.h"

namespace mnq {

std::span<const Layout* const> all_layouts() {
  static constexpr std::array kLayouts{
      &kRowsLayout,          &kPackQuantizedLayout,  &kIntQuantizedLayout, &kGgmlLayout,
      &kFloat8InverseLayout, &kFloatQuantizedLayout, &kNvfp4PackLayout,
  };
  return kLayouts;
}

const std::byte* PartReader::fetch(std::size_t part, std::uint64_t offset, std::uint64_t size, Buffer& buffer) const {
  return mnq::fetch(source_, parts_[part], offset, size, buffer);
}

}  // namespace mnq
