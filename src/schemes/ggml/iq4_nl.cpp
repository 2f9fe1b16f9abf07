// IQ4_NL, as GGUF files have it: codes of 4 bits for sixteen values that lie closer together near 0, a scale for each
// group of 32.
// Source: ggml/src/ggml-quants.c, dequantize_row_iq4_nl
#include "schemes/ggml/own_blocks.h"
#include "schemes/schemes.h"

namespace mnq {

const Scheme kIq4NlScheme{
    .name = "iq4_nl",
    .text = "iq4_nl",
    .bits = 4,
    .may_be_chosen = false,
    .group_size_default = 32,
    .may_be_per_tensor = false,
    .needs_first_axis = true,
    .book = kIq4Values,
    .widest_step = kIq4WidestStep,
};

}  // namespace mnq
