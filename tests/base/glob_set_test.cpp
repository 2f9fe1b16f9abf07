// Many patterns at once find what trying each of them finds.
#include "base/text/glob_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/text/glob.h"

namespace mnq::test {
namespace {

void expect_same_as_trying_each(const std::vector<std::string>& globs, const std::vector<std::string>& texts) {
  GlobSet set;
  for (std::size_t i = 0; i < globs.size(); ++i) set.insert(globs[i], i);
  for (const std::string& text : texts) {
    std::optional<std::size_t> first, last;
    std::set<std::string> matching, visited;
    for (std::size_t i = 0; i < globs.size(); ++i) {
      if (!matches_glob(globs[i], text)) continue;
      if (!first) first = i;
      last = i;
      matching.insert(globs[i]);
    }
    EXPECT_EQ(set.first_match(text), first) << text;
    EXPECT_EQ(set.last_match(text), last) << text;
    set.for_each_match(text, [&](std::size_t rank) { visited.insert(globs[rank]); });
    EXPECT_EQ(visited, matching) << text;
  }
}

TEST(GlobSet, FindsWhatEachPatternMatches) {
  const std::vector<std::string> globs{"",     "*",     "a.b", "a.*",  "*.b",    "*.1.*", "a[.]b", "a[!x]b",  "[a",
                                       "a\\*", "a\\.b", "?.?", "**",   "*a*b*",  "a.b",   "*",     "x[a-z]y", "é*",
                                       "*é",   "*.é.*", "a]",  "[]]*", "a*[b]c", "a.*.b", "[!a]*z"};
  const std::vector<std::string> texts{"",    "a",   "a.b", "axb", "a.1.b", "[a",   "a*", "é",  "aé",     "x.é.y",
                                       "xéy", "xby", "a]",  "]q",  "abc",   "a*bc", "bz", "az", "\xff.b", "a.b.b"};
  expect_same_as_trying_each(globs, texts);
}

TEST(GlobSet, FindsWhatEachOfManyRandomPatternsMatches) {
  std::mt19937 random(7);
  const auto word = [&](std::string_view letters, std::size_t most) {
    std::string text;
    for (std::size_t i = random() % (most + 1); i > 0; --i) text += letters[random() % letters.size()];
    return text;
  };
  std::vector<std::string> globs, texts;
  for (int i = 0; i < 400; ++i) globs.push_back(word("ab.*?[]!\\", 7));
  for (int i = 0; i < 400; ++i) texts.push_back(word("ab.[]", 7));
  texts.insert(texts.end(), globs.begin(), globs.begin() + 50);
  expect_same_as_trying_each(globs, texts);
}

TEST(GlobSet, FindsAPatternByItsLetters) {
  GlobSet set;
  set.insert("a*", 0);
  set.insert("b", 1);
  set.insert("a*", 2);
  EXPECT_EQ(set.find("a*"), 2U);
  EXPECT_EQ(set.find("b"), 1U);
  EXPECT_EQ(set.find("ab"), std::nullopt);
  EXPECT_EQ(GlobSet().last_match("a"), std::nullopt);
}

}  // namespace
}  // namespace mnq::test
