// The table of a vector instruction set: a wrapper of 16 lanes makes it.
#include "kernels/kernel_tables.h"
#include "kernels/quantize_rows.inc.h"
#include "kernels/rows_of_books.inc.h"
#include "kernels/search_rows.inc.h"

namespace mnq::kernels {
namespace {

template <class V>
constexpr KernelTable table_of(const char* isa, std::span<const char* const> shared) {
  return {
      .isa = isa,
      .shared = shared,
      .range = range<V>,
      .quantize_rows = quantize_rows<V>,
      .quantize_halves = quantize_halves<V>,
      .quantize_run = quantize_run<V>,
      .search_symmetric = search_symmetric<V>,
      .search_zero_point = search_zero_point<V>,
      .search_minimum = search_minimum<V>,
      .encode_rows = encode_rows<V>,
      .encode_floats = encode_floats<V>,
      .quantize_floats = quantize_floats<V>,
      .quantize_float_halves = quantize_float_halves<V>,
      .encode_book = encode_book<V>,
      .code_sums = code_sums<V>,
      .dequantize_rows = dequantize_rows<V>,
      .pack_int4 = avx2::pack_int4,
      .unpack_int4 = avx2::unpack_int4,
      .error_sums = error_sums<V>,
      .cast_to_halves = cast_to_halves<V>,
      .f16_to_f32 = avx2::f16_to_f32,
      .bf16_to_f32 = avx2::bf16_to_f32,
      .f64_to_f32 = avx2::f64_to_f32,
      .f32_to_f16 = avx2::f32_to_f16,
      .f32_to_bf16 = avx2::f32_to_bf16,
      .f32_to_f64 = avx2::f32_to_f64,
      .crc32 = crc32_pclmul,
  };
}

}  // namespace
}  // namespace mnq::kernels
