#include "adapted/group_order.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/text/format.h"

namespace mnq {

bool has_groups_in_order(const NamedTensors& tensors, const std::string& list, std::int64_t columns,
                         std::int64_t groups, std::uint64_t group_size) {
  const TensorInfo* info = tensors.find_info(list);
  if (info == nullptr) return true;
  if (info->dtype != DType::kI32 || info->shape != Shape{columns}) {
    tensors.fail(
        list, formatted("is {} {}, but must be I32 [{}]", dtype_name(info->dtype), shape_text(info->shape), columns));
  }
  std::vector<std::int32_t> group_of(static_cast<std::size_t>(columns));
  tensors.source().read(tensors.require(list), 0, std::as_writable_bytes(std::span(group_of)));
  if (std::ranges::all_of(group_of, [](std::int32_t group) { return group == -1; })) return true;
  bool is_ordered = true;
  for (std::size_t i = 0; i < group_of.size(); ++i) {
    if (group_of[i] < 0 || group_of[i] >= groups) {
      tensors.fail(list, formatted("column {} is of group {}, and there are {}", i, group_of[i], groups));
    }
    is_ordered = is_ordered && static_cast<std::uint64_t>(group_of[i]) == i / group_size;
  }
  return is_ordered;
}

}  // namespace mnq
