// How tensors are cut into blocks: whole rows where they are short, pieces of one row where it is long. The cut depends
// on shapes alone, never on threads or memory, so that sums over blocks are the same everywhere.
#pragma once

#include <cstdint>
#include <vector>

#include "methods/method.h"

namespace mnq {

inline constexpr std::uint64_t kBlockElements = 1u << 18;  // 1 MiB of float32: two of them are at home in L2
inline constexpr std::uint64_t kMaxRowElements = kMostPieceColumns;
inline constexpr std::uint64_t kBlockBytes = 1u << 20;  // of what is only copied

struct Block {
  std::size_t item = 0;    ///< of the list that is worked on
  std::size_t output = 0;  ///< copies: which output of the item
  std::uint64_t first_row = 0;
  std::uint64_t row_count = 1;
  std::uint64_t first_column = 0;  ///< copies: the first byte
  std::uint64_t column_count = 0;  ///< the whole row wherever row_count > 1; copies: bytes
  std::uint64_t source_bytes = 0;  ///< for progress
  bool is_last = false;            ///< of its item
};

/// Cuts a matrix. Pieces of long rows are multiples of `alignment` <= kMaxRowElements; rows of one number each stay
/// together by all channels, where those fit a block. element_bits: of the source.
void cut_rows(std::vector<Block>& blocks, std::size_t item, const RowView& rows, std::uint64_t alignment,
              std::uint64_t element_bits);

/// The rows in which a tensor is read that may be quantized with this many stacked axes: of its first axis, or of the
/// matrices where these are too long to be cut at whole rows of both.
RowView rows_to_read(const Shape& shape, std::int64_t stacked_axes);

/// Cuts those rows so that pieces of them start where both have a whole word of packed codes.
void cut_to_read(std::vector<Block>& blocks, std::size_t item, const Shape& shape, std::int64_t stacked_axes,
                 std::uint64_t element_bits);

/// Cuts bytes that are only copied. is_last is left false.
void cut_bytes(std::vector<Block>& blocks, std::size_t item, std::size_t output, std::uint64_t size_bytes);

}  // namespace mnq
