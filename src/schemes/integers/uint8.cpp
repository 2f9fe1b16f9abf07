// uint8: codes 0..255, asymmetric unless asked otherwise; symmetric has the zero point 128 throughout. Inside it is
// int8 with the top bit of each code turned over, so that the kernels know one rule.
#include "schemes/decode_in_torchscript.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kUint8Scheme{
    .name = "quint8",
    .text = "uint8",
    .bits = 8,
    .symmetric_default = false,
    .rule = {.code_min = -128, .code_max = 127, .symmetric = false, .code_xor = 0x80, .symmetric_divisor = 127},
    .code_dtype = DType::kU8,
    .always_has_zero_points = true,
    .torchscript = &kBytesScript,
};

}  // namespace mnq
