// What a person sees: colours, progress and names that fit, on a terminal and nowhere else.
#include "support/terminal.h"
#include "cli/slow_job.h"

namespace mnq::test {
namespace {

const std::string kEscape = "\x1b";

class OnTerminal : public CliTest {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_TERMINALS();
    CliTest::SetUp();
  }

  std::string show(const std::vector<std::string>& arguments, std::vector<std::string> environment = {},
                   unsigned short columns = 80) const {
    if (environment.empty() || !environment.front().starts_with("TERM=")) environment.emplace_back("TERM=xterm");
    TerminalProcess process(command_of(arguments), options(environment), columns);
    EXPECT_EQ(process.wait(), 0) << process.shown();
    return process.shown();
  }
};

TEST_F(OnTerminal, ColoursAreThereUnlessUnwanted) {
  EXPECT_TRUE(contains(show({"info", "model.safetensors"}), kEscape));
  EXPECT_FALSE(contains(show({"info", "model.safetensors"}, {"NO_COLOR=1"}), kEscape));
  EXPECT_FALSE(contains(show({"info", "model.safetensors"}, {"CI=true"}), kEscape));
  EXPECT_FALSE(contains(show({"info", "model.safetensors"}, {"TERM=dumb"}), kEscape));
  EXPECT_TRUE(contains(show({"info", "model.safetensors"}, {"NO_COLOR="}), kEscape));
}

TEST_F(OnTerminal, PipesGetNoEscapeCode) {
  for (const char* command : {"info", "quantize", "validate"}) {
    const Result result = run({command, "model.safetensors"}, {"TERM=xterm", "COLORTERM=truecolor"});
    EXPECT_FALSE(contains(result.out + result.err, kEscape)) << command;
  }
}

TEST_F(OnTerminal, PoorAccuracyStandsOut) {
  // 4 bits of (7.5, 0.5, 0.5, 0.5): scale 1, errors of 0.5: 10 log10((56.25 + 0.75) / 1) = 17.5587 dB
  write("model.safetensors", SafetensorsBytes().add<float>("fc.weight", "F32", "[1,4]", {7.5, 0.5, 0.5, 0.5}).bytes());
  const std::string shown = show(
      {"quantize", "model.safetensors", "--bits", "4", "--set", "min_parameters=0", "--set", "method=minmax"}, {}, 120);
  EXPECT_TRUE(contains(shown, "\x1b[33m17.6\x1b[0m")) << shown;
  EXPECT_TRUE(contains(shown, "\x1b[33mwarning:\x1b[0m fc: 17.55 dB is below 20 dB")) << shown;
}

class LongNames : public OnTerminal {
 protected:
  const std::string name =
      "model.decoder.layers.with.a.very.long.name.that.no.terminal.can.show.whole.self_attention.query_projection";

  void SetUp() override {
    SKIP_WITHOUT_TERMINALS();
    write("model.safetensors", SafetensorsBytes().add<float>(name + ".weight", "F32", "[1,2]", {1, 2}).bytes());
  }
};

TEST_F(LongNames, AreShortenedInTheMiddleToTheWidth) {
  for (const unsigned short columns : {60, 80, 120}) {
    const std::string shown = show({"quantize", "model.safetensors", "-n"}, {"NO_COLOR=1"}, columns);
    const std::string line = line_with(shown, "…");
    EXPECT_TRUE(contains(line, "model.")) << shown;
    EXPECT_TRUE(contains(line, "projection")) << shown;
    EXPECT_LE(line.size(), columns + 4U) << line;  // … and × have more bytes than columns, and there is \r
  }
}

TEST_F(LongNames, AreWholeInPipes) {
  EXPECT_TRUE(contains(run({"quantize", "model.safetensors", "-n"}).out, "  " + name + "  "));
}

TEST_F(OnTerminal, NamesCannotMoveTheCursor) {
  write("model.safetensors", SafetensorsBytes().add<float>("a\\u001b[2Jb\\nc.weight", "F32", "[1,2]", {1, 2}).bytes());
  const Result result = run({"info", "model.safetensors"});
  EXPECT_TRUE(contains(result.out, "a\\x1b[2Jb\\x0ac.weight")) << result.out;
  EXPECT_FALSE(contains(result.out, kEscape));
}

TEST_F(OnTerminal, WideLettersLineUp) {
  write("model.safetensors", SafetensorsBytes()
                                 .add<float>("層.weight", "F32", "[1,2]", {1, 2})
                                 .add<float>("ab.weight", "F32", "[1,2]", {1, 2})
                                 .bytes());
  const Result result = run({"info", "model.safetensors"});
  EXPECT_TRUE(contains(result.out, "  層.weight  F32")) << result.out;
  EXPECT_TRUE(contains(result.out, "  ab.weight  F32")) << result.out;
}

TEST_F(OnTerminal, ShortJobsShowNoProgress) {
  EXPECT_FALSE(contains(show({"quantize", "model.safetensors"}), "quantizing"));
}

using Progress = SlowJobTest;

TEST_F(Progress, TellsPercentageBytesRateAndTimeLeft) {
  SKIP_WITHOUT_TERMINALS();
  TerminalProcess process(slow_command(), slow_options(), 80);
  ASSERT_TRUE(process.wait_for(" left")) << process.shown();
  const std::string& shown = process.shown();
  EXPECT_TRUE(contains(shown, "  quantizing  ")) << shown;
  EXPECT_TRUE(contains(shown, " %  ")) << shown;
  EXPECT_TRUE(contains(shown, "B of ")) << shown;
  EXPECT_TRUE(contains(shown, "B/s  ")) << shown;
}

TEST_F(Progress, IsSilentUnderCiAndInPipes) {
  SKIP_WITHOUT_TERMINALS();
  const std::vector<std::string> info = command_of({"validate", "model.safetensors", "--threads", "1"});
  TerminalProcess process(info, slow_options({"CI=1"}), 80);
  EXPECT_EQ(process.wait(), 0);
  EXPECT_FALSE(contains(process.shown(), "validating")) << process.shown();
  const Result result = run_process(info, slow_options());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace mnq::test
