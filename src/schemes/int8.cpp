// int8: codes -128..127, symmetric around zero unless asked otherwise.
// Source: arXiv:1712.05877, eq. 1 (Z = 0 where symmetric).
#include "schemes/byte_codes.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt8Scheme{
    .name = "qint8",
    .text = "int8",
    .bits = 8,
    .rule = {.code_min = -128, .code_max = 127, .symmetric = true, .code_xor = 0, .symmetric_divisor = 127},
    .parts = [](const QuantizedSpec& spec) { return byte_code_parts(spec, DType::kI8); },
    .code_bytes = byte_code_bytes,
    .store_zero_points = store_byte_zero_points<0>,
    .load_zero_point = load_byte_zero_point<0>,
};

}  // namespace mnq
