// float8_e4m3: floats of 8 bits, E4M3. Files have it with a scale for each tensor, row or block of 128 x 128.
#include "schemes/decode_in_torchscript.h"
#include "schemes/floats/e4m3.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kFloat8E4M3Scheme{
    .name = "float8_e4m3",
    .text = "float8_e4m3",
    .bits = 8,
    .is_taken_as_floats = true,
    .may_be_in_blocks = true,
    .code_dtype = DType::kF8E4M3,
    .book = kE4M3Values.data(),
    .floats = &kE4M3Rule,
    .widest_step = kE4M3WidestStep,
    .torchscript = &kFloatBytesScript,
};

}  // namespace mnq
