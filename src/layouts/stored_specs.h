// Schemes of weights that other tools have quantized, by what their files say of them.
#pragma once

#include <string_view>

#include "layouts/layout.h"

namespace mnq {

/// The floats of 8 bits that a dtype is; null for another dtype.
const Scheme* find_float8_scheme(DType dtype);

/// The same by all that is known of a weight: groups of 32 with powers of two make it mxfp8.
const Scheme& float8_scheme_of(const QuantizedSpec& spec);

/// The integers of 8 bits whose codes lie in tensors of a dtype; null for another dtype.
const Scheme* find_byte_scheme(DType dtype);

/// Floats of 4 and 6 bits with powers of two, or with scales of 8 bits; null for another number of bits.
const Scheme* find_mx_scheme(std::uint64_t width);
const Scheme& mxfp8_scheme();
const Scheme& nvfp4_scheme();

/// Codes with minima, of 2 to 8 bits; null for another number of bits.
const Scheme* find_affine_scheme(std::int64_t width);

/// What bitsandbytes calls so: 4 bits, by a book of values; null for another name.
const Scheme* find_bitsandbytes_scheme(std::string_view quant_type);

/// Whether a file's book of values is the scheme's.
bool has_book(const Scheme& scheme, std::span<const float> values);

}  // namespace mnq
