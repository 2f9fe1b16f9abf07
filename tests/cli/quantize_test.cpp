#include <filesystem>
#include <map>

#include "cli/cli_fixture.h"

namespace mnq::test {
namespace {

using QuantizeCommand = CliTest;

TEST_F(QuantizeCommand, TellsWhatBecameOfEachTensor) {
  const Result result = run({"quantize", "model.safetensors"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  const std::string time = line_with(result.out, "  time");
  EXPECT_TRUE(contains(time, "thread")) << time;
  std::string rest = result.out;
  rest.erase(rest.find(time), time.size() + 1);
  EXPECT_EQ(rest,
            "  layer  kind    shape  scheme            SQNR dB  max error  before  after\n"
            "  fc     Linear  2×4    int8 per channel     48.1        0.5    32 B   16 B\n"
            "\n"
            "  copied as they are\n"
            "  reason  tensors  size\n"
            "  bias          1   8 B\n"
            "\n"
            "  quantized   1 int8 per channel\n"
            "  size        40 B → 24 B, 1.67 times smaller\n"
            "  SQNR        48.1 dB, maximum error 0.5\n"
            "  written to  model-int8.safetensors\n");
}

TEST_F(QuantizeCommand, SumsLayersByRole) {
  const Result result = run({"quantize", MNQ_TEST_DATA "/digits.safetensors", "-o", "digits-int8.safetensors"});
  const std::string table = result.out.substr(result.out.find("  by role"));
  EXPECT_EQ(table.substr(0, table.find("\n\n")),
            "  by role\n"
            "  role         layers  as                lowest SQNR   before   after\n"
            "  linear            2  int8 per channel         43.0  35.3 kB  9.1 kB\n"
            "  convolution       2  int8 per channel         44.9  19.0 kB  4.9 kB\n"
            "  other             9  float                            752 B   752 B");
}

TEST_F(QuantizeCommand, SpeaksAsciiWhereTheLocaleDoes) {
  const ProcessOptions ascii{{"LC_ALL=C"}, folder.path(), ""};
  const Result result = run_process(command_of({"quantize", "model.safetensors"}), ascii);
  EXPECT_TRUE(contains(result.out, "40 B -> 24 B"));
  EXPECT_TRUE(contains(result.out, "2x4"));
}

TEST_F(QuantizeCommand, JsonIsTheReportAndNothingElse) {
  const nlohmann::json report = run_json({"quantize", "model.safetensors", "--json"});
  EXPECT_EQ(report["kind"], "quantize");
  EXPECT_EQ(report["output"], "model-int8.safetensors");
  EXPECT_EQ(report["model"]["bytes_after"], 24);
  EXPECT_NEAR(report["layers"][0]["sqnr_db"].get<double>(), 48.0967, 1e-3);
}

TEST_F(QuantizeCommand, QuietPrintsNothing) {
  const Result result = run({"quantize", "model.safetensors", "--quiet"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out + result.err, "");
  EXPECT_TRUE(folder.names().contains("model-int8.safetensors"));
}

TEST_F(QuantizeCommand, NamesTheOutputAfterWhatItBecomes) {
  const std::map<std::string, std::vector<std::string>> flags{
      {"model-int8.safetensors", {}},
      {"model-uint8.safetensors", {"--dtype", "quint8"}},
      {"model-int4.safetensors", {"--bits", "4"}},
      {"model-float16.safetensors", {"--bits=16", "--dtype=float16"}},
  };
  for (const auto& [name, more] : flags) {
    std::vector<std::string> arguments{"quantize", "model.safetensors", "-q"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(run(arguments).exit_code, 0) << name;
    EXPECT_TRUE(folder.names().contains(name)) << name;
  }
}

TEST_F(QuantizeCommand, PutsTheOutputBesideTheInput) {
  const ProcessOptions elsewhere{{}, "/", ""};
  EXPECT_EQ(run_process(command_of({"quantize", folder.path("model.safetensors")}), elsewhere).exit_code, 0);
  EXPECT_TRUE(folder.names().contains("model-int8.safetensors"));
}

TEST_F(QuantizeCommand, LeavesAnExistingFileAloneUnlessForced) {
  write("out.safetensors", "precious");
  const Result refused = run({"quantize", "model.safetensors", "-o", "out.safetensors"});
  EXPECT_EQ(refused.exit_code, 5);
  EXPECT_EQ(refused.out, "");
  EXPECT_TRUE(refused.err.starts_with("monoquant: out.safetensors: is there already\nhint: ")) << refused.err;
  EXPECT_TRUE(contains(refused.err, "--force")) << refused.err;
  EXPECT_EQ(read("out.safetensors"), "precious");
  EXPECT_EQ(run({"quantize", "model.safetensors", "-o", "out.safetensors", "--force"}).exit_code, 0);
  EXPECT_NE(read("out.safetensors"), "precious");
}

TEST_F(QuantizeCommand, NeverWritesOntoItsInput) {
  const std::string before = read("model.safetensors");
  const Result result = run({"quantize", "model.safetensors", "-o", "./model.safetensors", "--force"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(read("model.safetensors"), before);
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
}

TEST_F(QuantizeCommand, DryRunWritesNothing) {
  const Result result = run({"quantize", "model.safetensors", "--dry-run"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "40 B → 24 B")) << result.out;
  EXPECT_TRUE(contains(result.out, "would go to  model-int8.safetensors")) << result.out;
  EXPECT_FALSE(contains(result.out, "SQNR")) << result.out;
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
  EXPECT_EQ(run_json({"quantize", "model.safetensors", "-n", "--json"})["dry_run"], true);
}

TEST_F(QuantizeCommand, VerboseListsWhatWasCopied) {
  const Result result = run({"quantize", "model.safetensors", "-v"});
  EXPECT_TRUE(contains(result.out, "  reason  tensors  size\n  bias          1   8 B\n")) << result.out;
  EXPECT_EQ(line_with(result.out, "fc.bias"), "  fc.bias  F32    2       8 B  bias");
}

// What the flags say reaches the library as the call's own settings.
class QuantizeFlags : public CliTest {
 protected:
  void SetUp() override {
    const std::vector<float> ones(8, 1.0F);
    SafetensorsBytes model;
    for (const char* name : {"a.weight", "b.weight", "c.weight"}) model.add(name, "F32", "[2,4]", ones);
    write("model.safetensors", model.bytes());
  }

  /// The scheme of each layer, "" where it is copied.
  std::map<std::string, std::string> schemes(std::vector<std::string> flags) const {
    flags.insert(flags.begin(), {"quantize", "model.safetensors", "--dry-run", "--json"});
    std::map<std::string, std::string> schemes;
    const nlohmann::json report = run_json(flags);
    for (const auto& layer : report["layers"]) {
      schemes[layer["name"]] = layer["scheme"].is_null() ? "" : layer["scheme"].get<std::string>();
    }
    return schemes;
  }

  std::string scheme_of_all(const std::vector<std::string>& flags) const {
    const auto all = schemes(flags);
    return all.at("a") == all.at("b") && all.at("b") == all.at("c") ? all.at("a") : "they differ";
  }
};

TEST_F(QuantizeFlags, ChooseTheScheme) {
  EXPECT_EQ(scheme_of_all({}), "int8 per channel");
  EXPECT_EQ(scheme_of_all({"--per-tensor"}), "int8 per tensor");
  EXPECT_EQ(scheme_of_all({"--asymmetric"}), "int8 per channel asymmetric");
  EXPECT_EQ(scheme_of_all({"--dtype", "quint8", "--symmetric"}), "uint8 per channel symmetric");
  EXPECT_EQ(scheme_of_all({"--group-size", "2"}), "int8 group 2");
  EXPECT_EQ(scheme_of_all({"--bits", "16", "--dtype", "float16"}), "float16");
}

TEST_F(QuantizeFlags, TheLastWins) {
  EXPECT_EQ(scheme_of_all({"--group-size", "2", "--group-size", "4"}), "int8 group 4");
  EXPECT_EQ(scheme_of_all({"--set", "group_size=4", "--group-size", "2"}), "int8 group 2");
  EXPECT_EQ(scheme_of_all({"--group-size", "2", "--set", "group_size=4"}), "int8 group 4");
}

TEST_F(QuantizeFlags, OnlyAndSkipRepeat) {
  using Schemes = std::map<std::string, std::string>;
  const std::string int8 = "int8 per channel";
  EXPECT_EQ(schemes({"--only", "a", "--only", "b"}), (Schemes{{"a", int8}, {"b", int8}, {"c", ""}}));
  EXPECT_EQ(schemes({"--skip", "a", "--skip", "b*"}), (Schemes{{"a", ""}, {"b", ""}, {"c", int8}}));
}

TEST_F(QuantizeFlags, LayerTakesAGlobAndSettings) {
  const auto found = schemes({"--layer", "a*", "group_size=2", "symmetric=false", "--layer", "b", "dtype=float16"});
  EXPECT_EQ(found.at("a"), "int8 group 2 asymmetric");
  EXPECT_EQ(found.at("b"), "float16");
  EXPECT_EQ(found.at("c"), "int8 per channel");
}

TEST_F(QuantizeFlags, LayerStopsBeforeTheInput) {
  const Result result = run({"quantize", "--layer", "a", "group_size=2", "model.safetensors", "-n"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(line_with(result.out, "  a "), "int8 group 2")) << result.out;
}

TEST_F(QuantizeFlags, WinOverTheConfigFile) {
  write("config.json", R"({"group_size": 4, "skip": ["c"], "layers": [{"name": "b", "group_size": 8}]})");
  const auto from_config = schemes({"--config", "config.json"});
  EXPECT_EQ(from_config.at("a"), "int8 group 4");
  EXPECT_EQ(from_config.at("b"), "int8 group 8");
  EXPECT_EQ(from_config.at("c"), "");
  const auto with_flag = schemes({"--config", "config.json", "--group-size", "2", "--layer", "b", "group_size=3"});
  EXPECT_EQ(with_flag.at("a"), "int8 group 2");
  EXPECT_EQ(with_flag.at("b"), "int8 group 3");
  EXPECT_EQ(with_flag.at("c"), "");
}

// Whatever else it prints.
TEST_F(QuantizeFlags, APartWithNothingToMakeSaysSoOnStderr) {
  std::filesystem::create_directory(folder.path("in"));
  write("in/model.safetensors", tiny_model().bytes());  // two tensors: two shards at most
  const auto part = [&](const std::string& which, const std::string& how) {
    return run({"quantize", "in", "-o", "out", "--shard", which, how});
  };
  for (const char* how : {"--quiet", "--json", "--verbose"}) {
    const Result result = part("3/3", how);
    EXPECT_EQ(result.exit_code, 0) << how;
    EXPECT_EQ(result.err, "monoquant: part 3 of 3: nothing to make: the folder has only 2 shards\n") << how;
  }
  EXPECT_EQ(part("1/3", "--quiet").err, "");
  EXPECT_EQ(part("1/3", "--quiet").err, "monoquant: part 1 of 3: nothing to make: it was made before, 1 shard\n");
}

TEST_F(QuantizeFlags, ThreadsReachTheLibrary) {
  EXPECT_EQ(run_json({"quantize", "model.safetensors", "--threads", "1", "--json"})["threads"], 1);
}

}  // namespace
}  // namespace mnq::test
