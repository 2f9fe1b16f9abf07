// The obvious version: the oracle of the others.
#include <algorithm>
#include <cmath>

#include "linear/linear_table.h"

namespace mnq::linear {
namespace {

std::int8_t code_of(float value, const RowScale& scale) {
  const long code = std::lrint(value * scale.inverse) + scale.zero_point;
  return static_cast<std::int8_t>(std::clamp(code, -128L, 127L));
}

void arrange(const Panels& panels, const float* values, std::size_t count, const RowScale& scale, std::uint8_t* codes,
             std::int32_t* offsets) {
  std::fill_n(offsets, panels.group_count, 0);
  for (std::size_t i = 0; i < panels.row_length; ++i) {
    const std::int8_t code = i < count ? code_of(values[i], scale) : std::int8_t{0};
    codes[i] = static_cast<std::uint8_t>(code);
    offsets[i / panels.group_size] -= code * (panels.zero_points == nullptr ? panels.plain_zero : 1);
  }
}

std::int32_t weight_at(const Panels& panels, std::size_t panel, std::size_t column, std::size_t element) {
  const std::uint8_t* codes = panels.codes + panel * panels.panel_bytes();
  if (!panels.has_nibbles) return codes[(element / 4 * panels.columns + column) * 4 + element % 4];
  const std::uint8_t byte = codes[(element / 8 * panels.columns + column) * 4 + element % 4];
  return element % 8 < 4 ? byte & 15 : byte >> 4;
}

// Modulo 2^32, as vectors add: what is left at the end fits.
std::int32_t sum_group(const Panels& panels, const CodedRows& rows, std::size_t row, std::size_t panel,
                       std::size_t column, std::size_t group) {
  const auto* codes = reinterpret_cast<const std::int8_t*>(rows.codes + row * rows.stride);
  const std::size_t first = group * panels.group_size;
  auto sum = static_cast<std::uint32_t>(rows.offsets[row * panels.group_count + group]);
  if (panels.zero_points != nullptr) {
    sum *= panels.zero_points[(panel * panels.group_count + group) * panels.columns + column];
  }
  for (std::size_t i = first; i < first + panels.group_length(group); ++i) {
    sum += static_cast<std::uint32_t>(codes[i] * weight_at(panels, panel, column, i));
  }
  return static_cast<std::int32_t>(sum);
}

float output_at(const Panels& panels, const CodedRows& rows, std::size_t row, std::size_t output) {
  const std::size_t panel = output / panels.columns, column = output % panels.columns;
  float value = 0;
  for (std::size_t group = 0; group < panels.group_count; ++group) {
    const float scale = panels.scales[(panel * panels.group_count + group) * panels.columns + column];
    value = std::fma(static_cast<float>(sum_group(panels, rows, row, panel, column, group)), scale, value);
  }
  value = std::fma(-rows.zero_points[row], panels.column_sums[output], value) * rows.scales[row];
  return panels.bias == nullptr ? value : value + panels.bias[output];
}

void multiply(const Panels& panels, const CodedRows& rows, const Block& block, const Target& out) {
  for (std::size_t row = block.first_row; row < block.last_row; ++row) {
    for (std::size_t output = block.first_panel * panels.columns;
         output < block.last_panel * panels.columns && output < panels.output_count; ++output) {
      const float value = output_at(panels, rows, row, output);
      if (out.floats != nullptr) {
        out.floats[row * out.stride + output] = value;
      } else {
        out.narrow(&value, 1, out.halves + row * out.stride + output);
      }
    }
  }
}

}  // namespace

constinit const LinearKernel kGenericLinear{
    .isa = "generic", .kernels = "generic", .columns = 64, .code_bytes = 1, .arrange = arrange, .multiply = multiply};

}  // namespace mnq::linear
