// Shapes and sizes of tensors, with every product checked.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/dtype.h"

namespace mnq {

/// The sizes of a tensor's axes: a vector, of which up to two lie in the object itself. Hardly a tensor of a checkpoint
/// has more, and of 100,000 tensors a job holds half a million shapes.
class Shape {
 public:
  using value_type = std::int64_t;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = std::int64_t&;
  using const_reference = const std::int64_t&;
  using iterator = std::int64_t*;
  using const_iterator = const std::int64_t*;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) : Shape(sizes.begin(), sizes.end()) {}
  Shape(const std::vector<std::int64_t>& sizes) : Shape(sizes.begin(), sizes.end()) {}
  explicit Shape(std::size_t rank, std::int64_t size = 0) { resize(rank, size); }
  template <std::forward_iterator Iterator>
  Shape(Iterator first, Iterator last) {
    insert(end(), first, last);
  }
  Shape(const Shape& other) : Shape(other.begin(), other.end()) {}
  Shape(Shape&& other) noexcept { swap(other); }
  Shape& operator=(Shape other) noexcept {
    swap(other);
    return *this;
  }
  ~Shape() {
    if (capacity_ > kInside) delete[] room_.outside;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::int64_t* data() { return const_cast<std::int64_t*>(std::as_const(*this).data()); }
  // GCC 12 warns of sizes that it takes to be outside where it sees into this.
  [[gnu::noinline]] const std::int64_t* data() const { return capacity_ > kInside ? room_.outside : room_.inside; }
  iterator begin() { return data(); }
  iterator end() { return data() + size_; }
  const_iterator begin() const { return data(); }
  const_iterator end() const { return data() + size_; }
  std::int64_t& operator[](std::size_t axis) { return data()[axis]; }
  const std::int64_t& operator[](std::size_t axis) const { return data()[axis]; }
  std::int64_t& front() { return *begin(); }
  const std::int64_t& front() const { return *begin(); }
  std::int64_t& back() { return *(end() - 1); }
  const std::int64_t& back() const { return *(end() - 1); }

  void clear() { size_ = 0; }
  void push_back(std::int64_t size) { insert(end(), &size, &size + 1); }
  void pop_back() { --size_; }
  void resize(std::size_t rank, std::int64_t size = 0) {
    reserve(rank);
    if (rank > size_) std::fill(end(), data() + rank, size);
    size_ = static_cast<std::uint32_t>(rank);
  }

  /// The sizes are none of this shape.
  template <std::forward_iterator Iterator>
  iterator insert(const_iterator before, Iterator first, Iterator last) {
    const std::ptrdiff_t place = before - begin(), count = std::distance(first, last);
    reserve(size_ + static_cast<std::size_t>(count));
    std::copy_backward(begin() + place, end(), end() + count);
    std::copy(first, last, begin() + place);
    size_ += static_cast<std::uint32_t>(count);
    return begin() + place;
  }
  iterator insert(const_iterator before, std::int64_t size) { return insert(before, &size, &size + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    const std::ptrdiff_t place = first - begin();
    const iterator rest = std::copy(begin() + (last - begin()), end(), begin() + place);
    size_ = static_cast<std::uint32_t>(rest - begin());
    return begin() + place;
  }
  iterator erase(const_iterator place) { return erase(place, place + 1); }

  friend bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
  friend std::strong_ordering operator<=>(const Shape& a, const Shape& b) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static constexpr std::uint32_t kInside = 2;

  union Room {
    std::int64_t inside[kInside];
    std::int64_t* outside;
  };

  void swap(Shape& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(room_, other.room_);
  }

  void reserve(std::size_t rank) {
    if (rank <= capacity_) return;
    const std::size_t capacity = std::max<std::size_t>(rank, std::size_t{2} * capacity_);
    auto* outside = new std::int64_t[capacity];
    std::copy(begin(), end(), outside);
    if (capacity_ > kInside) delete[] room_.outside;
    room_.outside = outside;
    capacity_ = static_cast<std::uint32_t>(capacity);
  }

  std::uint32_t size_ = 0, capacity_ = kInside;
  Room room_{{0, 0}};
};

constexpr std::int64_t kMostItemBytes = 16;  ///< of a complex128

/// The product of the sizes, 1 for rank 0; empty where a size is negative or where so many of the largest items, even
/// beside a size of 0, have no 63 bits of bytes: then the strides of whatever has such a shape are numbers, too.
std::optional<std::uint64_t> checked_element_count(const Shape& shape);

/// Bytes of a contiguous tensor; empty where the count overflows or its bits are not whole bytes.
std::optional<std::uint64_t> checked_size_bytes(DType dtype, const Shape& shape);

/// As checked_element_count, for a shape that was checked when it came in.
std::uint64_t element_count(const Shape& shape);

/// "[2, 3]"
std::string shape_text(const Shape& shape);

inline std::uint64_t ceil_div(std::uint64_t value, std::uint64_t divisor) {
  return value / divisor + (value % divisor != 0 ? 1 : 0);
}

}  // namespace mnq
