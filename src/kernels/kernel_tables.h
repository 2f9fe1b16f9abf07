// One table an instruction set. To add one: a file with its table, a line here and a row in kernel_table.cpp.
#pragma once

#include "kernels/kernel_table.h"

namespace mnq::kernels {

extern const KernelTable kGenericTable;  // kernels_generic.cpp
std::uint32_t crc32_generic(std::uint32_t crc, const std::uint8_t* bytes, std::size_t count);

namespace generic {  // search_generic.cpp
std::size_t search_symmetric(const float* weights, std::size_t row_count, std::size_t row_length,
                             std::size_t group_size, const SearchRule& rule, float* scales);
std::size_t search_zero_point(const float* weights, std::size_t row_count, std::size_t row_length,
                              std::size_t group_size, const SearchRule& rule, float* scales, std::int8_t* zero_points);
std::size_t search_minimum(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                           const SearchRule& rule, float* scales, float* minima);
}  // namespace generic
#if defined(__x86_64__)
extern const KernelTable kAvx2Table;    // kernels_avx2.cpp: AVX2, FMA, F16C, PCLMUL
extern const KernelTable kAvx512Table;  // kernels_avx512.cpp: besides those AVX-512 F, BW, DQ and VL

std::uint32_t crc32_pclmul(std::uint32_t crc, const std::uint8_t* bytes, std::size_t count);

// What AVX-512 would not do faster: both tables have these.
namespace avx2 {
void pack_int4(const std::int8_t* codes, std::size_t count, std::uint8_t* packed);
void unpack_int4(const std::uint8_t* packed, std::size_t count, std::int8_t* codes);
void f16_to_f32(const std::uint16_t* from, std::size_t count, float* to);
void bf16_to_f32(const std::uint16_t* from, std::size_t count, float* to);
void f64_to_f32(const double* from, std::size_t count, float* to);
void f32_to_f16(const float* from, std::size_t count, std::uint16_t* to);
void f32_to_bf16(const float* from, std::size_t count, std::uint16_t* to);
void f32_to_f64(const float* from, std::size_t count, double* to);
}  // namespace avx2
#endif

}  // namespace mnq::kernels
