// The memory of one token of the loop, and what a block hands to the stage that runs in order.
#pragma once

#include <optional>
#include <vector>

#include "base/buffer.h"
#include "methods/method.h"
#include "quantize/loop/weight_reader.h"

namespace mnq {

struct Scratch {
  ReadBuffers in;       ///< of what is read
  ReadBuffers other;    ///< compare: of what it is compared with
  MethodBuffers coded;  ///< of what becomes codes
  LayoutBuffers out;    ///< of codes on their way into the sink
  Buffer decoded;       ///< float32: what readers of the output get
  Buffer doubles;       ///< float64: the same, of weights that are stored so
  Buffer stored;        ///< floats as they are written

  std::vector<kernels::ErrorSums> sums;      ///< of each row, or of the block
  std::vector<kernels::Range> ranges;        ///< of each row, or of each channel: see RangeSurvey
  std::optional<std::uint64_t> bad_element;  ///< of the tensor, flat: the first value that cannot be
  bool has_nan = false;                      ///< validate: the bad element is NaN
  bool differs = false;                      ///< compare: bytes that are not the same
};

}  // namespace mnq
