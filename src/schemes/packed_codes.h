// What int4 and Q4_1 share: codes -8..7, eight to a 32-bit word.
#pragma once

#include "schemes/scheme.h"

namespace mnq {

/// Bytes of `count` codes of a row: whole words.
std::uint64_t packed_bytes(std::uint64_t count);

void pack_rows(const kernels::KernelTable& kernels, const std::int8_t* codes, std::uint64_t row_count,
               std::uint64_t count, std::byte* stored);
void unpack_rows(const kernels::KernelTable& kernels, const std::byte* stored, std::uint64_t row_count,
                 std::uint64_t count, std::int8_t* codes);

/// X_packed, X_scale, X_shape.
std::vector<StoredPart> packed_parts(const QuantizedSpec& spec);

}  // namespace mnq
