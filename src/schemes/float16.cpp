// float16: a cast, rounded half to even.
#include "schemes/schemes.h"

namespace mnq {

const Scheme kFloat16Scheme{
    .name = "float16",
    .text = "float16",
    .bits = 16,
    .is_cast = true,
    .parts =
        [](const QuantizedSpec& spec) {
          return std::vector<StoredPart>{{PartRole::kCodes, "", DType::kF16, spec.shape}};
        },
    .code_bytes = [](std::uint64_t count) { return 2 * count; },
};

}  // namespace mnq
