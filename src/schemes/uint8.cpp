// uint8: codes 0..255, asymmetric unless asked otherwise; symmetric has the zero point 128 throughout. Inside it is
// int8 with the top bit of each code turned over, so that the kernels know one rule.
#include "schemes/byte_codes.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

// A reader of unsigned codes needs the zero point even where it is the same everywhere.
std::vector<StoredPart> uint8_parts(const QuantizedSpec& spec) {
  QuantizedSpec with_zero_point = spec;
  with_zero_point.symmetric = false;
  return byte_code_parts(with_zero_point, DType::kU8);
}

}  // namespace

const Scheme kUint8Scheme{
    .name = "quint8",
    .text = "uint8",
    .bits = 8,
    .symmetric_default = false,
    .rule = {.code_min = -128, .code_max = 127, .symmetric = false, .code_xor = 0x80, .symmetric_divisor = 127},
    .parts = uint8_parts,
    .code_bytes = byte_code_bytes,
    .store_zero_points = store_byte_zero_points<0x80>,
    .load_zero_point = load_byte_zero_point<0x80>,
};

}  // namespace mnq
