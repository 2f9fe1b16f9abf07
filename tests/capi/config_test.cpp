// Settings: who wins, and who is said to have won.
#include <gtest/gtest.h>

#include <clocale>

#include "fixture.h"

namespace mnq::test {
namespace {

void expect_resolved(const Config& config, const std::string& key, const std::string& layer, const mono_quant::Run* run,
                     const std::string& value, const std::string& source) {
  const mono_quant::Resolved resolved = mono_quant::resolve(config, key, layer, run);
  EXPECT_EQ(resolved.value, value) << key << " of " << layer;
  EXPECT_EQ(resolved.source, source) << key << " of " << layer;
}

TEST(Config, EverySource) {
  Config config;
  mono_quant::Run run;
  expect_resolved(config, "group_size", "fc", &run, "0", "default");
  config.set("group_size", "16");
  expect_resolved(config, "group_size", "fc", &run, "16", "config");
  run.set("group_size", "32");
  expect_resolved(config, "group_size", "fc", &run, "32", "call");
  config.set_for_layers("f*", "group_size", "64");
  expect_resolved(config, "group_size", "fc", &run, "64", "config layers");
  run.set_for_layers("f*", "group_size", "128");
  expect_resolved(config, "group_size", "fc", &run, "128", "call layers");
  expect_resolved(config, "group_size", "other", &run, "32", "call");
  expect_resolved(config, "group_size", "", &run, "32", "call");
  expect_resolved(config, "group_size", "other", nullptr, "16", "config");
}

TEST(Config, TheLastPatternThatMatchesWins) {
  Config config;
  config.set_for_layers("encoder.*", "bits", "4").set_for_layers("*.query", "bits", "8");
  config.set_for_layers("decoder.*", "bits", "4");
  expect_resolved(config, "bits", "encoder.0.query", nullptr, "8", "config layers");
  expect_resolved(config, "bits", "encoder.0.key", nullptr, "4", "config layers");
  expect_resolved(config, "bits", "encoder.0.key.weight", nullptr, "4", "config layers");
}

TEST(Config, KeysThatFollowFromOthersAreResolved) {
  Config config;
  config.set("dtype", "quint8");
  expect_resolved(config, "bits", "", nullptr, "8", "default");
  expect_resolved(config, "symmetric", "", nullptr, "false", "default");
  config = Config(R"({"bits": 4})");
  expect_resolved(config, "dtype", "", nullptr, "qint4", "config");
  expect_resolved(config, "group_size", "", nullptr, "128", "default");
}

TEST(Config, AutoTakesASettingBack) {
  Config config(R"({"bits": 4})");
  config.set("bits", "auto");
  expect_resolved(config, "bits", "", nullptr, "8", "default");
}

TEST(Config, JsonComesBackAsItWas) {
  Config config(
      R"({"bits": 4, "skip": ["head", "*.0"], "layers": [{"name": "a*", "group_size": 32, "symmetric": false}]})");
  const Config again(config.json());
  EXPECT_EQ(again.json(), config.json());
  expect_resolved(again, "skip", "", nullptr, "head,*.0", "config");
  expect_resolved(again, "group_size", "a1", nullptr, "32", "config layers");
  expect_resolved(again, "symmetric", "a1", nullptr, "false", "config layers");
}

TEST(Config, CombinationsThatCannotBe) {
  Config config;
  config.set("bits", "4").set("dtype", "quint8");
  const Error error = error_of([&] { config.validate(); });
  EXPECT_EQ(error.code(), MNQ_E_CONFIG);
  EXPECT_NE(std::string(error.what()).find("quint8"), std::string::npos) << error.what();
  EXPECT_FALSE(error.suggestion().empty());
  EXPECT_EQ(error_of([&] { mono_quant::quantize(one_weight({1}, {1}), config); }).code(), MNQ_E_CONFIG);
  config.set("dtype", "qint8");
  config.validate();
}

TEST(Config, AnUnknownKeySaysWhichIsMeant) {
  Config config;
  const Error error = error_of([&] { config.set("group_sise", "32"); });
  EXPECT_EQ(error.code(), MNQ_E_CONFIG);
  EXPECT_EQ(error.subject(), "group_sise");
  EXPECT_EQ(error.suggestion(), "did you mean 'group_size'?");
}

TEST(Config, AFailedSetChangesNothing) {
  Config config(R"({"bits": 4})");
  EXPECT_EQ(error_of([&] { config.set("bits", "9"); }).code(), MNQ_E_CONFIG);
  EXPECT_EQ(error_of([&] { config.set_for_layers("", "bits", "8"); }).code(), MNQ_E_CONFIG);
  EXPECT_EQ(config.json(), R"({"bits":"4"})");
}

TEST(Config, EveryKeyThatIsListedCanBeResolved) {
  const std::string keys = Config::keys_json();
  std::size_t count = 0;
  const std::string start = R"({"key":")";
  for (std::size_t at = keys.find(start); at != std::string::npos; at = keys.find(start, at + 1), ++count) {
    const std::size_t begin = at + start.size();
    mono_quant::resolve(Config(), keys.substr(begin, keys.find('"', begin) - begin));
  }
  EXPECT_GE(count, 17u);
}

// A comma for the point where this machine has that locale; else the C locale.
TEST(Config, NumbersAreTheSameInEveryLocale) {
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  Config config;
  config.set("sqnr_warning_db", "12.5").set("memory_budget", "64.5MiB");
  expect_resolved(config, "sqnr_warning_db", "", nullptr, "12.5", "config");
  EXPECT_EQ(error_of([&] { config.set("sqnr_warning_db", "12,5"); }).code(), MNQ_E_CONFIG);
  std::setlocale(LC_ALL, "C");
}

// What a pattern matches does not hang on it either.
TEST(Config, PatternsAreTheSameInEveryLocale) {
  Config config;
  config.set_for_layers("caf?", "group_size", "32");
  expect_resolved(config, "group_size", "caf\xc3\xa9", nullptr, "32", "config layers");
  ASSERT_NE(std::setlocale(LC_ALL, "C.UTF-8"), nullptr);
  expect_resolved(config, "group_size", "caf\xc3\xa9", nullptr, "32", "config layers");
  std::setlocale(LC_ALL, "C");
}

}  // namespace
}  // namespace mnq::test
