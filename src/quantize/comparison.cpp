#include "quantize/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/text/format.h"
#include "kernels/not_finite.h"
#include "quantize/job_parts.h"

namespace mnq {
namespace {

// Sums over a block that is the same in both, what is not finite in it left out.
template <class Value>
kernels::ErrorSums sums_of_same(const Value* values, std::uint64_t count) {
  kernels::ErrorSums sums{};
  for (std::uint64_t i = 0; i < count; ++i) {
    if (std::isfinite(values[i])) sums.signal += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return sums;
}

// Empty where the two can be compared by numbers, or are the same: then `sums` has the block's.
template <class Value, class Find>
std::optional<std::uint64_t> find_bad(const Value* a, const Value* b, std::uint64_t count, const Find& find,
                                      std::optional<kernels::ErrorSums>& sums) {
  for (const Value* values : {a, b}) {
    const std::optional<std::uint64_t> bad = find(values);
    if (!bad) continue;
    if (std::memcmp(a, b, count * sizeof(Value)) != 0) return bad;
    sums = sums_of_same(a, count);
    break;
  }
  return std::nullopt;
}

}  // namespace

std::string reason_to_skip(const LogicalTensor& a, const LogicalTensor* b) {
  if (b == nullptr) return "only in the first";
  if (a.shape != b->shape) return formatted("its shape is {} in the second", shape_text(b->shape));
  const bool floats = is_weight_dtype(a.dtype) && is_weight_dtype(b->dtype);
  if (!floats && a.dtype != b->dtype) {
    return formatted("{} and {} cannot be compared", dtype_name(a.dtype), dtype_name(b->dtype));
  }
  return "";
}

bool is_changed(const TensorPair& pair) {
  if (!pair.is_weight) return false;
  return pair.a->spec.has_value() || pair.b->spec.has_value() || pair.a->dtype != pair.b->dtype ||
         pair.accuracy.error > 0;
}

void TensorComparison::add(TensorPair& pair) {
  if (!pair.is_weight) {
    cut_bytes(blocks_, pairs_.size(), 0, stored_bytes(a_, *pair.a));
  } else {
    pair.stacked_axes = std::max(stacked_axes(*pair.a), stacked_axes(*pair.b));
    cut_to_read(blocks_, pairs_.size(), pair.a->shape, pair.stacked_axes, stored_bits(a_, *pair.a));
  }
  pairs_.push_back(&pair);
}

void TensorComparison::run(const JobSettings& job, RunControl& control) {
  BlockLoop loop(job.threads, job.memory_budget, token_bytes(blocks_), total_source_bytes(blocks_), control);
  loop.run([&] {
    loop.for_each(
        blocks_, [&](const Block& block, Scratch& scratch) { work(block, scratch); },
        [&](const Block& block, Scratch& scratch) { finish(block, scratch); });
  });
}

void TensorComparison::work(const Block& block, Scratch& scratch) const {
  TensorPair& pair = *pairs_[block.item];
  if (pair.is_weight) return compare_floats(pair, block, scratch);
  const auto* a = fetch(a_, pair.a->parts.front(), block.first_column, block.column_count, scratch.in.layout.raw);
  const auto* b = fetch(b_, pair.b->parts.front(), block.first_column, block.column_count, scratch.other.layout.raw);
  scratch.differs = std::memcmp(a, b, block.column_count) != 0;
}

void TensorComparison::compare_floats(TensorPair& pair, const Block& block, Scratch& scratch) const {
  const WeightReader& reader_a = pair.reader_a.get([&] { return std::make_unique<WeightReader>(a_, *pair.a); });
  const WeightReader& reader_b = pair.reader_b.get([&] { return std::make_unique<WeightReader>(b_, *pair.b); });
  const std::uint64_t count = block.row_count * block.column_count;
  const std::uint64_t begin =
      block.first_row * rows_to_read(pair.a->shape, pair.stacked_axes).row_length + block.first_column;
  if (reader_a.is_double() || reader_b.is_double()) {
    const double* a = reader_a.read_double(begin, count, scratch.in);
    return compare_doubles(a, reader_b.read_double(begin, count, scratch.other), begin, count, scratch);
  }
  const float* a = reader_a.read(begin, count, scratch.in);
  const float* b = reader_b.read(begin, count, scratch.other);
  std::optional<kernels::ErrorSums> sums;
  const auto find = [&](const float* values) { return find_not_finite(values, count); };
  if (const auto bad = find_bad(a, b, count, find, sums)) {
    scratch.bad_element = begin + *bad;
    return;
  }
  scratch.sums.assign(1, sums ? *sums : kernels_.error_sums(a, b, count));
}

void TensorComparison::compare_doubles(const double* a, const double* b, std::uint64_t begin, std::uint64_t count,
                                       Scratch& scratch) {
  std::optional<kernels::ErrorSums> sums;
  const auto find = [&](const double* values) { return find_not_finite(values, count); };
  if (const auto bad = find_bad(a, b, count, find, sums)) {
    scratch.bad_element = begin + *bad;
    return;
  }
  scratch.sums.assign(1, sums ? *sums : error_sums_double(a, b, count));
}

void TensorComparison::finish(const Block& block, Scratch& scratch) const {
  TensorPair& pair = *pairs_[block.item];
  if (!pair.is_weight) {
    pair.differs = pair.differs || scratch.differs;
    return;
  }
  if (scratch.bad_element) {
    if (!pair.bad_element) pair.bad_element = scratch.bad_element;
  } else {
    pair.accuracy.add(scratch.sums.front());
  }
  if (block.is_last) {
    pair.reader_a.reset();
    pair.reader_b.reset();
  }
}

}  // namespace mnq
