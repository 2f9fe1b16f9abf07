// Shapes, dtypes and the bytes they make: nothing overflows, and the numbers are those of mono_quant.h.
#include "base/shape.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <set>
#include <string>

#include "base/quantized_weight.h"
#include "base/tensor.h"

namespace mnq::test {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

TEST(Shape, Counts) {
  EXPECT_EQ(checked_element_count({}), 1u);
  EXPECT_EQ(checked_element_count({2, 3, 4}), 24u);
  EXPECT_EQ(checked_element_count({0, 5}), 0u);
  EXPECT_EQ(checked_element_count({kLargest / 16}), static_cast<std::uint64_t>(kLargest / 16));
  EXPECT_EQ(checked_element_count({1LL << 31, 1LL << 27}), 1ull << 58);
}

TEST(Shape, NoCount) {
  EXPECT_FALSE(checked_element_count({-1}));
  EXPECT_FALSE(checked_element_count({0, -1}));
  EXPECT_FALSE(checked_element_count({kLargest / 16 + 1}));  // complex numbers of that many have no 63 bits of bytes
  EXPECT_FALSE(checked_element_count({0, kLargest / 16 + 1}));
  EXPECT_FALSE(checked_element_count({kLargest, 2}));
  EXPECT_FALSE(checked_element_count({1LL << 32, 1LL << 32}));
  EXPECT_FALSE(checked_element_count({1LL << 32, 1LL << 31}));
  // What overflows before the 0 overflows after it.
  EXPECT_FALSE(checked_element_count({1LL << 32, 1LL << 32, 0}));
  EXPECT_FALSE(checked_element_count({0, 1LL << 32, 1LL << 32}));
}

TEST(Shape, Bytes) {
  EXPECT_EQ(checked_size_bytes(DType::kF32, {2, 3}), 24u);
  EXPECT_EQ(checked_size_bytes(DType::kC64, {3}), 24u);
  EXPECT_EQ(checked_size_bytes(DType::kF4, {2}), 1u);
  EXPECT_EQ(checked_size_bytes(DType::kF6E2M3, {4}), 3u);
  EXPECT_EQ(checked_size_bytes(DType::kBool, {}), 1u);
  EXPECT_FALSE(checked_size_bytes(DType::kF4, {3}));
  EXPECT_FALSE(checked_size_bytes(DType::kF6E3M2, {2}));
  EXPECT_FALSE(checked_size_bytes(DType::kF64, {1LL << 62}));
  EXPECT_FALSE(checked_size_bytes(DType::kU8, {1LL << 62}));  // its bits overflow
}

TEST(Shape, Text) {
  EXPECT_EQ(shape_text({}), "[]");
  EXPECT_EQ(shape_text({2, 0, 4}), "[2, 0, 4]");
}

TEST(Shape, Rows) {
  const RowView linear = row_view({4, 6}, 0);
  EXPECT_EQ(linear.row_count, 4u);
  EXPECT_EQ(linear.row_length, 6u);
  EXPECT_EQ(linear.channel_count, 4u);
  const RowView transposed = row_view({4, 6, 5, 3}, 1);
  EXPECT_EQ(transposed.row_count, 24u);
  EXPECT_EQ(transposed.row_length, 15u);
  EXPECT_EQ(transposed.channel_count, 6u);
  const RowView last = row_view({4, 6}, 1);
  EXPECT_EQ(last.row_count, 24u);
  EXPECT_EQ(last.row_length, 1u);
  EXPECT_EQ(last.channel_count, 6u);
}

struct Row {
  std::int32_t number;
  const char* name;
  std::size_t bits;
};
constexpr Row kDTypes[] = {
    {1, "BOOL", 8},         {2, "U8", 8},           {3, "I8", 8},       {4, "U16", 16},     {5, "I16", 16},
    {6, "U32", 32},         {7, "I32", 32},         {8, "U64", 64},     {9, "I64", 64},     {10, "F16", 16},
    {11, "BF16", 16},       {12, "F32", 32},        {13, "F64", 64},    {14, "C64", 64},    {15, "F8_E4M3", 8},
    {16, "F8_E5M2", 8},     {17, "F8_E8M0", 8},     {18, "F6_E2M3", 6}, {19, "F6_E3M2", 6}, {20, "F4", 4},
    {21, "F8_E4M3FNUZ", 8}, {22, "F8_E5M2FNUZ", 8},
};

TEST(DTypes, NumbersNamesAndBits) {
  for (const Row& row : kDTypes) {
    const auto dtype = find_dtype(row.number);
    ASSERT_TRUE(dtype) << row.name;
    EXPECT_EQ(static_cast<std::int32_t>(*dtype), row.number);
    EXPECT_EQ(dtype_name(*dtype), row.name);
    EXPECT_EQ(dtype_bits(*dtype), row.bits) << row.name;
    EXPECT_EQ(find_dtype(std::string_view(row.name)), dtype);
  }
}

TEST(DTypes, WhatIsNone) {
  for (const std::int32_t number : {0, -1, 23, INT32_MAX, INT32_MIN}) EXPECT_FALSE(find_dtype(number)) << number;
  for (const std::string_view name : {"", "f32", "F32 ", "FLOAT"}) EXPECT_FALSE(find_dtype(name)) << name;
}

TEST(DTypes, Weights) {
  const std::set<std::string> weights{"F16", "BF16", "F32", "F64"};
  for (const Row& row : kDTypes) {
    EXPECT_EQ(is_weight_dtype(*find_dtype(row.number)), weights.contains(row.name)) << row.name;
  }
}

TEST(Memory, IsAlignedForKernels) {
  EXPECT_EQ(allocate_bytes(0), nullptr);
  for (const std::uint64_t size : {1, 63, 64, 1000}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(allocate_bytes(size).get()) % 64, 0u);
  }
}

}  // namespace
}  // namespace mnq::test
