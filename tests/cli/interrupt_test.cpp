// Ctrl-C: at once, and nothing is left behind.
#include <algorithm>

#include "cli/slow_job.h"
#include "support/terminal.h"

namespace mnq::test {
namespace {

constexpr double kPromptSeconds = 0.2;

using Interrupt = SlowJobTest;

// The best of three: another program may hold the CPU for a moment.
TEST_F(Interrupt, StopsAtOnceAndLeavesNothing) {
  double fastest = 1e9;
  for (int attempt = 0; attempt < 3 && fastest > kPromptSeconds; ++attempt) {
    Process process(slow_command(), slow_options());
    ASSERT_TRUE(wait_until_it_works());
    const auto start = std::chrono::steady_clock::now();
    process.send(SIGINT);
    const Result result = process.wait();
    fastest = std::min(fastest, seconds_since(start));
    EXPECT_EQ(result.exit_code, 130);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err, "monoquant: cancelled: nothing was written\n");
    EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
  }
  EXPECT_LE(fastest, kPromptSeconds);
}

TEST_F(Interrupt, TerminateIsCancelTooWithItsOwnCode) {
  Process process(slow_command(), slow_options());
  ASSERT_TRUE(wait_until_it_works());
  process.send(SIGTERM);
  EXPECT_EQ(process.wait().exit_code, 143);
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
}

TEST_F(Interrupt, TakesTheUnfinishedReportAlong) {
  std::vector<std::string> command = slow_command();
  command.insert(command.end(), {"--report", "report.json", "--json"});
  Process process(command, slow_options());
  ASSERT_TRUE(wait_until_it_works());
  process.send(SIGINT);
  const Result result = process.wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_EQ(nlohmann::json::parse(result.out)["error"]["status"], "CANCELLED");
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
}

TEST_F(Interrupt, FromTheKeyboardWipesTheProgressLine) {
  SKIP_WITHOUT_TERMINALS();
  TerminalProcess process(slow_command(), slow_options(), 80);
  ASSERT_TRUE(process.wait_for("quantizing")) << process.shown();
  process.type("\x03");
  EXPECT_EQ(process.wait(), 130);
  const std::string& shown = process.shown();
  const std::size_t message = shown.find("cancelled: nothing was written");
  ASSERT_NE(message, shown.npos) << shown;
  EXPECT_LT(shown.rfind("quantizing"), shown.rfind("\r\x1b[K")) << shown;
  EXPECT_LT(shown.rfind("\r\x1b[K"), message) << shown;
  EXPECT_EQ(folder.names(), std::set<std::string>{"model.safetensors"});
}

// Stopped as the first one arrives, the program has two to take when it goes on. Who is killed has no last words.
TEST_F(Interrupt, TheSecondKills) {
  Process process(slow_command(), slow_options());
  ASSERT_TRUE(wait_until_it_works());
  process.send(SIGSTOP);
  process.send(SIGINT);
  process.send(SIGTERM);
  process.send(SIGCONT);
  const Result result = process.wait();
  EXPECT_TRUE(result.exit_code == 130 || result.exit_code == 143) << result.exit_code;
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace mnq::test
