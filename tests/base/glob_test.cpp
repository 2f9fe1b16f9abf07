#include "base/text/glob.h"

#include <gtest/gtest.h>

#include <string>

#include "base/text/utf8.h"

namespace mnq::test {
namespace {

TEST(Glob, Stars) {
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("*", "a.b.c"));
  EXPECT_TRUE(matches_glob("encoder.*.weight", "encoder.0.query.weight"));
  EXPECT_FALSE(matches_glob("encoder.*.weight", "encoder.weight"));
  EXPECT_TRUE(matches_glob("*a*b", "xaxbaxb"));
  EXPECT_FALSE(matches_glob("*a*b", "xaxbax"));
  EXPECT_TRUE(matches_glob("a**", "a"));
  EXPECT_FALSE(matches_glob("", "a"));
  EXPECT_TRUE(matches_glob("", ""));
}

TEST(Glob, OneCharacter) {
  EXPECT_TRUE(matches_glob("layer?", "layer7"));
  EXPECT_FALSE(matches_glob("layer?", "layer"));
  EXPECT_FALSE(matches_glob("layer?", "layer12"));
  EXPECT_TRUE(matches_glob("caf?", "caf\xc3\xa9"));
  EXPECT_FALSE(matches_glob("caf??", "caf\xc3\xa9"));
}

TEST(Glob, Sets) {
  EXPECT_TRUE(matches_glob("layer[0-3]", "layer2"));
  EXPECT_FALSE(matches_glob("layer[0-3]", "layer4"));
  EXPECT_TRUE(matches_glob("[abc]", "b"));
  EXPECT_FALSE(matches_glob("[!abc]", "b"));
  EXPECT_TRUE(matches_glob("[^abc]", "d"));
  EXPECT_TRUE(matches_glob("[]]", "]"));
  EXPECT_TRUE(matches_glob("[a-]", "-"));
  EXPECT_TRUE(matches_glob("*[0-9]", "a1b2"));
  EXPECT_TRUE(matches_glob("caf[\xc3\xa8-\xc3\xaa]", "caf\xc3\xa9"));
}

TEST(Glob, WhatHasNoMeaningIsItself) {
  EXPECT_TRUE(matches_glob("a[b", "a[b"));
  EXPECT_FALSE(matches_glob("a[b", "ab"));
  EXPECT_TRUE(matches_glob("a\\*", "a*"));
  EXPECT_FALSE(matches_glob("a\\*", "ab"));
  EXPECT_TRUE(matches_glob("a\\", "a\\"));
  EXPECT_FALSE(matches_glob("A", "a"));
}

TEST(Glob, ManyStarsTakeNoTime) {
  std::string glob;
  for (int i = 0; i < 100; ++i) glob += "*a";
  EXPECT_FALSE(matches_glob(glob + "b", std::string(10000, 'a')));
}

TEST(Utf8, Valid) {
  for (const char* text : {"", "abc", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
}

TEST(Utf8, Invalid) {
  for (const char* text : {"\x80", "a\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                           "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xc3\x28"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

}  // namespace
}  // namespace mnq::test
