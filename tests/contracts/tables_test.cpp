// What holds for every row of the tables of settings, layer kinds and formats.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/text/text.h"
#include "config/config.h"
#include "config/config_table.h"
#include "formats/format_table.h"
#include "plan/layer_kinds.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

template <class Rows>
void expect_distinct_names(const Rows& rows) {
  std::set<std::string_view> names;
  for (const auto& row : rows) {
    const std::string_view name = [&] {
      if constexpr (requires { row->name; })
        return row->name;
      else
        return row.name;
    }();
    EXPECT_FALSE(name.empty());
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

TEST(EveryKey, HasADefaultThatItTakesAndHelp) {
  expect_distinct_names(all_config_keys());
  for (const ConfigKey& key : all_config_keys()) {
    EXPECT_EQ(&find_config_key(key.name), &key);
    EXPECT_GT(key.help.size(), 10u) << key.name;
    Settings settings;
    set_value(settings, key.name, key.default_value);
    EXPECT_EQ(settings.all.at(std::string(key.name)), key.default_value);
    EXPECT_EQ(error_of([&] { resolve_layer(Config(&settings, nullptr), {}); }).status(), Status::kOk) << key.name;
    EXPECT_EQ(error_of([&] { resolve_job(Config(&settings, nullptr)); }).status(), Status::kOk) << key.name;
    EXPECT_TRUE(key.type == KeyType::kList || key.choices.empty() == (key.type != KeyType::kChoice)) << key.name;
  }
}

TEST(EveryKey, TakesTheEndsOfItsRangeAndNothingBeyond) {
  for (const ConfigKey& key : all_config_keys()) {
    if (key.type == KeyType::kChoice || key.type == KeyType::kBool || key.type == KeyType::kList ||
        key.type == KeyType::kText) {
      continue;
    }
    ASSERT_LT(key.minimum, key.maximum) << key.name;
    const auto status_of = [&](double value) {
      return error_of([&] { normalize_value(key, std::to_string(static_cast<long long>(value))); }).status();
    };
    EXPECT_EQ(status_of(key.minimum), Status::kOk) << key.name;
    EXPECT_EQ(status_of(key.maximum), Status::kOk) << key.name;
    EXPECT_EQ(status_of(key.minimum - 1), Status::kConfig) << key.name;
    EXPECT_EQ(status_of(key.maximum + 1e3), Status::kConfig) << key.name;
  }
}

TEST(EveryKey, TakesEachOfItsChoices) {
  for (const ConfigKey& key : all_config_keys()) {
    for (const std::string& choice : split_list(key.choices)) EXPECT_EQ(normalize_value(key, choice), choice);
  }
}

TEST(EveryScheme, CanBeChosenByName) {
  const auto choices = split_list(find_config_key("dtype").choices);
  const auto may_be_chosen = [](const Scheme* scheme) { return scheme->may_be_chosen; };
  EXPECT_EQ(choices.size(), static_cast<std::size_t>(std::ranges::count_if(all_schemes(), may_be_chosen)));
  const auto bits = split_list(find_config_key("bits").choices);
  for (const Scheme* scheme : all_schemes()) {
    if (!scheme->may_be_chosen) continue;
    EXPECT_NE(std::ranges::find(choices, scheme->name), choices.end()) << scheme->name;
    EXPECT_NE(std::ranges::find(bits, std::to_string(scheme->bits)), bits.end()) << scheme->name;
    Settings settings;
    set_value(settings, "dtype", scheme->name);
    EXPECT_EQ(resolve_layer(Config(&settings, nullptr), {}).scheme, scheme);
  }
}

TEST(EveryFormat, CanBeChosenByName) {
  const auto choices = split_list(find_config_key("format").choices);
  for (const Format* row : all_formats()) {
    const Format& format = *row;
    const bool is_written = format.open_sink != nullptr;
    EXPECT_EQ(is_written, std::ranges::find(choices, format.name) != choices.end()) << format.name;
  }
}

TEST(EveryKind, CanBeChosenByName) {
  expect_distinct_names(all_layer_kinds());
  const auto choices = split_list(find_config_key("layer_types").choices);
  EXPECT_EQ(choices.size(), all_layer_kinds().size());
  for (const LayerKind& kind : all_layer_kinds()) {
    EXPECT_EQ(find_layer_kind(kind.name), &kind);
    EXPECT_NE(kind_for_rank(kind.rank), nullptr);
    EXPECT_GE(kind.channel_axis, 0);
    EXPECT_LT(kind.channel_axis, static_cast<std::int64_t>(kind.rank));
    EXPECT_NE(std::ranges::find(choices, kind.name), choices.end()) << kind.name << " is no choice of layer_types";
  }
}

TEST(EveryFormat, IsReadAndWrittenOrSaysWhatToDo) {
  expect_distinct_names(all_formats());
  std::set<std::string> extensions;
  for (const Format* row : all_formats()) {
    const Format& format = *row;
    EXPECT_EQ(format.recognises == nullptr, format.is_folder) << format.name;
    const bool is_whole =
        format.is_folder || (format.open_source != nullptr && format.open_sink != nullptr && !format.is_module);
    EXPECT_EQ(is_whole, format.advice.empty()) << format.name;
    for (const std::string& extension : split_list(format.extensions)) {
      EXPECT_TRUE(extension.starts_with('.')) << extension;
      // A module and a state dict share theirs: which one is written follows from the source.
      EXPECT_TRUE(format.is_module || extensions.insert(extension).second) << extension;
    }
  }
}

TEST(EveryFormat, RecognisesNothingInNothing) {
  const std::vector<std::byte> zeros(16);
  for (const Format* row : all_formats()) {
    const Format& format = *row;
    if (format.is_folder) continue;
    for (std::size_t size = 0; size <= zeros.size(); ++size) {
      const auto bytes = std::span(zeros).first(size);
      EXPECT_FALSE(format.recognises(bytes, memory_bytes(bytes))) << format.name << " " << size;
    }
  }
}

}  // namespace
}  // namespace mnq::test
