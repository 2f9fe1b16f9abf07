// Q4_1, as GGUF files have it: weight = code · scale + minimum with codes 0..15, for each group of consecutive elements. As
// of int4, codes are kept 8 lower.
//   X_packed   I32 [rows, ceil(row_length / 8)], the code in each nibble, low nibble first
//   X_scale    F32 [rows, groups]
//   X_shape    I64 [rank]
//   X_minimum  F32 [rows, groups]
#include "schemes/byte_codes.h"
#include "schemes/packed_codes.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

std::vector<StoredPart> q4_1_parts(const QuantizedSpec& spec) {
  std::vector<StoredPart> parts = packed_parts(spec);
  parts.push_back({PartRole::kMinimum, "_minimum", DType::kF32, scale_matrix(spec)});
  return parts;
}

}  // namespace

const Scheme kQ4_1Scheme{
    .name = "q4_1",
    .text = "q4_1",
    .bits = 4,
    .may_be_chosen = false,
    .symmetric_default = false,
    .group_size_default = 32,
    .may_be_per_tensor = false,
    .rule = {.code_min = -8, .code_max = 7, .symmetric = false, .code_xor = 0, .symmetric_divisor = 7.5f},
    .parts = q4_1_parts,
    .code_bytes = packed_bytes,
    .pack = pack_rows,
    .unpack = unpack_rows,
};

}  // namespace mnq
