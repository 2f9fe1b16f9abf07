// The hash of a content is the same wherever it is cut, and another where it is two contents.
#include "base/hash.h"

#include <gtest/gtest.h>

namespace mnq::test {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string hash_of(std::string_view text) {
  Hash hash;
  hash.add(bytes_of(text));
  return hash.text();
}

TEST(Hash, OfPiecesIsThatOfTheWhole) {
  const std::string text = "what decides the bytes of a job, in more than two times thirty-two of them";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    Hash hash;
    Hash::Content content(hash);
    for (std::size_t at = 0; at < text.size(); at += size)
      content.add(bytes_of(text).subspan(at, std::min(size, text.size() - at)));
    content.end();
    EXPECT_EQ(hash.text(), hash_of(text)) << size;
  }
}

TEST(Hash, OfTwoContentsIsAnother) {
  Hash two;
  two.add(bytes_of("ab"));
  two.add(bytes_of("c"));
  EXPECT_NE(two.text(), hash_of("abc"));
  EXPECT_NE(hash_of("a"), hash_of(std::string_view("a\0", 2)));
  EXPECT_NE(hash_of(""), Hash().text());
}

}  // namespace
}  // namespace mnq::test
