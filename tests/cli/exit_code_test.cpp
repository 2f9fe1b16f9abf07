// What goes wrong, and the exit code that says so.
#include <sys/mount.h>
#include <sys/stat.h>

#include <limits>

#include "cli/cli_fixture.h"

namespace mnq::test {
namespace {

using ExitCode = CliTest;

TEST_F(ExitCode, UsageIsTwo) {
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"shrink"},
      {"quantize"},
      {"quantize", "a", "b"},
      {"quantize", "model.safetensors", "--fast"},
      {"quantize", "model.safetensors", "--bits"},
      {"quantize", "model.safetensors", "--set", "bits"},
      {"quantize", "model.safetensors", "--layer", "fc"},
      {"quantize", "model.safetensors", "--symmetric", "--asymmetric"},
      {"quantize", "model.safetensors", "--json", "--quiet"},
      {"info", "model.safetensors", "--bits", "4"},
  };
  for (const auto& arguments : wrong) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(arguments);
    EXPECT_TRUE(result.err.starts_with("monoquant: ")) << result.err;
    EXPECT_TRUE(contains(result.err, "\nhint: see monoquant ")) << result.err;
  }
}

TEST_F(ExitCode, ConfigurationIsTwo) {
  write("broken.json", "{\"bits\": 4");
  write("unknown.json", R"({"bitz": 4})");
  const std::vector<std::vector<std::string>> wrong{
      {"quantize", "model.safetensors", "--bits", "9"},
      {"quantize", "model.safetensors", "--bits", "4", "--dtype", "quint8"},
      {"quantize", "model.safetensors", "--set", "bitz=4"},
      {"quantize", "model.safetensors", "--layer", "fc", "bitz=4"},
      {"quantize", "model.safetensors", "--threads", "many"},
      {"quantize", "model.safetensors", "--config", "broken.json"},
      {"quantize", "model.safetensors", "--config", "unknown.json"},
  };
  for (const auto& arguments : wrong) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(arguments);
    EXPECT_TRUE(contains(result.err, ": ")) << result.err;
    EXPECT_TRUE(contains(result.err, "\nhint: ")) << result.err;
  }
  EXPECT_TRUE(
      run({"quantize", "model.safetensors", "--config", "unknown.json"}).err.starts_with("monoquant: unknown.json: "));
  EXPECT_EQ(folder.names().count("model-int8.safetensors"), 0U);
}

TEST_F(ExitCode, FilesAreFive) {
  write("broken.safetensors", std::string("\xff\0\0\0\0\0\0\0{}", 10));
  write("zip.pt", "PK\x03\x04" + std::string(100, 'x'));
  std::filesystem::create_directory(folder.path("without_weights"));
  const std::vector<std::vector<std::string>> wrong{
      {"info", "missing.safetensors"},
      {"info", "broken.safetensors"},
      {"info", "zip.pt"},
      {"info", "without_weights"},
      {"quantize", "model.safetensors", "--config", "missing.json"},
      {"quantize", "model.safetensors", "-o", "no/such/folder.safetensors"},
      {"quantize", "model.safetensors", "--report", "no/such/report.json"},
      {"quantize", "model.safetensors", "--report", "/dev/null"},
      {"compare", "model.safetensors", "missing.safetensors"},
      {"validate", "model.safetensors", "--against", "missing.safetensors"},
      {"dequantize", "missing.safetensors", "-o", "out.safetensors"},
  };
  for (const auto& arguments : wrong) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 5) << testing::PrintToString(arguments) << result.err;
    EXPECT_TRUE(result.err.starts_with("monoquant: ")) << result.err;
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(folder.names(),
            (std::set<std::string>{"broken.safetensors", "model.safetensors", "without_weights", "zip.pt"}));
}

TEST_F(ExitCode, WeightsThatCannotBeQuantizedAreThree) {
  const float infinity = std::numeric_limits<float>::infinity();
  write("bad.safetensors", SafetensorsBytes().add<float>("fc.weight", "F32", "[1,2]", {1, infinity}).bytes());
  const Result result = run({"quantize", "bad.safetensors"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(contains(result.err, "fc")) << result.err;
  EXPECT_EQ(run({"quantize", "bad.safetensors", "--set", "nonfinite=copy"}).exit_code, 0);
  const std::vector<std::string> strict{"quantize", "model.safetensors", "--set", "accuracy_warning=error",
                                        "--set",    "sqnr_warning_db=60"};
  EXPECT_EQ(run(strict).exit_code, 3);
}

TEST_F(ExitCode, ErrorsWithJsonAreOneDocumentToo) {
  const Result missing = run({"info", "missing.safetensors", "--json"});
  EXPECT_EQ(missing.exit_code, 5);
  EXPECT_TRUE(missing.err.starts_with("monoquant: missing.safetensors: ")) << missing.err;
  const nlohmann::json error = nlohmann::json::parse(missing.out)["error"];
  EXPECT_EQ(error["status"], "NOT_FOUND");
  EXPECT_EQ(error["subject"], "missing.safetensors");
  EXPECT_TRUE(contains(error["message"], "No such file"));
  EXPECT_NE(error["suggestion"], "");
  const Result usage = run({"quantize", "--json", "--fast", "x"});
  EXPECT_EQ(usage.exit_code, 2);
  EXPECT_EQ(nlohmann::json::parse(usage.out)["error"]["status"], "INVALID_ARG");
}

TEST_F(ExitCode, AFullStdoutIsFive) {
  for (const char* command : {"info", "quantize"}) {
    ProcessOptions full = options();
    full.stdout_to = "/dev/full";
    const Result result = run_process(command_of({command, "model.safetensors"}), full);
    EXPECT_EQ(result.exit_code, 5) << command;
    EXPECT_EQ(result.err, "monoquant: standard output: cannot be written: No space left on device\n");
  }
}

// More than a pipe holds, so that the program notices.
TEST_F(ExitCode, AReaderThatWentAwayIsFive) {
  SafetensorsBytes many;
  for (int i = 0; i < 3000; ++i) many.add<float>("a.tensor.with.a.name." + std::to_string(i), "F32", "[1]", {1});
  write("many.safetensors", many.bytes());
  Process process(command_of({"info", "many.safetensors"}), options());
  process.close_stdout();
  const Result result = process.wait();
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.err, "monoquant: standard output: cannot be written: Broken pipe\n");
}

TEST_F(ExitCode, AClosedStdoutIsFive) {
  const Result result = run_process({"/bin/sh", "-c", "\"$0\" --help >&-", MONOQUANT_EXE}, options());
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_TRUE(contains(result.err, "standard output: cannot be written")) << result.err;
}

TEST_F(ExitCode, AClosedStdoutNeverEndsUpInTheOutput) {
  const Result result =
      run_process({"/bin/sh", "-c", "\"$0\" quantize model.safetensors <&- >&-", MONOQUANT_EXE}, options());
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(run({"validate", "model-int8.safetensors", "--against", "model.safetensors"}).exit_code, 0);
}

// A file system of 64 KiB, where the test may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    ::mkdir(path_.c_str(), 0700);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=64k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool is_mounted() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_F(ExitCode, AFullDiskIsFiveAndTheOldFileStays) {
  const SmallDisk disk(folder.path("disk"));
  if (!disk.is_mounted()) GTEST_SKIP() << "only root can mount a small disk";
  const std::vector<float> weights(65536, 1.0F);
  write("large.safetensors", SafetensorsBytes().add("fc.weight", "F32", "[256,256]", weights).bytes());
  write("disk/out.safetensors", "precious");
  const Result result = run({"quantize", "large.safetensors", "-o", "disk/out.safetensors", "--force"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_TRUE(contains(result.err, "No space left on device")) << result.err;
  EXPECT_EQ(read("disk/out.safetensors"), "precious");
}

}  // namespace
}  // namespace mnq::test
