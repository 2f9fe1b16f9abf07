#include "linear/linear.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/shape.h"
#include "base/text/format.h"
#include "base/threads.h"
#include "kernels/code_scale.h"
#include "kernels/kernel_table.h"

namespace mnq::linear {
namespace {

constexpr std::size_t kLine = 64;             // of the cache: what two threads write lies in different ones
constexpr std::size_t kTasksAThread = 4;      // so that one that is held up is helped out
constexpr std::size_t kTaskBytes = 64 << 10;  // of weights: less is not worth another thread
constexpr std::size_t kTaskRows = 8 * kTileRows;

constexpr std::size_t lines(std::size_t size_bytes) { return (size_bytes + kLine - 1) / kLine * kLine; }

constexpr kernels::CodeRule row_rule(bool symmetric) { return {symmetric ? -127 : -128, 127, symmetric, 0, 127}; }

void require_float(DType dtype, const char* what) {
  if (dtype == DType::kF32 || dtype == DType::kBF16) return;
  throw Error(Status::kDType, formatted("{} of {}", what, dtype_name(dtype)), "pass F32 or BF16", what);
}

// How the product is cut: panels, and where these are too few rows, too. Bits do not depend on it.
struct Cut {
  std::size_t panel_tasks, row_tasks;

  Cut(const Panels& panels, std::size_t row_count, std::size_t workers) : panel_tasks(1), row_tasks(1) {
    if (workers == 1) return;
    const std::size_t wanted = workers * kTasksAThread;
    const std::size_t worth =
        row_count >= kTileRows ? panels.panel_count() : panels.panel_count() * panels.panel_bytes() / kTaskBytes;
    panel_tasks = std::clamp<std::size_t>(std::min(worth, wanted), 1, panels.panel_count());
    row_tasks = std::clamp<std::size_t>(wanted / panel_tasks, 1, std::max<std::size_t>(row_count / kTaskRows, 1));
  }

  Block block(std::size_t task, const Panels& panels, std::size_t row_count) const {
    const std::size_t panel = task % panel_tasks, row = task / panel_tasks, count = panels.panel_count();
    return {count * panel / panel_tasks, count * (panel + 1) / panel_tasks, row_count * row / row_tasks,
            row_count * (row + 1) / row_tasks};
  }
};

}  // namespace

// What the rows share, then what each worker has for itself.
struct PackedLinear::Scratch {
  std::uint8_t* codes;
  std::int32_t* offsets;
  float* scales;
  float* zero_points;
  std::byte* workers;

  Scratch(const PackedLinear& linear, std::size_t row_count, void* memory) {
    const auto place = reinterpret_cast<std::uintptr_t>(memory);
    auto* next = static_cast<std::byte*>(memory) + (lines(place) - place);
    const auto take = [&](std::size_t size_bytes) { return std::exchange(next, next + lines(size_bytes)); };
    codes = reinterpret_cast<std::uint8_t*>(take(row_count * linear.stride()));
    offsets = reinterpret_cast<std::int32_t*>(take(row_count * linear.packed_.panels.group_count * 4));
    scales = reinterpret_cast<float*>(take(row_count * sizeof(float)));
    zero_points = reinterpret_cast<float*>(take(row_count * sizeof(float)));
    workers = next;
  }
};

PackedLinear::PackedLinear(const LinearWeights& weights, bool symmetric_rows, const LinearKernel& kernel)
    : kernel_(kernel),
      symmetric_rows_(symmetric_rows),
      row_length_(weights.row_length),
      group_size_(weights.group_size >= weights.row_length ? 0 : weights.group_size),
      packed_(pack_panels(weights, kernel.columns)) {}

// A line more than the codes take: rows of a power of two would all lie in the same lines of the cache.
std::size_t PackedLinear::stride() const { return packed_.panels.row_length * kernel_.code_bytes + kLine; }

std::size_t PackedLinear::shared_bytes(std::size_t row_count) const {
  return kLine + lines(row_count * stride()) + lines(row_count * packed_.panels.group_count * 4) +
         2 * lines(row_count * sizeof(float));
}

// A row as float32.
std::size_t PackedLinear::worker_bytes() const { return lines(row_length_ * sizeof(float)); }

std::size_t PackedLinear::scratch_bytes(std::size_t row_count, std::size_t thread_count) const {
  const std::size_t most = PTRDIFF_MAX / 4;
  if (row_count > most / (stride() + packed_.panels.group_count * 4 + kLine) ||
      thread_count > most / (worker_bytes() + kLine)) {
    throw Error(Status::kShape, formatted("{} rows of {} elements do not fit in memory", row_count, row_length_), "",
                "row_count");
  }
  return shared_bytes(row_count) + std::max<std::size_t>(thread_count, 1) * worker_bytes();
}

void PackedLinear::code_row(const LinearRows& rows, std::size_t row, const Scratch& scratch, std::size_t worker) const {
  const Panels& panels = packed_.panels;
  const kernels::KernelTable& kernels = kernels::kernel_table();
  const float* values = static_cast<const float*>(rows.rows) + row * row_length_;
  if (rows.dtype == DType::kBF16) {
    auto* floats = reinterpret_cast<float*>(scratch.workers + worker * worker_bytes());
    kernels.bf16_to_f32(static_cast<const std::uint16_t*>(rows.rows) + row * row_length_, row_length_, floats);
    values = floats;
  }
  const kernels::Range range = kernels.range(values, row_length_);
  const bool is_finite = range.max_abs_bits < kernels::kInfinityBits;
  const kernels::CodeScale scale = kernels::scale_for(is_finite ? range : kernels::Range{}, row_rule(symmetric_rows_));
  kernel_.arrange(panels, values, is_finite ? row_length_ : 0, {1 / scale.scale, scale.zero_point},
                  scratch.codes + row * stride(), scratch.offsets + row * panels.group_count);
  scratch.scales[row] = is_finite ? scale.scale : std::numeric_limits<float>::quiet_NaN();
  scratch.zero_points[row] = static_cast<float>(scale.zero_point);
}

void PackedLinear::run(const LinearRows& rows, std::size_t thread_count, void* memory,
                       std::size_t scratch_bytes) const {
  require_float(rows.dtype, "rows");
  require_float(rows.out_dtype, "out");
  const std::size_t needed = this->scratch_bytes(rows.count, 1);
  if (scratch_bytes < needed) {
    throw Error(Status::kBufferTooSmall, formatted("scratch of {} bytes for {} rows", scratch_bytes, rows.count),
                formatted("at least {} are needed", needed), "scratch");
  }
  const Panels& panels = packed_.panels;
  if (rows.count == 0 || panels.output_count == 0) return;
  const std::size_t fitting = worker_bytes() == 0 ? thread_count : 1 + (scratch_bytes - needed) / worker_bytes();
  const auto workers =
      usable_thread_count(static_cast<std::uint32_t>(std::clamp<std::size_t>(thread_count, 1, fitting)));
  const Scratch scratch(*this, rows.count, memory);
  const CodedRows coded{scratch.codes, stride(), scratch.offsets, scratch.scales, scratch.zero_points};
  Target out{.stride = panels.output_count, .narrow = kernels::kernel_table().f32_to_bf16};
  if (rows.out_dtype == DType::kF32)
    out.floats = static_cast<float*>(rows.out);
  else
    out.halves = static_cast<std::uint16_t*>(rows.out);
  const Cut cut(panels, rows.count, workers);
  const std::uint32_t row_workers = rows.count < 2 * kTileRows ? 1 : workers;
  run_tasks(row_workers, rows.count,
            [&](std::size_t row, std::size_t worker) { code_row(rows, row, scratch, worker); });
  run_tasks(workers, cut.panel_tasks * cut.row_tasks, [&](std::size_t task, std::size_t) {
    kernel_.multiply(panels, coded, cut.block(task, panels, rows.count), out);
  });
}

}  // namespace mnq::linear
