// The search for scales of weights whose codes are values of a book: floats, or any others.
#pragma once

#include "methods/method.h"

namespace mnq {

/// Whether there is one: where scales are of 8 bits, or the book has a wide step in it. Floats with float32 scales lose
/// the same with any of them.
bool can_search_book(const QuantizedSpec& spec);

/// As Method::code.
Coded search_book(const QuantizedSpec& spec, const float* weights, const PiecePlace& place, MethodBuffers& buffers);

}  // namespace mnq
