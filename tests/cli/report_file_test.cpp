#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_fixture.h"

namespace mnq::test {
namespace {

using ReportFile = CliTest;

TEST_F(ReportFile, HoldsTheReport) {
  const Result result = run({"quantize", "model.safetensors", "--report", "report.json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "48.1")) << result.out;
  const nlohmann::json report = nlohmann::json::parse(read("report.json"));
  EXPECT_EQ(report["kind"], "quantize");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"model-int8.safetensors", "model.safetensors", "report.json"}));
}

TEST_F(ReportFile, IsWhatJsonPrints) {
  const Result result = run({"compare", "model.safetensors", "model.safetensors", "--json", "--report", "report.json"});
  EXPECT_EQ(result.out, read("report.json"));
}

TEST_F(ReportFile, ReplacesTheOneBeforeWhereAsked) {
  for (const auto& command : std::vector<std::vector<std::string>>{
           {"validate", "model.safetensors"},
           {"compare", "model.safetensors", "model.safetensors"},
           {"quantize", "model.safetensors"},
           {"convert", "model.safetensors", "-o", "other.safetensors"},
       }) {
    write("report.json", "old");
    ::chmod(folder.path("report.json").c_str(), 0600);
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"-q", "--report", "report.json"});
    const Result refused = run(arguments);
    EXPECT_EQ(refused.exit_code, 5) << refused.err;
    EXPECT_TRUE(contains(refused.err, "report.json: is there already") && contains(refused.err, "--force"))
        << refused.err;
    EXPECT_EQ(read("report.json"), "old");
    EXPECT_EQ(folder.names().contains("other.safetensors"), false);
    arguments.push_back("--force");
    const Result replaced = run(arguments);
    EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
    EXPECT_EQ(nlohmann::json::parse(read("report.json"))["kind"], command.front());
    struct stat status {};
    ::stat(folder.path("report.json").c_str(), &status);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    std::filesystem::remove(folder.path("other.safetensors"));
  }
}

// In the folder of the input, named by it, and where its links lead.
TEST_F(ReportFile, IsNeverAFileOfAFolder) {
  namespace fs = std::filesystem;
  fs::create_directories(folder.path("in/sub"));
  fs::create_directories(folder.path("in/blobs"));
  fs::rename(folder.path("model.safetensors"), folder.path("in/blobs/weights"));
  fs::create_symlink("blobs/weights", folder.path("in/model.safetensors"));
  fs::create_hard_link(folder.path("in/blobs/weights"), folder.path("hard"));
  fs::create_symlink("in/config.json", folder.path("link"));
  write("in/config.json", "{}");
  write("in/tokenizer.json", "tokens");
  write("in/sub/more.txt", "more");
  for (const char* place :
       {"in/model.safetensors", "in/blobs/weights", "hard", "in/config.json", "in/../in/config.json", "link",
        "in/tokenizer.json", "in/sub/more.txt", "out", "out/config.json"}) {
    const Result result = run({"quantize", "in", "-o", "out/", "--report", place, "--force"});
    EXPECT_EQ(result.exit_code, 2) << place << ": " << result.err;
    EXPECT_TRUE(contains(result.err, "is a file of the job itself")) << result.err;
  }
  EXPECT_EQ(read("in/config.json"), "{}");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"hard", "in", "link"}));
  write("report.json", "old");
  EXPECT_EQ(run({"quantize", "in", "-o", "out/", "--report", "report.json", "--force"}).exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(read("report.json"))["kind"], "quantize");
}

TEST_F(ReportFile, OfAKilledRunLeavesNothingToTheNext) {
  write(".report.json.mnq-report.4194304.tmp", "half");
  write(".report.json.swp", "an editor's");
  EXPECT_EQ(run({"validate", "model.safetensors", "--report", "report.json"}).exit_code, 0);
  EXPECT_EQ(folder.names(), (std::set<std::string>{".report.json.swp", "model.safetensors", "report.json"}));
}

TEST_F(ReportFile, BeyondTheFileSizeLimitIsAnError) {
  std::vector<std::string> command = {"/bin/sh", "-c", "ulimit -f 1; exec \"$0\" \"$@\""};
  const auto job = command_of({"compare", "many.safetensors", "many.safetensors", "-q", "--report", "report.json"});
  command.insert(command.end(), job.begin(), job.end());
  SafetensorsBytes many;
  for (int i = 0; i < 50; ++i) many.add<float>("weights." + std::to_string(i), "F32", "[2,2]", {1, 2, 3, 4});
  write("many.safetensors", many.bytes());
  const Result result = run_process(command, options());
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_TRUE(contains(result.err, "File too large")) << result.err;
  EXPECT_EQ(folder.names(), (std::set<std::string>{"many.safetensors", "model.safetensors"}));
}

TEST_F(ReportFile, StaysAsItWasWhereTheJobFails) {
  write("report.json", "old");
  EXPECT_EQ(run({"quantize", "missing.safetensors", "--report", "report.json"}).exit_code, 5);
  EXPECT_EQ(read("report.json"), "old");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"model.safetensors", "report.json"}));
}

TEST_F(ReportFile, IsNeverAFileOfTheJob) {
  const std::string before = read("model.safetensors");
  ASSERT_EQ(::symlink("model.safetensors", folder.path("link").c_str()), 0);
  for (const char* place : {"model.safetensors", "./model.safetensors", "link", "out.safetensors"}) {
    const Result result = run({"quantize", "model.safetensors", "-o", "out.safetensors", "--report", place});
    EXPECT_EQ(result.exit_code, 2) << place;
    EXPECT_TRUE(contains(result.err, "is a file of the job itself")) << result.err;
  }
  EXPECT_EQ(read("model.safetensors"), before);
  EXPECT_EQ(folder.names(), (std::set<std::string>{"link", "model.safetensors"}));
}

TEST_F(ReportFile, LeavesALinkInPlace) {
  ASSERT_EQ(::symlink("real.json", folder.path("link.json").c_str()), 0);
  EXPECT_EQ(run({"validate", "model.safetensors", "--report", "link.json"}).exit_code, 0);
  struct stat status {};
  ASSERT_EQ(::lstat(folder.path("link.json").c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  EXPECT_EQ(nlohmann::json::parse(read("real.json"))["kind"], "validate");
}

}  // namespace
}  // namespace mnq::test
