// What is said of a file that is refused: short, and UTF-8 whatever the file holds.
#include <gtest/gtest.h>

#include <cstring>

#include "base/text/utf8.h"
#include "formats/open_source.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

Error open_error(const std::string& bytes) {
  return error_of([&] { open_memory(std::as_bytes(std::span(bytes))); });
}

std::string repeated(const std::string& text, int count) {
  std::string all;
  while (count-- > 0) all += text;
  return all;
}

// Messages go through the C ABI, which promises UTF-8, and onto terminals.
TEST(Messages, AreShortUtf8WhateverTheFileHolds) {
  for (const std::string& header :
       {std::string("{\"\xff\xfe\": 1}"), "{\"" + std::string(5'000'000, 'a'),
        "{\"a\": {\"dtype\": \"" + std::string(5'000'000, 'F') + "\"}}", "{\"" + std::string(5'000'000, 'n') + "\": 1}",
        "{\"n" + repeated("ü", 300) + "\": 1}", "{\"a\": 1" + std::string(5'000'000, '0') + "}"}) {
    const std::uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    const Error error = open_error(bytes + header);
    EXPECT_EQ(error.status(), Status::kFormat);
    EXPECT_TRUE(is_utf8(error.message())) << error.message().substr(0, 200);
    EXPECT_TRUE(is_utf8(error.subject()));
    EXPECT_LT(error.message().size(), 1000u);
  }
}

}  // namespace
}  // namespace mnq::test
