// How a plan is cut into the shards of a folder: by output bytes alone, so that every run of a job cuts it the same
// way.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace mnq {

/// The plan's tensors in runs, none of more output bytes than max_bytes unless a single tensor is.
std::vector<PlanSlice> cut_shards(const Plan& plan, std::uint64_t max_bytes);

/// The max_bytes, up to `most`, that give at least `count` shards of sizes as even as can be; as many as there are
/// tensors where these are fewer.
std::uint64_t even_shard_size(const Plan& plan, std::size_t count, std::uint64_t most);

/// The max_bytes of a job that goes on with none: as it is set, else what gives every part a shard.
std::uint64_t choose_shard_size(const Plan& plan, const JobSettings& job);

}  // namespace mnq
