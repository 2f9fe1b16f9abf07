// Who wins, and what the settings come to for one layer: legal combinations, and those that cannot be.
#include <gtest/gtest.h>

#include "config/config.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

const LayerName kQuery{"encoder.0.query", "encoder.0.query.weight"};

LayerSettings resolve(const std::string& config_json, const std::string& call_json = "{}",
                      const LayerName& layer = kQuery) {
  const Settings config = parse_settings(config_json);
  const Settings call = parse_settings(call_json);
  return resolve_layer(Config(&config, &call), layer);
}

struct Winner {
  const char* config;
  const char* call;
  const char* value;  // of group_size
  ValueSource source;
};

constexpr Winner kWinners[] = {
    {"{}", "{}", "auto", ValueSource::kDefault},
    {R"({"group_size": 1})", "{}", "1", ValueSource::kConfig},
    {R"({"group_size": 1})", R"({"group_size": 2})", "2", ValueSource::kCall},
    {R"({"group_size": 1})", R"({"group_size": "auto"})", "1", ValueSource::kConfig},
    {R"({"layers": [{"name": "*.query", "group_size": 3}]})", R"({"group_size": 2})", "3", ValueSource::kConfigLayers},
    {R"({"layers": [{"name": "*.key", "group_size": 3}]})", R"({"group_size": 2})", "2", ValueSource::kCall},
    {R"({"layers": [{"name": "*.query", "group_size": 3}]})", R"({"layers": [{"name": "encoder*", "group_size": 4}]})",
     "4", ValueSource::kCallLayers},
    {R"({"layers": [{"name": "*.query", "group_size": 3}]})", R"({"layers": [{"name": "*", "group_size": "auto"}]})",
     "3", ValueSource::kConfigLayers},
    // The last that matches, in the order of the list.
    {R"({"layers": [{"name": "*", "group_size": 5}, {"name": "*.query", "group_size": 6}]})", "{}", "6",
     ValueSource::kConfigLayers},
    {R"({"layers": [{"name": "*.query", "group_size": 6}, {"name": "*", "group_size": 5}]})", "{}", "5",
     ValueSource::kConfigLayers},
    {R"({"layers": [{"name": "*", "group_size": 5}, {"name": "*.key", "group_size": 6}]})", "{}", "5",
     ValueSource::kConfigLayers},
    {R"({"group_size": 1, "layers": [{"name": "*", "group_size": 5}, {"name": "*.query", "group_size": "auto"}]})",
     "{}", "1", ValueSource::kConfig},
    // The weight's name matches as well as the layer's.
    {R"({"layers": [{"name": "*.query.weight", "group_size": 7}]})", "{}", "7", ValueSource::kConfigLayers},
};

TEST(Priority, WhoWins) {
  for (const Winner& row : kWinners) {
    const Settings config = parse_settings(row.config);
    const Settings call = parse_settings(row.call);
    const FoundValue found = Config(&config, &call).find("group_size", kQuery);
    EXPECT_EQ(found.value, row.value) << row.config << " " << row.call;
    EXPECT_EQ(found.source, row.source) << row.config << " " << row.call;
  }
}

TEST(Priority, NobodySetAnything) {
  const FoundValue found = Config(nullptr, nullptr).find("dtype", kQuery);
  EXPECT_EQ(found.value, "qint8");
  EXPECT_EQ(found.source, ValueSource::kDefault);
}

TEST(Priority, SettingsForLayersDoNotTouchTheJob) {
  const Settings config = parse_settings(R"({"layers": [{"name": "*", "bits": 4}]})");
  EXPECT_EQ(Config(&config, nullptr).find("bits").source, ValueSource::kDefault);
}

struct Legal {
  const char* config;
  const char* scheme;
  Granularity granularity;
  std::uint64_t group_size;
  bool symmetric;
};

constexpr auto kTensor = Granularity::kTensor;
constexpr auto kChannel = Granularity::kChannel;
constexpr auto kGroup = Granularity::kGroup;

constexpr Legal kLegal[] = {
    {"{}", "qint8", kChannel, 0, true},
    {R"({"bits": 8})", "qint8", kChannel, 0, true},
    {R"({"bits": 4})", "qint4", kGroup, 128, true},
    {R"({"bits": 16})", "float16", kTensor, 0, true},
    {R"({"dtype": "qint8", "bits": 4})", "qint4", kGroup, 128, true},
    {R"({"dtype": "qint4", "bits": 4})", "qint4", kGroup, 128, true},
    {R"({"dtype": "qint4"})", "qint4", kGroup, 128, true},
    {R"({"dtype": "qint4", "group_size": 0})", "qint4", kChannel, 0, true},
    {R"({"dtype": "mxfp4"})", "mxfp4", kGroup, 32, true},
    {R"({"group_size": 64, "layers": [{"name": "*", "dtype": "mxfp4"}]})", "mxfp4", kGroup, 32, true},
    {R"({"dtype": "float8_e4m3", "block": "128x128"})", "float8_e4m3", kGroup, 128, true},
    {R"({"dtype": "float8_e4m3", "block": "128x128", "layers": [{"name": "*", "dtype": "qint8"}]})", "qint8", kChannel,
     0, true},
    {R"({"dtype": "float8_e4m3", "block": "128x128", "layers": [{"name": "*", "group_size": 16}]})", "float8_e4m3",
     kGroup, 16, true},
    {R"({"dtype": "qint4", "group_size": 33, "symmetric": false})", "qint4", kGroup, 33, false},
    {R"({"dtype": "quint8"})", "quint8", kChannel, 0, false},
    {R"({"dtype": "quint8", "bits": 8, "symmetric": true})", "quint8", kChannel, 0, true},
    {R"({"dtype": "float16", "bits": 16})", "float16", kTensor, 0, true},
    {R"({"dtype": "float16", "per_channel": true})", "float16", kTensor, 0, true},
    {R"({"per_channel": false})", "qint8", kTensor, 0, true},
    {R"({"per_channel": false, "group_size": 0})", "qint8", kTensor, 0, true},
    {R"({"per_channel": true, "group_size": 64})", "qint8", kGroup, 64, true},
    // A setting for a layer overrules the general ones that would contradict it.
    {R"({"bits": 4, "layers": [{"name": "*", "dtype": "float16"}]})", "float16", kTensor, 0, true},
    {R"({"bits": 4, "group_size": 64, "layers": [{"name": "*", "dtype": "float16"}]})", "float16", kTensor, 0, true},
    {R"({"bits": 4, "group_size": 64, "layers": [{"name": "*", "bits": 16}]})", "float16", kTensor, 0, true},
    {R"({"dtype": "qint4", "symmetric": false, "layers": [{"name": "*", "bits": 16}]})", "float16", kTensor, 0, true},
    {R"({"bits": 4, "layers": [{"name": "*", "dtype": "quint8"}]})", "quint8", kChannel, 0, false},
    {R"({"bits": 4, "layers": [{"name": "*", "bits": 8}]})", "qint8", kChannel, 0, true},
    {R"({"dtype": "qint4", "layers": [{"name": "*", "bits": 8}]})", "qint8", kChannel, 0, true},
    {R"({"dtype": "float16", "layers": [{"name": "*", "bits": 8}]})", "qint8", kChannel, 0, true},
    {R"({"dtype": "quint8", "layers": [{"name": "*", "bits": 4}]})", "qint4", kGroup, 128, true},
    {R"({"dtype": "quint8", "layers": [{"name": "*", "bits": 8}]})", "quint8", kChannel, 0, false},
    {R"({"per_channel": false, "layers": [{"name": "*", "dtype": "qint4"}]})", "qint4", kGroup, 128, true},
    {R"({"per_channel": false, "layers": [{"name": "*", "bits": 4}]})", "qint4", kGroup, 128, true},
    {R"({"per_channel": false, "dtype": "qint8", "layers": [{"name": "*", "bits": 4}]})", "qint4", kGroup, 128, true},
    {R"({"per_channel": false, "layers": [{"name": "*", "bits": 16}]})", "float16", kTensor, 0, true},
    {R"({"per_channel": false, "layers": [{"name": "*", "group_size": 32}]})", "qint8", kGroup, 32, true},
    {R"({"group_size": 32, "layers": [{"name": "*", "per_channel": false}]})", "qint8", kTensor, 0, true},
};

TEST(Combinations, Legal) {
  for (const Legal& row : kLegal) {
    SCOPED_TRACE(row.config);
    LayerSettings settings;
    const Error error = error_of([&] { settings = resolve(row.config); });
    ASSERT_EQ(error.status(), Status::kOk) << error.message();
    EXPECT_EQ(settings.scheme->name, row.scheme);
    EXPECT_EQ(settings.granularity, row.granularity);
    if (settings.scheme->is_cast) continue;
    EXPECT_EQ(settings.group_size, row.group_size);
    EXPECT_EQ(settings.symmetric, row.symmetric);
  }
}

struct Impossible {
  const char* config;
  const char* call;
  const char* names;  // must stand in the message
};

constexpr Impossible kImpossible[] = {
    {R"({"bits": 4, "dtype": "quint8"})", "{}", "dtype=quint8 (config)"},
    {R"({"bits": 16, "dtype": "qint8"})", "{}", "bits=16 (config)"},
    {R"({"bits": 8, "dtype": "qint4"})", "{}", "dtype=qint4"},
    {R"({"bits": 8, "dtype": "float16"})", "{}", "dtype=float16"},
    {R"({"dtype": "quint8"})", R"({"bits": 4})", "bits=4 (call)"},
    {R"({"layers": [{"name": "*", "dtype": "quint8", "bits": 4}]})", "{}", "dtype=quint8 (config layers)"},
    {R"({"per_channel": false, "group_size": 32})", "{}", "group_size=32 (config)"},
    {R"({"dtype": "mxfp4", "group_size": 64})", "{}", "mxfp4 has groups of 32 only: group_size=64 (config)"},
    {R"({"dtype": "nvfp4", "per_channel": false})", "{}", "nvfp4 has no single scale"},
    {R"({"block": "128x128"})", "{}", "block=128x128 (config) has no meaning for qint8"},
    {R"({"dtype": "float16", "block": "128x128"})", "{}", "block=128x128 (config) has no meaning for float16"},
    {R"({"dtype": "float8_e4m3", "block": "128x128", "group_size": 64})", "{}", "group_size=64 (config) cannot go"},
    {R"({"dtype": "float8_e4m3", "block": "128x128"})", R"({"per_channel": false})", "per_channel=false (call) cannot"},
    {R"({"per_channel": false})", R"({"group_size": 32})", "per_channel=false (config)"},
    {R"({"per_channel": false, "bits": 4})", "{}", "int4 has no single scale"},
    {R"({"per_channel": false, "dtype": "qint4"})", "{}", "int4 has no single scale"},
    {R"({"bits": 4, "layers": [{"name": "*", "per_channel": false}]})", "{}", "int4 has no single scale"},
    {R"({"dtype": "float16", "group_size": 32})", "{}", "group_size=32 (config) has no meaning for float16"},
    {R"({"dtype": "float16", "symmetric": true})", "{}", "symmetric=true (config) has no meaning for float16"},
    {R"({"dtype": "float16", "per_channel": false})", "{}", "per_channel=false (config) has no meaning for float16"},
    {R"({"bits": 16, "group_size": 32})", "{}", "group_size=32"},
    {R"({"dtype": "float16", "layers": [{"name": "*", "group_size": 32}]})", "{}", "group_size=32 (config layers)"},
};

TEST(Combinations, Impossible) {
  for (const Impossible& row : kImpossible) {
    SCOPED_TRACE(row.config);
    const Error error = error_of([&] { resolve(row.config, row.call); });
    EXPECT_EQ(error.status(), Status::kConfig);
    EXPECT_NE(error.message().find(row.names), std::string::npos) << error.message();
    EXPECT_FALSE(error.suggestion().empty());
    EXPECT_EQ(error.subject(), kQuery.name);
    EXPECT_TRUE(error.message().starts_with("layer encoder.0.query: ")) << error.message();
  }
}

// Before any layer is known: each pattern counts as the name of a layer.
TEST(Combinations, AreCheckedBeforehand) {
  const auto status_of = [](const std::string& json) {
    const Settings settings = parse_settings(json);
    return error_of([&] { validate_settings(Config(&settings, nullptr), settings); }).status();
  };
  for (const Impossible& row : kImpossible) {
    if (std::string_view(row.call) != "{}") continue;
    EXPECT_EQ(status_of(row.config), Status::kConfig) << row.config;
  }
  for (const Legal& row : kLegal) EXPECT_EQ(status_of(row.config), Status::kOk) << row.config;
  EXPECT_EQ(status_of(R"({"layers": [{"name": "layer[0-3]", "dtype": "quint8", "bits": 4}]})"), Status::kConfig);
  EXPECT_EQ(status_of(R"({"sqnr_warning_db": 10, "sqnr_critical_db": 11})"), Status::kConfig);
}

TEST(Resolved, KeysThatFollowFromOthers) {
  const auto expect_value = [](const char* json, const char* key, const char* value, ValueSource source) {
    const Settings settings = parse_settings(json);
    const FoundValue found = resolve_value(Config(&settings, nullptr), kQuery, key);
    EXPECT_EQ(found.value, value) << json << " " << key;
    EXPECT_EQ(found.source, source) << json << " " << key;
  };
  expect_value(R"({"bits": 4})", "dtype", "qint4", ValueSource::kConfig);
  expect_value(R"({"bits": 16})", "dtype", "float16", ValueSource::kConfig);
  expect_value(R"({"dtype": "qint8", "layers": [{"name": "*", "bits": 4}]})", "dtype", "qint4",
               ValueSource::kConfigLayers);
  expect_value(R"({"dtype": "qint4"})", "bits", "4", ValueSource::kDefault);
  expect_value(R"({"dtype": "qint4"})", "group_size", "128", ValueSource::kDefault);
  expect_value(R"({"dtype": "qint4"})", "min_parameters", "512", ValueSource::kDefault);
  expect_value(R"({"dtype": "quint8"})", "symmetric", "false", ValueSource::kDefault);
  expect_value(R"({"per_channel": false})", "per_channel", "false", ValueSource::kConfig);
  expect_value("{}", "min_parameters", "0", ValueSource::kDefault);
  expect_value("{}", "channel_axis", "auto", ValueSource::kDefault);
}

TEST(Job, Thresholds) {
  const auto job_of = [](const char* json) {
    const Settings settings = parse_settings(json);
    return resolve_job(Config(&settings, nullptr));
  };
  const JobSettings defaults = job_of("{}");
  EXPECT_EQ(defaults.sqnr_warning_db, 20);
  EXPECT_EQ(defaults.sqnr_critical_db, 10);
  EXPECT_EQ(defaults.accuracy_warning, AccuracyWarning::kWarn);
  EXPECT_EQ(defaults.memory_budget, 256u << 20);
  EXPECT_FALSE(defaults.overwrite);
  EXPECT_GE(defaults.threads, 1u);
  EXPECT_EQ(job_of(R"({"accuracy_warning": "error"})").accuracy_warning, AccuracyWarning::kError);
  EXPECT_EQ(job_of(R"({"accuracy_warning": "ignore"})").accuracy_warning, AccuracyWarning::kIgnore);
  EXPECT_EQ(job_of(R"({"sqnr_warning_db": 10})").sqnr_warning_db, 10);  // as low as critical, which is allowed
  const Error error = error_of([&] { job_of(R"({"sqnr_critical_db": 21})"); });
  EXPECT_EQ(error.status(), Status::kConfig);
  EXPECT_EQ(error.subject(), "sqnr_critical_db");
}

TEST(Names, ALayerByEitherOfItsNames) {
  for (const char* name : {"a.b", "a.b.weight"}) EXPECT_EQ(weight_name_from(name), "a.b.weight");
  EXPECT_EQ(layer_name_from("a.b.weight").name, "a.b");
  EXPECT_EQ(layer_name_from("a.b.weight").tensor, "a.b.weight");
  EXPECT_EQ(weight_name_from("weight"), "weight.weight");
  EXPECT_EQ(layer_name_from("weight.weight").name, "weight");
  EXPECT_EQ(weight_name_from(".weight"), ".weight");
  EXPECT_EQ(layer_name_from(".weight").name, ".weight");
  EXPECT_EQ(layer_name_from(".weight").tensor, ".weight");
  EXPECT_EQ(weight_name_from(""), "");
  EXPECT_EQ(layer_name_from("").name, "");
}

}  // namespace
}  // namespace mnq::test
