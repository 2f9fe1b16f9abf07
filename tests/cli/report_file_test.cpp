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

TEST_F(ReportFile, ReplacesTheOneBefore) {
  write("report.json", "old");
  EXPECT_EQ(run({"validate", "model.safetensors", "-q", "--report", "report.json"}).exit_code, 0);
  EXPECT_NE(read("report.json"), "old");
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
