#include "quantize/blocks.h"

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
    const std::uint64_t step = std::max<std::uint64_t>(1, kBlockElements / std::max<std::uint64_t>(rows.row_length, 1));
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
