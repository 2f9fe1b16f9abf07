// How many bytes a plan's output has, headers included, before anything is read.
#pragma once

#include <cstdint>
#include <optional>

#include "config/config.h"
#include "formats/format.h"

namespace mnq {

/// The file's bytes; of a folder those of all its shards. Empty for a module, whose code is not known before it is
/// made.
std::optional<std::uint64_t> output_size(const TensorSource& source, const Plan& plan, const Format& format,
                                         const JobSettings& job);

}  // namespace mnq
