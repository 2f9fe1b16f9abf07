// Where each code and each zero point lies in the stored bytes, written out by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "schemes/schemes.h"

namespace mnq::test {
namespace {

using Codes = std::vector<std::int8_t>;
using Words = std::vector<std::uint32_t>;

const kernels::KernelTable& kernel_table() { return kernels::kernel_table(); }

Words words_of(const std::vector<std::byte>& bytes) {
  Words words(bytes.size() / sizeof(std::uint32_t));
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

// Codes [row_count, n] packed into memory that was not zero before.
Words pack_int4(const Codes& codes, std::uint64_t row_count) {
  const std::uint64_t count = codes.size() / row_count;
  std::vector<std::byte> bytes(row_count * kInt4Scheme.code_bytes(count), std::byte{0xff});
  kInt4Scheme.pack(kernel_table(), codes.data(), row_count, count, bytes.data());
  return words_of(bytes);
}

TEST(Int4, EightCodesToAWordTheFirstLowest) {
  // Each nibble holds code + 8.
  EXPECT_EQ(pack_int4({-8, -7, -6, -5, -4, -3, -2, -1}, 1), Words{0x76543210});
  EXPECT_EQ(pack_int4({0, 1, 2, 3, 4, 5, 6, 7}, 1), Words{0xfedcba98});
  EXPECT_EQ(pack_int4({7, -8, -8, -8, -8, -8, -8, -8}, 1), Words{0x0000000f});
  EXPECT_EQ(pack_int4({-8, -8, -8, -8, -8, -8, -8, 7}, 1), Words{0xf0000000});
}

TEST(Int4, EachRowStartsAWordAndUnusedNibblesAreZero) {
  EXPECT_EQ(pack_int4({1, 2, 3, -1, -2, -3}, 2), (Words{0x00000ba9, 0x00000567}));
  EXPECT_EQ(pack_int4({0, 0, 0, 0, 0, 0, 0, 0, 7}, 1), (Words{0x88888888, 0x0000000f}));
  EXPECT_EQ(pack_int4({5}, 1), Words{0x0000000d});
}

TEST(Int4, CodesComeBack) {
  for (const std::uint64_t count : {1, 2, 7, 8, 9, 15, 16, 17, 1023}) {
    Codes codes(3 * count);
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int8_t>(static_cast<int>(i % 16) - 8);
    std::vector<std::byte> bytes(3 * kInt4Scheme.code_bytes(count));
    kInt4Scheme.pack(kernel_table(), codes.data(), 3, count, bytes.data());
    Codes unpacked(codes.size());
    kInt4Scheme.unpack(kernel_table(), bytes.data(), 3, count, unpacked.data());
    EXPECT_EQ(unpacked, codes) << count;
  }
}

TEST(Int4, ZeroPointsArePackedAlongTheRows) {
  // Row r, group g: word [r / 8, g], nibble r mod 8, zero point + 8. Nine rows of two groups need two rows of words.
  Codes zero_points;
  for (int row = 0; row < 9; ++row) {
    zero_points.push_back(static_cast<std::int8_t>(row - 8));  // -8..0
    zero_points.push_back(static_cast<std::int8_t>(7 - row));  // 7..-1
  }
  const auto stored = kInt4Scheme.store_zero_points(zero_points, {9, 2});
  EXPECT_EQ(words_of(stored), (Words{0x76543210, 0x89abcdef, 0x00000008, 0x00000007}));
}

TEST(Bytes, ZeroPointsAreCodes) {
  const Codes zero_points{-128, -1, 0, 127};
  const auto bytes = [](std::initializer_list<int> values) {
    std::vector<std::byte> result;
    for (const int value : values) result.push_back(static_cast<std::byte>(value));
    return result;
  };
  EXPECT_EQ(kInt8Scheme.store_zero_points(zero_points, {4, 1}), bytes({0x80, 0xff, 0x00, 0x7f}));
  EXPECT_EQ(kUint8Scheme.store_zero_points(zero_points, {4, 1}), bytes({0, 127, 128, 255}));
}

TEST(ZeroPoints, ComeBack) {
  for (const Scheme* scheme : all_schemes()) {
    if (scheme->store_zero_points == nullptr) continue;
    for (const ScaleShape shape : {ScaleShape{1, 1}, ScaleShape{7, 3}, ScaleShape{8, 2}, ScaleShape{17, 5}}) {
      Codes zero_points(shape.row_count * shape.groups);
      const int codes = 1 << scheme->bits;
      for (std::size_t i = 0; i < zero_points.size(); ++i) {
        zero_points[i] = static_cast<std::int8_t>(static_cast<int>(i * 5 % codes) + scheme->rule.code_min);
      }
      const auto stored = scheme->store_zero_points(zero_points, shape);
      for (std::uint64_t row = 0; row < shape.row_count; ++row) {
        for (std::uint64_t group = 0; group < shape.groups; ++group) {
          EXPECT_EQ(scheme->load_zero_point(stored, shape, row, group), zero_points[row * shape.groups + group])
              << scheme->name << " row " << row << " group " << group;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mnq::test
