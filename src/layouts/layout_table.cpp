#include <array>

#include "layouts/layouts.h"

namespace mnq {

std::span<const Layout* const> all_layouts() {
  static constexpr std::array kLayouts{
#define MNQ_LAYOUT(layout) &(layout),
#include "layouts/layout_rows.inc"
#undef MNQ_LAYOUT
  };
  return kLayouts;
}

const std::byte* PartReader::fetch(std::size_t part, std::uint64_t offset, std::uint64_t size, Buffer& buffer) const {
  return mnq::fetch(source_, parts_[part], offset, size, buffer);
}

}  // namespace mnq
