// Codes that are values of a book, and what codes explain. V is 16 float32 lanes. Included behind quantize_rows.inc.h.
namespace mnq::kernels {
namespace {

// How many thresholds lie below a quotient is found by halves; infinite ones have none above them.
template <class V>
struct BookCoder {
  explicit BookCoder(const BookRule& rule)
      : thresholds(with_infinity(rule).values), codes(codes_as_floats(rule).values) {}

  typename V::Bits codes_of(typename V::F quotients) const {
    auto below = V::zero_bits();
    MNQ_UNROLL
    for (std::int32_t step = 8; step > 0; step /= 2) {
      const auto threshold = thresholds.at(V::add_ints(below, V::set_ints(step - 1)));
      below = V::add_ints_where_greater(below, quotients, threshold, V::set_ints(step));
    }
    return V::as_ints(codes.at(below));
  }

 private:
  struct SixteenFloats {
    alignas(64) float values[kLanes];
  };

  static SixteenFloats with_infinity(const BookRule& rule) {
    SixteenFloats all;
    for (std::size_t i = 0; i + 1 < kLanes; ++i) all.values[i] = rule.thresholds[i];
    all.values[kLanes - 1] = float_from_bits(kInfinityBits);
    return all;
  }

  static SixteenFloats codes_as_floats(const BookRule& rule) {
    SixteenFloats all;
    for (std::size_t i = 0; i < kLanes; ++i) all.values[i] = float_from_bits(static_cast<std::uint8_t>(rule.codes[i]));
    return all;
  }

  typename V::Sixteen thresholds, codes;
};

template <class V>
void encode_book_group(const BookCoder<V>& coder, const float* weights, std::size_t count, float scale,
                       std::int8_t* codes) {
  if (scale == 0) {
    std::memset(codes, 0, count);
    return;
  }
  const auto divisor = V::set(scale);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const std::size_t rest = count - i < kLanes ? count - i : kLanes;
    const auto numbers = rest < kLanes ? V::load_part(weights + i, rest, V::zero()) : V::load(weights + i);
    V::template store_codes_part<true>(coder.codes_of(V::div(numbers, divisor)), 0, rest, codes + i);
  }
}

template <class V>
void encode_book(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
                 const BookRule& rule, const float* scales, std::int8_t* codes) {
  const BookCoder<V> coder(rule);
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length) {
    for (std::size_t begin = 0; begin < row_length; begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      encode_book_group<V>(coder, weights + begin, count, *scales++, codes + begin);
    }
  }
}

template <class V>
struct LanesOfGroup {
  typename V::F a, b;
};

// Book: what codes stand for, by a look-up of any size.
template <class V, class Book>
MNQ_INLINE LanesOfGroup<V> lanes_of_group(const float* weights, std::size_t count, const Book& book,
                                          const std::int8_t* codes) {
  LanesOfGroup<V> lanes{V::zero(), V::zero()};
  const auto add = [&](typename V::F weight, typename V::F value) {
    lanes.a = V::add(lanes.a, V::mul(weight, value));
    lanes.b = V::add(lanes.b, V::mul(value, value));
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) add(V::load(weights + i), book.at(V::load_unsigned(codes + i)));
  if (i == count) return lanes;
  std::int8_t rest[kLanes] = {};
  std::memcpy(rest, codes + i, count - i);
  add(V::load_part(weights + i, count - i, V::zero()), first_lanes<V>(book.at(V::load_unsigned(rest)), count - i));
  return lanes;
}

template <class V, class Book>
void code_sums_of(const float* weights, std::size_t row_length, std::size_t group_size, const Book& book,
                  const std::int8_t* codes, CodeSums* sums) {
  for (std::size_t begin = 0; begin < row_length;) {
    typename V::F a[kLanes], b[kLanes];
    std::size_t groups = 0;
    for (; groups < kLanes && begin < row_length; ++groups, begin += group_size) {
      const std::size_t count = row_length - begin < group_size ? row_length - begin : group_size;
      const auto lanes = lanes_of_group<V>(weights + begin, count, book, codes + begin);
      a[groups] = lanes.a;
      b[groups] = lanes.b;
    }
    for (std::size_t i = groups; i < kLanes; ++i) a[i] = b[i] = V::zero();
    LaneArray<V> all_a, all_b;
    all_a.set(V::sum_each(a));
    all_b.set(V::sum_each(b));
    for (std::size_t i = 0; i < groups; ++i) *sums++ = {all_a[i], all_b[i]};
  }
}

template <class V>
void code_sums(const float* weights, std::size_t row_count, std::size_t row_length, std::size_t group_size,
               const float* book, std::size_t book_size, const std::int8_t* codes, CodeSums* sums) {
  const std::size_t groups = groups_of(row_length, group_size);
  for (std::size_t row = 0; row < row_count; ++row, weights += row_length, codes += row_length, sums += groups) {
    if (book_size == kLanes) {
      code_sums_of<V>(weights, row_length, group_size, typename V::Sixteen(book), codes, sums);
    } else {
      code_sums_of<V>(weights, row_length, group_size, typename V::ManyFloats(book), codes, sums);
    }
  }
}

}  // namespace
}  // namespace mnq::kernels
