// Text to values and back, the same in every locale.
#include "base/text/text.h"

#include <gtest/gtest.h>

#include <clocale>

#include "base/text/format.h"

namespace mnq::test {
namespace {

using Items = std::vector<std::string>;

TEST(Text, WholeNumbers) {
  EXPECT_EQ(parse_int("0"), 0);
  EXPECT_EQ(parse_int("-7"), -7);
  EXPECT_EQ(parse_int("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(parse_int("-9223372036854775808"), INT64_MIN);
  for (const char* text : {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "9223372036854775808", "a"}) {
    EXPECT_FALSE(parse_int(text)) << text;
  }
}

TEST(Text, Numbers) {
  EXPECT_EQ(parse_number("0.5"), 0.5);
  EXPECT_EQ(parse_number("-1e-3"), -0.001);
  EXPECT_EQ(parse_number("20"), 20.0);
  for (const char* text : {"", ".", "+1", " 1", "1 ", "1,5", "1e400", "0x10", "1e", "--1"}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(Text, Sizes) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("1048576"), 1048576u);
  EXPECT_EQ(parse_size("64KiB"), 65536u);
  EXPECT_EQ(parse_size("256MiB"), 268435456u);
  EXPECT_EQ(parse_size("1.5GiB"), 1610612736u);
  EXPECT_EQ(parse_size("1KB"), 1000u);
  EXPECT_EQ(parse_size("2.5kB"), 2500u);
  EXPECT_EQ(parse_size("5GB"), 5'000'000'000u);
  EXPECT_EQ(parse_size("1MB"), 1'000'000u);
  for (const char* text : {"", "KiB", "KB", "1kb", "1kib", "64 KiB", "-1", "-1MiB", "nan", "inf", "infMiB", "1e300",
                           "1TiB", "10000000000GiB", "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Text, SizesForReaders) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1000), "1.0 kB");
  EXPECT_EQ(size_text(999'949), "999.9 kB");
  EXPECT_EQ(size_text(999'950), "1.0 MB");
  EXPECT_EQ(size_text(90'868'376), "90.9 MB");
  EXPECT_EQ(size_text(UINT64_MAX), "18446744.1 TB");
}

TEST(Text, Lists) {
  EXPECT_EQ(split_list(""), Items{});
  EXPECT_EQ(split_list("a"), Items{"a"});
  EXPECT_EQ(split_list("a,b"), (Items{"a", "b"}));
  EXPECT_EQ(split_list(" a\t, b c ,,"), (Items{"a", "b c"}));
  EXPECT_EQ(split_list(", ,"), Items{});
}

// Numbers with a comma: de_DE where it is installed.
TEST(Text, AnyLocale) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  const bool is_there = std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr || std::setlocale(LC_ALL, "de_DE") != nullptr;
  if (!is_there) GTEST_SKIP() << "the locale de_DE is not installed";
  EXPECT_EQ(parse_number("0.5"), 0.5);
  EXPECT_FALSE(parse_number("0,5"));
  EXPECT_EQ(parse_size("1.5KiB"), 1536u);
  EXPECT_EQ(formatted("{} {:.1f}", 0.5, 1234.5), "0.5 1234.5");
  EXPECT_EQ(size_text(1500), "1.5 kB");
  std::setlocale(LC_ALL, before.c_str());
}

}  // namespace
}  // namespace mnq::test
