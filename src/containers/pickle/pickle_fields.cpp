#include "containers/pickle/pickle_fields.h"

#include <algorithm>
#include <limits>

#include "base/text/format.h"

namespace mnq {

std::string_view pickle_text(const Pickle& pickle, PickleIndex index, const char* what) {
  const PickleValue& value = pickle.at(index);
  if (value.kind != PickleKind::kText) pickle.fail(formatted("has {} that is no text", what));
  return value.text;
}

std::int64_t pickle_integer(const Pickle& pickle, PickleIndex index, const char* what) {
  const PickleValue& value = pickle.at(index);
  if (value.kind != PickleKind::kInt) pickle.fail(formatted("has {} that is no integer", what));
  if (value.integer < 0) pickle.fail(formatted("has {} of {}", what, value.integer));
  return value.integer;
}

Shape pickle_integers(const Pickle& pickle, PickleIndex index, const char* what) {
  if (pickle.at(index).kind != PickleKind::kTuple) pickle.fail(formatted("has {} that is no tuple", what));
  Shape integers;
  for (const PickleIndex item : pickle.items(pickle.at(index))) {
    integers.push_back(pickle_integer(pickle, item, what));
  }
  return integers;
}

std::optional<std::int64_t> strided_end(std::int64_t offset, const Shape& sizes, const Shape& strides) {
  std::int64_t last = offset, count = kMostItemBytes;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::int64_t step = 0;
    if (__builtin_mul_overflow(count, std::max<std::int64_t>(sizes[i], 1), &count)) return std::nullopt;
    if (__builtin_mul_overflow(std::max<std::int64_t>(sizes[i] - 1, 0), strides[i], &step)) return std::nullopt;
    if (__builtin_add_overflow(last, step, &last)) return std::nullopt;
  }
  if (std::ranges::find(sizes, 0) != sizes.end()) return offset;
  if (last == std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return last + 1;
}

}  // namespace mnq
