// Code that would cost LibTorch more than the file's size justifies is refused; the same in small passes.
#include "containers/torchscript/torchscript_bounds.h"

#include <gtest/gtest.h>

#include "base/text/format.h"
#include "containers/torchscript/torchscript_types.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

constexpr const char* kTaken = "nothing was thrown";

std::string function_of(const std::string& lines) {
  return "def f(x: Tensor,\n    n: int,\n    s: str) -> Tensor:\n" + lines + "  return x\n";
}

std::string message_of(const std::string& code, std::uint64_t file_bytes = 1024) {
  ScriptProgram program;
  program.add("__torch__", ScriptCode(code, "file", "code/__torch__.py"));
  return error_of([&] { check_script_bounds(program, {0, 1, 30}, file_bytes); }).message();
}

// s0 = FIRST, then each of what was before: STEP has {0} for it.
std::string steps(const std::string& first, const std::string& step, int count) {
  std::string lines = "  s0 = " + first + "\n";
  for (int i = 0; i < count; ++i) {
    std::string right = step;
    for (std::size_t at; (at = right.find("{0}")) != right.npos;) right.replace(at, 3, "s" + std::to_string(i));
    lines += formatted("  s{} = {}\n", i + 1, right);
  }
  return function_of(lines);
}

TEST(ScriptBounds, TextsOfConstantsAreNotMadeLonger) {
  for (const char* line :
       {"torch.add(\"a\", \"b\")", "torch.ljust(\"a\", 6000000000, \" \")", "torch.mul(\"a\", 1000)",
        "torch.zfill(str(1), 1000000000)", "torch.add(CONSTANTS.c1, \"a\")", "torch.factorial(2147483646)",
        "ops.aten._print(\"a\")", "torch.replace(torch.upper(\"a\"), \"A\", \"BB\")"}) {
    EXPECT_NE(message_of(function_of(formatted("  y = {}\n", line))).find("line 4 gives "), std::string::npos) << line;
  }
  EXPECT_NE(message_of(steps("\"aaaa\"", "torch.add({0}, {0})", 3)).find("line 5 gives add"), std::string::npos);
  EXPECT_NE(message_of(function_of("  y = \"a\"\n  z = (y).replace(\"a\", \"aa\", )\n")).find("replace"),
            std::string::npos);
  // What is not known before the module runs may be anything.
  for (const char* line :
       {"torch.add(s, \"b\")", "torch.format(\"{}\", 1)", "torch.add(1, 2)", "torch.add(CONSTANTS.c0, 1)",
        "torch.add(torch.arange(3), 1)", "torch.join(\",\", torch.split(\"a,b\", \",\"))",
        "ops.prim.RaiseException(\"no\")", "torch.add(torch.div(x, 2, rounding_mode=\"floor\"), 1)"}) {
    EXPECT_EQ(message_of(function_of(formatted("  y = {}\n", line))), kTaken) << line;
  }
  EXPECT_EQ(message_of(function_of("  if n:\n    t = \"a\"\n  else:\n    t = \"b\"\n  u = torch.add(t, \"c\")\n")),
            kTaken);
  EXPECT_EQ(message_of(function_of("  t = \"\"\n  for i in range(n):\n    t = torch.add(t, \"c\")\n")), kTaken);
  EXPECT_NE(message_of(function_of("  m = 0\n  t = \"a\"\n  for i in range(m):\n    t = s\n  u = torch.add(t, t)\n")),
            kTaken);  // the loop never runs
}

TEST(ScriptBounds, TypesDoNotDouble) {
  for (const char* step : {"({0}, {0})", "{\"a\": {0}, \"b\": {0}}", "[{0}]"}) {
    EXPECT_EQ(message_of(steps("(x, 1)", step, 3)), kTaken) << step;
  }
  EXPECT_NE(message_of(steps("(x, x)", "({0}, {0})", 26)).find("too large or too deep"), std::string::npos);
  EXPECT_NE(message_of(steps("(1, 2)", "({0}, {0})", 13)).find("too large or too deep"), std::string::npos);
  EXPECT_NE(message_of(steps("[1]", "[{0}]", 20)).find("too large or too deep"), std::string::npos);
  std::string tuples = "class N0(NamedTuple):\n  a : int\n  b : int\n";
  for (int i = 0; i < 30; ++i) {
    tuples += formatted("class N{0}(NamedTuple):\n  a : __torch__.N{1}\n  b : __torch__.N{1}\n", i + 1, i);
  }
  EXPECT_NE(message_of(tuples).find("too large or too deep"), std::string::npos);
}

TEST(ScriptBounds, ALargeFileMayHaveMoreCode) {
  std::string lines;
  for (int i = 0; i < 20'000; ++i) lines += formatted("  v{} = torch.add(x, {})\n", i, i);
  EXPECT_NE(message_of(function_of(lines)).find("more code than a file of this size"), std::string::npos);
  EXPECT_EQ(message_of(function_of(lines), 64u << 20), kTaken);
}

TEST(PickleSizes, CountWhatIsSharedEachTime) {
  // t = (1,), then ten times (t, t)
  std::string bytes("\x80\x02K\x01\x85q\x00", 7);
  for (char i = 0; i < 10; ++i) bytes += std::string("0h") + i + "h" + i + "\x86q" + static_cast<char>(i + 1);
  const std::string all = bytes + ".";
  const Pickle pickle(all, "file", "data.pkl");
  EXPECT_EQ(PickleSizes(pickle).of(pickle.root_index()), 2048u + 1023);
}

}  // namespace
}  // namespace mnq::test
