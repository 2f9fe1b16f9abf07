// Keys and values: what each key takes and refuses, as text and as JSON.
#include <gtest/gtest.h>

#include <algorithm>

#include "config/config.h"
#include "config/config_table.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct BadValue {
  const char* key;
  const char* value;
  const char* right;  // must stand in the message: what would be right
};

constexpr BadValue kBadValues[] = {
    {"method", "gptq", "one of minmax,search"},
    {"positive_scales", "maybe", "true or false"},
    {"dtype", "int8", "one of qint8,quint8,qint4,float16"},
    {"dtype", "QINT8", "one of"},
    {"dtype", "", "one of"},
    {"bits", "9", "one of 2,3,4,5,6,7,8,16"},
    {"bits", "8.0", "one of"},
    {"bits", "4,8", "one of"},
    {"symmetric", "yes", "true or false"},
    {"symmetric", "1", "true or false"},
    {"symmetric", "True", "true or false"},
    {"per_channel", "", "true or false"},
    {"format", "onnx", "one of safetensors,pytorch,gguf"},
    {"max_shard_size", "0", "between 1 and"},
    {"max_shard_size", "big", "a size such as"},
    {"resume", "1", "true or false"},
    {"activation_bits", "16", "one of 8"},
    {"group_size", "-1", "between 0 and 65536"},
    {"group_size", "65537", "between 0 and 65536"},
    {"group_size", "128.0", "a whole number"},
    {"group_size", "1e2", "a whole number"},
    {"group_size", "many", "a whole number"},
    {"group_size", "99999999999999999999", "a whole number"},
    {"block", "128", "one of 128x128"},
    {"block", "64x64", "one of 128x128"},
    {"channel_axis", "16", "between -16 and 15"},
    {"channel_axis", "-17", "between -16 and 15"},
    {"min_parameters", "-5", "between 0 and"},
    {"nonfinite", "skip", "one of error,copy"},
    {"accuracy_warning", "fail", "one of warn,error,ignore"},
    {"expert_accuracy", "each", "true or false"},
    {"sqnr_warning_db", "loud", "a number"},
    {"sqnr_warning_db", "nan", "between -1000 and 1000"},
    {"sqnr_warning_db", "inf", "between -1000 and 1000"},
    {"sqnr_critical_db", "1001", "between -1000 and 1000"},
    {"threads", "-1", "between 0 and 1024"},
    {"layer_types", "Linear,Lienar", "one of Linear,Conv1d"},
    {"threads", "1025", "between 0 and 1024"},
    {"memory_budget", "1MiB", "between"},
    {"memory_budget", "1gb", "a size such as"},
    {"memory_budget", "-1", "a size such as"},
    {"kind", "Dense", "one of Linear,"},
    {"activations", "static", "one of dynamic,float"},
    {"overwrite", "force", "true or false"},
    {"symmetric_activations", "yes", "true or false"},
    {"float_dtype", "int8", "one of bfloat16,float16,float32"},
};

TEST(Values, WhatAKeyCannotHave) {
  for (const BadValue& bad : kBadValues) {
    Settings settings;
    const Error error = error_of([&] { set_value(settings, bad.key, bad.value); });
    EXPECT_EQ(error.status(), Status::kConfig) << bad.key << "=" << bad.value;
    EXPECT_TRUE(error.message().starts_with(std::string(bad.key) + ":")) << error.message();
    EXPECT_TRUE(contains(error.message(), bad.right)) << error.message();
    EXPECT_FALSE(error.suggestion().empty());
    EXPECT_EQ(error.subject(), bad.key);
    EXPECT_TRUE(settings.all.empty());
  }
}

struct Misspelled {
  const char* key;
  const char* value;
  const char* suggestion;
};

TEST(Values, WhatWasMeantIsNamedWhereItIsNear) {
  constexpr Misspelled kMisspelled[] = {{"dtype", "int8", "did you mean 'qint8'?"},
                                        {"layer_types", "lienar", "did you mean 'Linear'?"},
                                        {"bit", "8", "did you mean 'bits'?"},
                                        {"groupsize", "8", "did you mean 'group_size'?"},
                                        {"scheme", "8", "the list of keys says which there are"},
                                        {"//", "8", "the list of keys says which there are"}};
  for (const Misspelled& item : kMisspelled) {
    Settings settings;
    EXPECT_EQ(error_of([&] { set_value(settings, item.key, item.value); }).suggestion(), item.suggestion) << item.key;
  }
}

TEST(Values, JsonNumbersThatAreWholeMayHaveAPoint) {
  EXPECT_EQ(parse_settings(R"({"bits": 4.0})").all.at("bits"), "4");
  EXPECT_EQ(error_of([] { parse_settings(R"({"bits": 4.5})"); }).status(), Status::kConfig);
}

// Only texts, and lists without a choice, take anything.
TEST(Values, EveryOtherKeyRefusesSomething) {
  for (const ConfigKey& key : all_config_keys()) {
    const bool is_refused = std::ranges::any_of(kBadValues, [&](const BadValue& bad) { return bad.key == key.name; });
    const bool takes_anything = key.type == KeyType::kText || (key.type == KeyType::kList && key.choices.empty());
    EXPECT_EQ(is_refused, !takes_anything) << key.name;
  }
}

TEST(Values, BlanksAroundAreNoPart) {
  Settings settings;
  set_value(settings, "bits", " 4\t");
  set_value(settings, "only", " a.b , c ");
  EXPECT_EQ(settings.all.at("bits"), "4");
  EXPECT_EQ(Config(&settings, nullptr).list("only"), (std::vector<std::string>{"a.b", "c"}));
}

TEST(Values, NearestKey) {
  const std::pair<const char*, const char*> misspelt[] = {
      {"bit", "bits"},
      {"groupsize", "group_size"},
      {"dtpye", "dtype"},
      {"symetric", "symmetric"},
      {"thread", "threads"},
      {"memory", "memory_budget"},
      {"perchannel", "per_channel"},
      {"sqnr_warning", "sqnr_warning_db"},
      {"GROUP_SIZE", "group_size"},
  };
  for (const auto& [wrong, right] : misspelt) {
    Settings settings;
    const Error error = error_of([&] { set_value(settings, wrong, "1"); });
    EXPECT_EQ(error.status(), Status::kConfig);
    EXPECT_EQ(error.suggestion(), "did you mean '" + std::string(right) + "'?") << wrong;
    EXPECT_EQ(error.subject(), wrong);
  }
}

TEST(Values, SomeLayersOnly) {
  Settings settings;
  for (const ConfigKey& key : all_config_keys()) {
    const auto set = [&] { set_value_for_layers(settings, "*", key.name, key.default_value); };
    EXPECT_EQ(error_of(set).status(), key.per_layer ? Status::kOk : Status::kConfig) << key.name;
  }
  EXPECT_EQ(error_of([&] { set_value_for_layers(settings, "", "bits", "4"); }).status(), Status::kConfig);
}

TEST(Json, ValuesOfEachType) {
  const Settings settings = parse_settings(
      R"({"bits": 4, "symmetric": false, "sqnr_warning_db": 12.5, "dtype": "qint4", "only": ["a.*", "b"],
          "group_size": null, "memory_budget": "64MiB", "skip": [], "threads": 2})");
  const Config config(&settings, nullptr);
  EXPECT_EQ(config.find("bits").value, "4");
  EXPECT_EQ(config.find("symmetric").value, "false");
  EXPECT_EQ(config.find("dtype").value, "qint4");
  EXPECT_EQ(config.list("only"), (std::vector<std::string>{"a.*", "b"}));
  EXPECT_TRUE(config.list("skip").empty());
  EXPECT_EQ(config.find("group_size").source, ValueSource::kDefault);
  const JobSettings job = resolve_job(config);
  EXPECT_EQ(job.sqnr_warning_db, 12.5);
  EXPECT_EQ(job.memory_budget, 64u << 20);
}

struct BadJson {
  const char* json;
  const char* says;
};

constexpr BadJson kBadJson[] = {
    {"", "not JSON"},
    {"{", "not JSON"},
    {R"({"bits": 4} x)", "not JSON"},
    {R"({"bits": 4, "bits": 8})", "twice"},
    {R"({"bits": 1e400})", "not JSON"},
    {"{\"dtype\": \"\xff\"}", "not JSON"},
    {R"({"only": ["\ud800"]})", "not JSON"},
    {"[]", "no object"},
    {"4", "no object"},
    {"null", "no object"},
    {R"("bits=4")", "no object"},
    {R"({"bits": {"value": 4}})", "bits"},
    {R"({"bits": [4]})", "bits"},
    {R"({"bits": true})", "bits"},
    {R"({"bits": 4.5})", "bits"},
    {R"({"group_size": 18446744073709551616})", "group_size"},
    {R"({"symmetric": 1})", "symmetric"},
    {R"({"only": [1]})", "only"},
    {R"({"only": ["a,b"]})", "only"},
    {R"({"only": {"a": 1}})", "only"},
    {R"({"sqnr_warning_db": true})", "sqnr_warning_db"},
    {R"({"overwrite": "maybe"})", "overwrite"},
    {R"({"colour": "red"})", "colour"},
    {R"({"layers": {"name": "a", "bits": 4}})", "layers"},
    {R"({"layers": "a"})", "layers"},
    {R"({"layers": null})", "layers"},
    {R"({"layers": ["a"]})", "layers"},
    {R"({"layers": [{"bits": 4}]})", "layers"},
    {R"({"layers": [{"name": 4, "bits": 4}]})", "layers"},
    {R"({"layers": [{"name": "", "bits": 4}]})", "pattern"},
    {R"({"layers": [{"name": "a", "bits": 9}]})", "bits"},
    {R"({"layers": [{"name": "a", "threads": 2}]})", "threads"},
    {R"({"layers": [{"name": "a", "colour": "red"}]})", "colour"},
};

TEST(Json, WhatItCannotBe) {
  for (const BadJson& bad : kBadJson) {
    const Error error = error_of([&] { parse_settings(bad.json); });
    EXPECT_EQ(error.status(), Status::kConfig) << bad.json;
    EXPECT_TRUE(contains(error.message(), bad.says)) << error.message();
    EXPECT_FALSE(error.suggestion().empty()) << error.message();
  }
}

TEST(Json, NestedWithoutEnd) {
  EXPECT_EQ(error_of([] { parse_settings(std::string(1'000'000, '[')); }).status(), Status::kConfig);
  const std::string deep = "{\"only\":" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_EQ(error_of([&] { parse_settings(deep); }).status(), Status::kConfig);
}

TEST(Json, ComesBackAsItWas) {
  const Settings settings = parse_settings(
      R"({"layers": [{"name": "a*", "bits": 4, "group_size": 32}, {"name": "\"ü\"", "dtype": "float16"}],
          "skip": ["x", "y.*"], "sqnr_warning_db": 12.5, "overwrite": true})");
  const Settings again = parse_settings(settings_json(settings));
  EXPECT_EQ(again.all, settings.all);
  ASSERT_EQ(again.for_layers.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(again.for_layers[i].glob, settings.for_layers[i].glob);
    EXPECT_EQ(again.for_layers[i].key, settings.for_layers[i].key);
    EXPECT_EQ(again.for_layers[i].value, settings.for_layers[i].value);
  }
  EXPECT_EQ(settings_json(parse_settings("{}")), "{}");
}

}  // namespace
}  // namespace mnq::test
