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

std::string part_name(std::string_view weight, const StoredPart& part) {
  constexpr std::string_view kWeight = ".weight";
  if (part.is_of_layer && weight.ends_with(kWeight)) weight.remove_suffix(kWeight.size());
  return std::string(weight) + std::string(part.suffix);
}

const std::byte* PartReader::fetch(std::size_t part, std::uint64_t offset, std::uint64_t size, Buffer& buffer) const {
  return mnq::fetch(source_, parts_[part], offset, size, buffer);
}

}  // namespace mnq
