// The commands besides quantize: what each says, with numbers worked out by hand.
#include <limits>

#include "cli/cli_fixture.h"

namespace mnq::test {
namespace {

class Commands : public CliTest {
 protected:
  void quantize() {
    const Result result = run({"quantize", "model.safetensors", "-q"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
};

TEST_F(Commands, InfoSaysWhatIsInAFloatFile) {
  const Result result = run({"info", "model.safetensors"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  const std::string size = std::to_string(tiny_model().bytes().size());
  EXPECT_EQ(result.out,
            "  file        model.safetensors\n"
            "  format      safetensors\n"
            "  size        " +
                size +
                " B\n"
                "  parameters  10\n"
                "  tensors     2 F32\n"
                "\n"
                "  tensor     dtype  shape  size\n"
                "  fc.weight  F32    2×4    32 B\n"
                "  fc.bias    F32    2       8 B\n");
}

TEST_F(Commands, InfoSaysWhatIsInAQuantizedFile) {
  quantize();
  const Result result = run({"info", "model-int8.safetensors"});
  EXPECT_TRUE(contains(result.out, "  quantized   1 int8 per channel\n")) << result.out;
  EXPECT_TRUE(contains(result.out, "  parameters  10\n")) << result.out;
  const std::string table =
      "  tensor           dtype  shape  size  scheme            of       SQNR dB\n"
      "  fc.bias          F32    2       8 B\n"
      "  fc.weight        I8     2×4     8 B  int8 per channel  F32 2×4     48.1\n"
      "  fc.weight_scale  F32    2×1     8 B\n";
  EXPECT_TRUE(result.out.ends_with("\n\n" + table)) << result.out;
}

TEST_F(Commands, InfoJsonIsTheDescription) {
  const nlohmann::json model = run_json({"info", "model.safetensors", "--json"});
  EXPECT_EQ(model["format"], "safetensors");
  EXPECT_EQ(model["tensors"].size(), 2U);
  EXPECT_EQ(model["tensors"][0]["shape"], nlohmann::json({2, 4}));
}

TEST_F(Commands, CompareGivesTheAccuracyOfWhatDiffers) {
  quantize();
  const Result result = run({"compare", "model.safetensors", "model-int8.safetensors"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(line_with(result.out, "  fc "),
            "  fc     Linear  2×4    int8 per channel     48.1        0.5    32 B   16 B");
  EXPECT_FALSE(contains(result.out, "fc.bias")) << result.out;
  EXPECT_TRUE(contains(result.out, "  compared  2 tensors\n  the same  1 tensor\n")) << result.out;
  EXPECT_TRUE(contains(result.out, "  SQNR      48.1 dB, maximum error 0.5\n")) << result.out;
  EXPECT_TRUE(contains(run({"compare", "model.safetensors", "model-int8.safetensors", "-v"}).out, "fc.bias"));
}

// A checkpoint with two dicts beside a file that has none.
TEST_F(Commands, TheDictIsChosenOnTheSideThatHasSeveral) {
  const std::string nested = MNQ_TEST_DATA "/malformed/good_nested.pt";
  write("m.safetensors", SafetensorsBytes().add<float>("m", "F32", "[2,3]", {1, 2, 3, 4, 5, 6}).bytes());
  const std::vector<std::string> key{"--tensors-key", "optimizer.state"};
  const auto with = [](std::vector<std::string> words, const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  for (const auto& [a, b] : {std::pair<std::string, std::string>{nested, "m.safetensors"}, {"m.safetensors", nested}}) {
    const nlohmann::json report = run_json(with({"compare", a, b, "--json"}, key));
    EXPECT_EQ(report["model"]["tensors_compared"], 1);
    EXPECT_EQ(report["model"]["exact"], true);
    const nlohmann::json of_the_model = run_json({"compare", a, b, "--json"});
    EXPECT_EQ(of_the_model["model"]["tensors_compared"], 0);
    EXPECT_TRUE(contains(of_the_model["warnings"].dump(), "those under model")) << of_the_model["warnings"];
  }
  EXPECT_EQ(run(with({"validate", "m.safetensors", "--against", nested}, key)).exit_code, 0);
  EXPECT_EQ(run({"validate", "m.safetensors", "--against", nested}).exit_code, 4) << "the model's dict has no m";
  for (const char* command : {"compare", "validate"}) {
    const std::string other = command == std::string("compare") ? "" : "--against=";
    const Result refused = run(with({command, "m.safetensors", other + "m.safetensors"}, key));
    EXPECT_EQ(refused.exit_code, 2) << command;
    EXPECT_TRUE(contains(refused.err, "tensors_key")) << refused.err;
  }
}

TEST_F(Commands, ConvertSaysWhichSettingsItHasNoUseFor) {
  const nlohmann::json report =
      run_json({"convert", "model.safetensors", "-o", "out.safetensors", "--set", "bits=4", "--json"});
  EXPECT_TRUE(contains(report["warnings"].dump(), "bits has no effect here: only quantizing follows it"))
      << report["warnings"];
  EXPECT_EQ(report["layers"][0]["reason"], "not quantized");
  EXPECT_EQ(run_json({"convert", "model.safetensors", "-o", "b.safetensors", "-j", "1", "--json"})["warnings"].size(),
            0u);
}

TEST_F(Commands, CompareSaysWhatItCannotCompare) {
  write("other.safetensors", SafetensorsBytes()
                                 .add<float>("fc.weight", "F32", "[4,2]", std::vector<float>(8))
                                 .add<float>("more", "F32", "[2]", {1, 2})
                                 .bytes());
  const Result result = run({"compare", "model.safetensors", "other.safetensors"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(contains(result.out, "not compared")) << result.out;
  EXPECT_TRUE(contains(result.out, "only in the first")) << result.out;
  EXPECT_TRUE(contains(result.out, "only in the second")) << result.out;
  const nlohmann::json report = run_json({"compare", "model.safetensors", "other.safetensors", "--json"});
  EXPECT_EQ(report["model"]["tensors_compared"], 0);
}

TEST_F(Commands, ValidateAcceptsWhatWasQuantized) {
  quantize();
  const Result result = run({"validate", "model-int8.safetensors", "--against", "model.safetensors"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(contains(result.out,
                       "  original  model.safetensors\n"
                       "  checked   2 tensors\n"
                       "  SQNR      48.1 dB, maximum error 0.5\n"
                       "  result    valid\n"))
      << result.out;
}

TEST_F(Commands, ValidateNamesAModelThatIsAnother) {
  quantize();
  write("other.safetensors", SafetensorsBytes()
                                 .add<float>("fc.weight", "F32", "[2,4]", {0, 1, 2, 3, 4, 5, 6, 7})
                                 .add<float>("fc.bias", "F32", "[2]", {1, 2})
                                 .bytes());
  const Result result = run({"validate", "model-int8.safetensors", "--against", "other.safetensors"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_TRUE(contains(result.out, "  fc.weight: its values are not the original's: -")) << result.out;
  EXPECT_TRUE(contains(result.out, " dB, below 10 dB (sqnr_critical_db)")) << result.out;
  const Result json = run({"validate", "model-int8.safetensors", "--against", "other.safetensors", "--json"});
  EXPECT_LT(nlohmann::json::parse(json.out)["layers"][0]["sqnr_db"], 0);
}

TEST_F(Commands, WhatAnotherToolQuantizedIsNamed) {
  write("hqq.safetensors", SafetensorsBytes()
                               .add<std::int32_t>("l.W_q", "I32", "[1,8]", std::vector<std::int32_t>(8, 0))
                               .add<float>("l.scale", "F32", "[1,8]", std::vector<float>(8, 1))
                               .add<float>("l.zero", "F32", "[1,8]", std::vector<float>(8, 1))
                               .bytes());
  const Result info = run({"info", "hqq.safetensors"});
  EXPECT_EQ(info.exit_code, 0);
  EXPECT_TRUE(contains(info.out, "is quantized by HQQ (1 weight, as l.W_q)")) << info.out;
  for (const char* command : {"quantize", "dequantize", "convert"}) {
    const Result result = run({command, "hqq.safetensors", "-o", "out.safetensors"});
    EXPECT_EQ(result.exit_code, 5) << result.err;
    EXPECT_TRUE(contains(result.err, "is quantized by HQQ")) << result.err;
    EXPECT_FALSE(std::filesystem::exists(folder.path("out.safetensors")));
  }
  const Result validated = run({"validate", "hqq.safetensors"});
  EXPECT_EQ(validated.exit_code, 0) << validated.out;
  EXPECT_TRUE(contains(validated.out, "is quantized by HQQ")) << validated.out;
}

// What --force does not replace either.
TEST_F(Commands, ADeviceIsNoOutput) {
  for (const char* force : {"--quiet", "--force"}) {
    const Result result = run({"quantize", "model.safetensors", "-o", "/dev/null", "--format", "safetensors", force});
    EXPECT_EQ(result.exit_code, 5);
    EXPECT_TRUE(contains(result.err, "is not a regular file")) << result.err;
    EXPECT_FALSE(contains(result.err, "--force")) << result.err;
  }
}

TEST_F(Commands, ValidateListsTheProblems) {
  write(
      "bad.safetensors",
      SafetensorsBytes().add<float>("fc.weight", "F32", "[1,2]", {1, std::numeric_limits<float>::quiet_NaN()}).bytes());
  const Result result = run({"validate", "bad.safetensors"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_TRUE(contains(result.out, "  fc.weight: element 1 is not finite\n\n")) << result.out;
  EXPECT_TRUE(contains(result.out, "  result   not valid\n")) << result.out;
  EXPECT_EQ(result.err, "monoquant: bad.safetensors: not valid: 1 problem found\n");
  const Result json = run({"validate", "bad.safetensors", "--json"});
  EXPECT_EQ(json.exit_code, 4);
  EXPECT_EQ(nlohmann::json::parse(json.out)["model"]["valid"], false);
  const Result quiet = run({"validate", "bad.safetensors", "--quiet"});
  EXPECT_EQ(quiet.exit_code, 4);
  EXPECT_EQ(quiet.out, "");
}

TEST_F(Commands, ValidateAgainstAnOriginalMissesTensors) {
  write("less.safetensors", SafetensorsBytes().add<float>("fc.bias", "F32", "[2]", {1, 2}).bytes());
  const Result result = run({"validate", "less.safetensors", "--against", "model.safetensors"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_TRUE(contains(result.out, "  fc.weight: is missing: the original has it\n")) << result.out;
}

TEST_F(Commands, DequantizeGivesFloatsBack) {
  quantize();
  const Result result = run({"dequantize", "model-int8.safetensors", "-o", "float.safetensors"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out,
                       "  dequantized  1 layer\n"
                       "  size         24 B → 40 B, 1.67 times larger\n"))
      << result.out;
  EXPECT_TRUE(contains(result.out, "  written to   float.safetensors\n")) << result.out;
  // scale 1: the codes are the weights
  const std::string expected = SafetensorsBytes()
                                   .add<float>("fc.weight", "F32", "[2,4]", {127, 0, 0, 0, 0, 0, 0, 0})
                                   .add<float>("fc.bias", "F32", "[2]", {1, 2})
                                   .bytes();
  write("expected.safetensors", expected);
  const auto report = run_json({"compare", "expected.safetensors", "float.safetensors", "--json"});
  EXPECT_EQ(report["model"]["exact"], true);
}

TEST_F(Commands, DequantizeNeedsAnOutput) {
  const Result result = run({"dequantize", "model.safetensors"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(contains(result.err, "--output is required")) << result.err;
}

TEST_F(Commands, KernelsFollowTheForcedInstructionSet) {
  const Result result = run({"kernels"}, {"MNQ_ISA=generic"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(contains(result.out, "  in use        generic\n")) << result.out;
  EXPECT_TRUE(contains(line_with(result.out, "quantize_rows"), "generic")) << result.out;
  const nlohmann::json info = run_json({"kernels", "--json"});
  EXPECT_TRUE(info["isa_available"].is_array());
  EXPECT_EQ(run({"kernels"}, {"MNQ_ISA=sse9"}).exit_code, 5);
}

TEST_F(Commands, KeysListsWhatSetTakes) {
  const Result result = run({"keys"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(contains(result.out, "bits: 2, 3, 4, 5, 6, 7, 8, 16  (default auto; also per layer)\n    "))
      << result.out;
  const nlohmann::json keys = run_json({"keys", "--json"});
  for (const auto& key : keys) EXPECT_TRUE(contains(result.out, key["key"].get<std::string>() + ": "));
}

TEST_F(Commands, VersionAndHelp) {
  const Result version = run({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(version.out.starts_with("monoquant 1.")) << version.out;
  const Result help = run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* name : {"quantize", "info", "compare", "validate", "dequantize", "kernels", "keys"}) {
    EXPECT_FALSE(line_with(help.out, std::string("  ") + name + " ").empty()) << name;
    const Result command_help = run({name, "--help"});
    EXPECT_EQ(command_help.exit_code, 0) << name;
    EXPECT_TRUE(contains(command_help.out, std::string("Usage: monoquant ") + name)) << command_help.out;
    EXPECT_TRUE(contains(command_help.out, "Examples:")) << command_help.out;
  }
}

// Widths are a promise to terminals of 80 columns.
TEST_F(Commands, HelpFitsATerminal) {
  for (const char* name : {"quantize", "info", "compare", "validate", "dequantize", "kernels", "keys"}) {
    std::istringstream lines(run({name, "--help"}).out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  }
}

}  // namespace
}  // namespace mnq::test
