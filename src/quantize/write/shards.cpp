#include "quantize/write/shards.h"

#include <algorithm>

namespace mnq {
namespace {

std::vector<std::uint64_t> output_sizes(const Plan& plan) {
  std::vector<std::uint64_t> sizes;
  for (const PlannedTensor& tensor : plan.tensors) {
    std::uint64_t size = 0;
    for (const PlannedOutput& output : tensor.outputs) size += output.info.size_bytes;
    sizes.push_back(size);
  }
  return sizes;
}

// Calls begin_shard with the first tensor of every shard but the first.
template <class BeginShard>
void cut(const std::vector<std::uint64_t>& sizes, std::uint64_t max_bytes, BeginShard&& begin_shard) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (bytes > 0 && sizes[i] > max_bytes - std::min(bytes, max_bytes)) {
      begin_shard(i);
      bytes = 0;
    }
    bytes += sizes[i];
  }
}

std::size_t count_shards(const std::vector<std::uint64_t>& sizes, std::uint64_t max_bytes) {
  std::size_t count = 1;
  cut(sizes, max_bytes, [&](std::size_t) { ++count; });
  return count;
}

}  // namespace

std::vector<PlanSlice> cut_shards(const Plan& plan, std::uint64_t max_bytes) {
  std::vector<PlanSlice> shards;
  std::size_t begin = 0;
  cut(output_sizes(plan), max_bytes, [&](std::size_t next) {
    shards.emplace_back(plan, begin, next);
    begin = next;
  });
  shards.emplace_back(plan, begin, plan.tensors.size());
  return shards;
}

std::uint64_t even_shard_size(const Plan& plan, std::size_t count, std::uint64_t most) {
  const std::vector<std::uint64_t> sizes = output_sizes(plan);
  // The least size that gives no more shards than asked for: those are the most even ones.
  std::uint64_t low = 1, high = most;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (count_shards(sizes, middle) <= count) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  // It may give fewer: four equal tensors in three shards are two and two.
  return low > 1 && count_shards(sizes, low) < count ? low - 1 : low;
}

std::uint64_t choose_shard_size(const Plan& plan, const JobSettings& job) {
  if (job.is_shard_size_set || job.part_count == 0) return job.max_shard_size;
  return even_shard_size(plan, job.part_count, job.max_shard_size);
}

}  // namespace mnq
