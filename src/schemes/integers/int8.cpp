// int8: codes -128..127, symmetric around zero unless asked otherwise.
// Source: arXiv:1712.05877, eq. 1 (Z = 0 where symmetric).
#include "schemes/decode_in_torchscript.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kInt8Scheme{
    .name = "qint8",
    .text = "int8",
    .bits = 8,
    .is_default_of_bits = true,
    .rule = {.code_min = -128, .code_max = 127, .symmetric = true, .code_xor = 0, .symmetric_divisor = 127},
    .torchscript = &kBytesScript,
};

}  // namespace mnq
