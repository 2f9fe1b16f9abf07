#include "quantize/capabilities.h"

#include <algorithm>

#include "base/text/text.h"
#include "formats/format_table.h"
#include "layouts/layout.h"
#include "methods/method.h"
#include "plan/layer_kinds.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

// A weight as the scheme has it where the settings say nothing else.
QuantizedSpec plain_spec(const Scheme& scheme) {
  constexpr std::int64_t kSide = 1024;
  QuantizedSpec spec;
  spec.scheme = scheme.name;
  spec.granularity = scheme.group_size_default > 0 ? Granularity::kGroup : Granularity::kChannel;
  spec.group_size = scheme.group_size_default;
  spec.symmetric = scheme.symmetric_default;
  spec.scale_dtype = scheme.scale_dtype;
  spec.shape = {kSide, kSide};
  return spec;
}

Json methods_for(const Scheme& scheme) {
  Json names = Json::array();
  if (scheme.is_cast) return names;
  for (const Method* method : all_methods()) {
    if (method->fits(plain_spec(scheme))) names.push_back(method->name);
  }
  return names;
}

Json describe(const Scheme& scheme) {
  return {{"name", scheme.name},
          {"text", scheme.text},
          {"bits", code_bits(plain_spec(scheme))},
          {"is_cast", scheme.is_cast},
          {"per_tensor", scheme.may_be_per_tensor},
          {"symmetric_default", scheme.symmetric_default},
          {"group_size_default", scheme.group_size_default},
          {"methods", methods_for(scheme)},
          {"in_modules", scheme.torchscript != nullptr}};
}

Json describe(const LayerKind& kind) {
  return {{"name", kind.name}, {"rank", kind.rank}, {"channel_axis", kind.channel_axis}};
}

Json describe(const Layout& layout) {
  const auto is_held = [&](const Scheme& scheme) {
    return std::ranges::find(layout.holds, scheme.name, &HeldKind::scheme) != layout.holds.end() ||
           layout.can_hold(plain_spec(scheme));
  };
  std::vector<std::string_view> schemes;
  for (const Scheme* scheme : all_schemes()) {
    if (is_held(*scheme)) schemes.push_back(scheme->name);
  }
  return {{"name", layout.name}, {"schemes", schemes}};
}

Json describe(const Format& format) {
  const bool is_written = format.open_sink != nullptr;
  return {{"name", format.name},
          {"extensions", split_list(format.extensions)},
          {"reads", format.open_source != nullptr || format.is_folder},
          {"writes", is_written},
          {"is_folder", format.is_folder},
          {"layout", is_written ? Json(format.storage.layout->name) : Json(nullptr)}};
}

Json describe(const Method& method) { return {{"name", method.name}, {"text", method.text}}; }

template <class Rows>
Json describe_all(const Rows& rows) {
  Json list = Json::array();
  for (const auto& row : rows) {
    if constexpr (std::is_pointer_v<std::decay_t<decltype(row)>>) {
      list.push_back(describe(*row));
    } else {
      list.push_back(describe(row));
    }
  }
  return list;
}

Json describe_schemes() {
  Json list = Json::array();
  for (const Scheme* scheme : all_schemes()) {
    if (scheme->may_be_chosen) list.push_back(describe(*scheme));
  }
  return list;
}

}  // namespace

Json list_capabilities() {
  return {{"schemes", describe_schemes()},
          {"methods", describe_all(all_methods())},
          {"layer_kinds", describe_all(all_layer_kinds())},
          {"layouts", describe_all(all_layouts())},
          {"formats", describe_all(all_formats())}};
}

}  // namespace mnq
