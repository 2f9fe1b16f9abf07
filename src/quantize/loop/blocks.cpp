#include "quantize/loop/blocks.h"

#include <algorithm>

namespace mnq {

void cut_rows(std::vector<Block>& blocks, std::size_t item, const RowView& rows, std::uint64_t alignment,
              std::uint64_t element_bits) {
  Block block;
  block.item = item;
  const auto add = [&] {
    block.source_bytes = block.row_count * block.column_count * element_bits / 8;
    blocks.push_back(block);
  };
  if (rows.row_length <= kMaxRowElements) {
    std::uint64_t step = std::max<std::uint64_t>(1, kBlockElements / std::max<std::uint64_t>(rows.row_length, 1));
    if (rows.row_length == 1 && rows.row_count > 0 && step > rows.channel_count) step -= step % rows.channel_count;
    if (rows.row_length > 0 && alignment > rows.row_length && alignment % rows.row_length == 0) {
      const std::uint64_t together = alignment / rows.row_length;
      step = std::max(step / together * together, together);
    }
    block.column_count = rows.row_length;
    for (block.first_row = 0; block.first_row < rows.row_count; block.first_row += step) {
      block.row_count = std::min(step, rows.row_count - block.first_row);
      add();
    }
  } else {
    const std::uint64_t step = kMaxRowElements / alignment * alignment;
    for (block.first_row = 0; block.first_row < rows.row_count; ++block.first_row) {
      for (block.first_column = 0; block.first_column < rows.row_length; block.first_column += step) {
        block.column_count = std::min(step, rows.row_length - block.first_column);
        add();
      }
    }
  }
  if (!blocks.empty() && blocks.back().item == item) blocks.back().is_last = true;
}

namespace {

constexpr std::uint64_t kWord = 8;  // codes of 4 bits

std::uint64_t inner_length(const Shape& shape, std::int64_t stacked_axes) {
  return stacked_axes == 0 ? 1 : row_view(shape, stacked_axes).row_length;
}

}  // namespace

RowView rows_to_read(const Shape& shape, std::int64_t stacked_axes) {
  const bool fits = inner_length(shape, stacked_axes) <= kMaxRowElements / kWord;
  return row_view(shape, fits ? 0 : stacked_axes);
}

void cut_to_read(std::vector<Block>& blocks, std::size_t item, const Shape& shape, std::int64_t stacked_axes,
                 std::uint64_t element_bits) {
  const std::uint64_t inner = inner_length(shape, stacked_axes);
  const std::uint64_t alignment = inner <= kMaxRowElements / kWord ? kWord * inner : kWord;
  RowView rows = rows_to_read(shape, stacked_axes);
  if (rows.row_length == 0)
    rows.row_count = std::min<std::uint64_t>(rows.row_count, 1);  // there may be 2^40 empty rows
  cut_rows(blocks, item, rows, alignment, element_bits);
}

void cut_bytes(std::vector<Block>& blocks, std::size_t item, std::size_t output, std::uint64_t size_bytes) {
  Block block;
  block.item = item;
  block.output = output;
  for (; block.first_column < size_bytes; block.first_column += kBlockBytes) {
    block.column_count = std::min(kBlockBytes, size_bytes - block.first_column);
    block.source_bytes = block.column_count;
    blocks.push_back(block);
  }
}

}  // namespace mnq
