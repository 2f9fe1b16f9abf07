// How weights become codes of a book of sixteen values, worked out from the book.
#pragma once

#include <limits>

#include "kernels/kernel_table.h"

namespace mnq {

/// book: values by their codes; where two are equal, as 0 and -0 are, the first code stands for them.
constexpr kernels::BookRule book_rule(const float (&book)[16]) {
  kernels::BookRule rule{};
  int count = 0;
  for (int code = 0; code < 16; ++code) {
    int place = 0;
    while (place < count && book[rule.codes[place]] < book[code]) ++place;
    if (place < count && book[rule.codes[place]] == book[code]) continue;
    for (int i = count++; i > place; --i) rule.codes[i] = rule.codes[i - 1];
    rule.codes[place] = static_cast<std::int8_t>(code);
  }
  for (int i = 0; i < 15; ++i) {
    rule.thresholds[i] =
        i + 1 < count ? (book[rule.codes[i]] + book[rule.codes[i + 1]]) / 2 : std::numeric_limits<float>::infinity();
  }
  const float lowest = book[rule.codes[0]], highest = book[rule.codes[count - 1]];
  rule.largest = -lowest > highest ? -lowest : highest;
  return rule;
}

}  // namespace mnq
