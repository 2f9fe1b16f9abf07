// float16: a cast, rounded half to even.
#include "schemes/decode_in_torchscript.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kFloat16Scheme{
    .name = "float16",
    .text = "float16",
    .bits = 16,
    .is_taken_as_floats = true,
    .is_cast = true,
    .cast_dtype = DType::kF16,
    .is_default_of_bits = true,
    .torchscript = &kCastScript,
};

}  // namespace mnq
