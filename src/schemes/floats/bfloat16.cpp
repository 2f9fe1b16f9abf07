// bfloat16: a cast, rounded half to even.
#include "schemes/decode_in_torchscript.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kBfloat16Scheme{
    .name = "bfloat16",
    .text = "bfloat16",
    .bits = 16,
    .is_taken_as_floats = true,
    .is_cast = true,
    .cast_dtype = DType::kBF16,
    .torchscript = &kCastScript,
};

}  // namespace mnq
