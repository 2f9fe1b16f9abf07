// The rules of the searches for each number of bits: how codes are bounded, and which trials are made. The trials were
// measured on Gaussian, Laplace and Student t weights; more of them gain at most 0.02 dB.
#pragma once

#include "kernels/kernel_table.h"

namespace mnq::kernels {

/// For search_symmetric, of codes of 2 to 8 bits. whole_row: a group is a whole row, of which the largest weight says
/// little.
SearchRule symmetric_search(int bits, bool whole_row, bool positive_scales);

/// For search_zero_point, of codes of 2 to 8 bits.
SearchRule zero_point_search(int bits);

/// For search_minimum, of codes of 2 to 8 bits.
SearchRule minimum_search(int bits);

}  // namespace mnq::kernels
