// Which group each column of a weight is of, where a file lists it: GPTQ orders columns by their activations.
#pragma once

#include "adapted/named_tensors.h"

namespace mnq {

/// Whether columns of a group follow each other. Without a list, or by one of -1 alone, they do. Errors: kFormat.
bool has_groups_in_order(const NamedTensors& tensors, const std::string& list, std::int64_t columns,
                         std::int64_t groups, std::uint64_t group_size);

}  // namespace mnq
