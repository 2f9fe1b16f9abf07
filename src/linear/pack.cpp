#include "linear/pack.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/error.h"
#include "base/shape.h"
#include "base/text/format.h"
#include "kernels/not_finite.h"

namespace mnq::linear {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Of huge pages where there are some: a panel is read from end to end.
std::shared_ptr<std::byte> allocate_panels(std::size_t size_bytes) {
  const std::align_val_t alignment{size_bytes >= kHugePage ? kHugePage : std::size_t{64}};
  auto* bytes = static_cast<std::byte*>(::operator new(std::max<std::size_t>(size_bytes, 1), alignment));
  if (size_bytes >= kHugePage) static_cast<void>(::madvise(bytes, size_bytes, MADV_HUGEPAGE));
  return {bytes, [alignment](std::byte* p) { ::operator delete(p, alignment); }};
}

[[noreturn]] void fail_size(const LinearWeights& weights) {
  throw Error(Status::kShape,
              formatted("weights of {} x {} elements do not fit in memory", weights.output_count, weights.row_length),
              "", "weights");
}

std::size_t checked_size(const LinearWeights& weights, std::size_t a, std::size_t b) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product) || product > PTRDIFF_MAX / 16) fail_size(weights);
  return product;
}

// Of the groups as they are worked on.
std::size_t packed_group_size(const LinearWeights& weights, std::size_t row_length) {
  const std::size_t size = weights.group_size;
  if (size == 0 || size >= weights.row_length) return std::min(row_length, kLongestGroup);
  if (size % kChunk == 0) {
    std::size_t pieces = ceil_div(size, kLongestGroup);
    while (size % pieces != 0 || size / pieces % kChunk != 0) ++pieces;
    return size / pieces;
  }
  throw Error(Status::kUnsupported, formatted("groups of {}", size),
              formatted("groups of a multiple of {}, or whole rows, can be packed", kChunk), "group_size");
}

// Where the arrays of panels lie in one piece of memory.
class Packer {
 public:
  Packer(const LinearWeights& weights, std::size_t columns)
      : weights_(weights), lowest_(weights.has_nibbles ? -8 : -128) {
    Panels& panels = packed_.panels;
    if (weights.row_length > PTRDIFF_MAX / 16 || weights.output_count > PTRDIFF_MAX / 16) fail_size(weights);
    panels.output_count = weights.output_count;
    panels.columns = columns;
    panels.row_length = ceil_div(weights.row_length, kChunk) * kChunk;
    panels.group_size = packed_group_size(weights, panels.row_length);
    panels.group_count = panels.row_length == 0 ? 0 : ceil_div(panels.row_length, panels.group_size);
    panels.has_nibbles = weights.has_nibbles;
    panels.plain_zero = -lowest_;
    allocate();
  }

  PackedPanels pack() {
    for (std::size_t panel = 0; panel < packed_.panels.panel_count(); ++panel) pack_panel(panel);
    return std::move(packed_);
  }

 private:
  void allocate() {
    Panels& panels = packed_.panels;
    const std::size_t columns = checked_size(weights_, panels.panel_count(), panels.columns);
    const std::size_t codes = checked_size(weights_, columns, panels.row_length) / (panels.has_nibbles ? 2 : 1);
    const std::size_t scales = checked_size(weights_, columns, panels.group_count);
    const std::size_t floats = (scales + columns * (weights_.bias == nullptr ? 1 : 2)) * sizeof(float);
    packed_.size_bytes = codes + floats + (weights_.zero_points == nullptr ? 0 : scales);
    const auto memory = allocate_panels(packed_.size_bytes);
    std::memset(memory.get(), 0, packed_.size_bytes);
    codes_ = reinterpret_cast<std::uint8_t*>(memory.get());
    scales_ = reinterpret_cast<float*>(codes_ + codes);
    column_sums_ = scales_ + scales;
    float* end = column_sums_ + columns;
    if (weights_.bias != nullptr) {
      bias_ = end;
      end += columns;
    }
    if (weights_.zero_points != nullptr) zero_points_ = reinterpret_cast<std::uint8_t*>(end);
    packed_.memory = memory;
    panels.codes = codes_;
    panels.scales = scales_;
    panels.column_sums = column_sums_;
    panels.bias = bias_;
    panels.zero_points = zero_points_;
  }

  void pack_panel(std::size_t panel) {
    const std::size_t columns = packed_.panels.columns, first = panel * columns;
    const std::size_t count = std::min(columns, weights_.output_count - first);
    const std::int8_t* codes = weights_.row_length == 0 ? nullptr : weights_.codes(first, count);
    for (std::size_t column = 0; column < count; ++column) {
      const std::int8_t* row = codes + column * weights_.row_length;
      pack_codes(row, panel, column);
      pack_groups(row, panel, column);
      if (bias_ != nullptr) bias_[first + column] = weights_.bias[first + column];
    }
  }

  void pack_codes(const std::int8_t* row, std::size_t panel, std::size_t column) {
    const Panels& panels = packed_.panels;
    std::uint8_t* to = codes_ + panel * panels.panel_bytes() + column * 4;
    for (std::size_t i = 0; i < weights_.row_length; ++i) {
      const std::uint8_t code = checked_code(row[i], "codes");
      if (panels.has_nibbles) {
        std::uint8_t& byte = to[i / 8 * panels.columns * 4 + i % 4];
        byte = static_cast<std::uint8_t>(byte | (i % 8 < 4 ? code : code << 4));
      } else {
        to[i / 4 * panels.columns * 4 + i % 4] = code;
      }
    }
  }

  // As unsigned as panels have them.
  std::uint8_t checked_code(std::int8_t code, const char* what) const {
    if (weights_.has_nibbles && (code < -8 || code > 7)) {
      throw Error(Status::kInvalidArg, formatted("{}: {} does not fit in 4 bits", what, static_cast<int>(code)),
                  "they are -8 to 7", what);
    }
    return static_cast<std::uint8_t>(code - lowest_);
  }

  void pack_groups(const std::int8_t* row, std::size_t panel, std::size_t column) {
    const Panels& panels = packed_.panels;
    float column_sum = 0;
    for (std::size_t group = 0; group < panels.group_count; ++group) {
      const std::size_t first = group * panels.group_size;
      const std::size_t last = std::min(first + panels.group_size, weights_.row_length);
      const std::size_t from = (panel * panels.columns + column) * weights_.groups() + source_group(first);
      const std::size_t to = (panel * panels.group_count + group) * panels.columns + column;
      const std::int8_t zero_point = weights_.zero_points == nullptr ? std::int8_t{0} : weights_.zero_points[from];
      if (zero_points_ != nullptr) zero_points_[to] = checked_code(zero_point, "zero_points");
      scales_[to] = checked_scale(weights_.scales[from]);
      std::int32_t sum = 0;
      for (std::size_t i = first; i < last; ++i) sum += row[i] - zero_point;
      column_sum = std::fma(static_cast<float>(sum), scales_[to], column_sum);
    }
    column_sums_[panel * panels.columns + column] = column_sum;
  }

  std::size_t source_group(std::size_t element) const {
    return weights_.groups() == 1 ? 0 : element / weights_.group_size;
  }

  static float checked_scale(float scale) {
    if (std::isfinite(scale)) return scale;
    throw Error(Status::kInvalidArg, "scales: one is not finite", "pass finite values only", "scales");
  }

  const LinearWeights& weights_;
  std::int32_t lowest_;
  PackedPanels packed_;
  std::uint8_t* codes_ = nullptr;
  float* scales_ = nullptr;
  float* column_sums_ = nullptr;
  float* bias_ = nullptr;
  std::uint8_t* zero_points_ = nullptr;
};

}  // namespace

std::size_t LinearWeights::groups() const {
  if (row_length == 0) return 0;
  return group_size == 0 || group_size >= row_length ? 1 : ceil_div(row_length, group_size);
}

PackedPanels pack_panels(const LinearWeights& weights, std::size_t columns) { return Packer(weights, columns).pack(); }

}  // namespace mnq::linear
