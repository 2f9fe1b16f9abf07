// The checksum of ZIP archives against zlib's, from any place, of any length, and piece by piece.
#include <gtest/gtest.h>
#define ZLIB_CONST
#include <zlib.h>

#include "kernel_cases.h"

namespace mnq::kernels::test {
namespace {

std::vector<std::uint8_t> random_bytes(std::size_t count) {
  std::mt19937 random(7);
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

TEST(Crc32, TheCheckValueOfTheStandard) {
  const std::string digits = "123456789";
  for (const KernelTable* each : available_kernel_tables()) {
    const KernelTable& table = *each;
    EXPECT_EQ(table.crc32(0, reinterpret_cast<const std::uint8_t*>(digits.data()), digits.size()), 0xcbf43926u);
    EXPECT_EQ(table.crc32(0x12345678, nullptr, 0), 0x12345678u);
  }
}

TEST(Crc32, IsZlibs) {
  const auto bytes = random_bytes(5000);
  for (const KernelTable* each : available_kernel_tables()) {
    const KernelTable& table = *each;
    for (std::size_t length = 0; length < 600; ++length) {
      for (const std::size_t start : {std::size_t{0}, std::size_t{1}, std::size_t{13}}) {
        for (const std::uint32_t crc : {0u, 0xffffffffu, 0x89abcdefu}) {
          ASSERT_EQ(table.crc32(crc, bytes.data() + start, length), crc32_z(crc, bytes.data() + start, length))
              << table.isa << ' ' << length;
        }
      }
    }
    const std::uint32_t first = table.crc32(0, bytes.data(), 777);
    EXPECT_EQ(table.crc32(first, bytes.data() + 777, bytes.size() - 777), crc32_z(0, bytes.data(), bytes.size()));
  }
}

}  // namespace
}  // namespace mnq::kernels::test
