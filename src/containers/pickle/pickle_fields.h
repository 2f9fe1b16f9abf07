// What the readers of PyTorch's pickles share: values that must be of one kind, and how far a tensor reaches into its
// storage.
#pragma once

#include <optional>
#include <string_view>

#include "base/shape.h"
#include "containers/pickle/pickle.h"

namespace mnq {

/// Errors: kFormat, naming the record and `what`, where a value is not of that kind. Integers are not negative.
std::string_view pickle_text(const Pickle& pickle, PickleIndex index, const char* what);
std::int64_t pickle_integer(const Pickle& pickle, PickleIndex index, const char* what);
Shape pickle_integers(const Pickle& pickle, PickleIndex index, const char* what);

/// One past the last element of a tensor in its storage; empty where that, or the bytes it takes, is no number.
std::optional<std::int64_t> strided_end(std::int64_t offset, const Shape& sizes, const Shape& strides);

}  // namespace mnq
