// What torch.jit.save prints is taken, all else is refused with its line.
#include "containers/torchscript/torchscript_syntax.h"

#include <gtest/gtest.h>

#include "base/text/format.h"
#include "containers/torchscript/torchscript_program.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

constexpr const char* kTaken = "nothing was thrown";

ScriptCode parsed(const std::string& code) { return {code, "file", "code/__torch__.py"}; }

std::string message_of(const std::string& code) {
  return error_of([&] { parsed(code); }).message();
}

std::string function_of(const std::string& lines, const std::string& parameters = "x: Tensor") {
  return formatted("def f({}) -> Tensor:\n{}  return x\n", parameters, lines);
}

// The kinds below a node, in brackets: enough to see what was understood.
std::string outline(const ScriptCode& code, const ScriptNode& node) {
  std::string text =
      formatted("{}{}", static_cast<int>(node.kind), node.text.empty() ? "" : ":" + std::string(node.text));
  if (code.parts(node).empty()) return text;
  text += "(";
  for (const ScriptNode& part : code.parts(node)) text += (text.ends_with('(') ? "" : " ") + outline(code, part);
  return text + ")";
}

const ScriptNode& first_statement(const ScriptCode& code) {
  const ScriptNode* block = nullptr;
  for (const ScriptNode& part : code.parts(code.parts(code.root()).front())) block = &part;
  return code.parts(*block).front();
}

int kind(ScriptKind kind) { return static_cast<int>(kind); }

TEST(ScriptSyntax, WhatIsPrintedIsTaken) {
  for (const std::string line : {
           "  y = torch.add(x, 1, alpha=2)",
           "  a, b = torch.max(x, -1), x",
           "  a, b, = x",
           "  a, = x",
           "  self.a.b = x",
           "  (x)[0].c = x",
           "  n : int = 3",
           "  n: Optional[Tensor] = None",
           "  x",
           "  y = (getattr(self, \"0\")).forward(x, (1, 2), )",
           "  y = (x)[0:2]",
           "  y = x[-1]",
           "  y = {\"a\": 1, \"b\": [1., 2.5e-05, -inf, nan]}",
           "  y = annotate(Dict[str, List[int]], {})",
           "  y = annotate(List[Optional[Tensor]], [None, x])",
           "  y = uninitialized(Tuple[()])",
           "  y = isinstance(x, (Tensor, List[int]))",
           "  y = unchecked_cast(Tuple[Tensor, int], x)[0]",
           "  y = ((1, \"two\\n\\\"\\303\"), (3,), ())",
           "  y = [1.+2.j, -1.-infj, 2j]",
           "  y = __torch__.Pair(x, 1)",
           "  y = __torch__.Impl.__new__(__torch__.Impl)",
           "  y = (__torch__.Color.RED).value",
           "  y = annotate(List[float], x.tolist())",
           "  ops.prim.RaiseException(\"no\", \"builtins.ValueError\")",
           "  for i in range(torch.len(x)):\n    pass",
           "  while torch.lt(x, 1):\n    x = x",
           "  with self.c as d:\n    pass",
           "  with self.c:\n    y = x",
           "  if torch.eq(x, 1):\n    a, b = x, 1\n  else:\n    if x:\n      pass\n    else:\n      a, b = x, 2",
           "  def __forked_function():\n    return x\n  y = fork(__forked_function)",
       }) {
    EXPECT_EQ(message_of(function_of(line + "\n")), kTaken) << line;
  }
  for (const char* parameters :
       {"", "x", "self, x: Tensor", "x: Tensor,\n    n: int=-3", "t: Tuple[int, str]=(1, \"a\")", "l: List[int]=[1, 2]",
        "l: List[int]=annotate(List[int], [])", "d: Device=torch.device(\"cpu\")", "s: str=CONSTANTS.c0",
        "c: __torch__.Color=__torch__.Color.RED", "o: Optional[Dict[str, int]]=None", "b: bool=True",
        "f: float=-inf"}) {
    EXPECT_EQ(message_of(function_of("", parameters)), kTaken) << parameters;
  }
  for (const char* member :
       {"__parameters__ = [\"weight\", ]", "__buffers__ = []", "weight : Tensor", "__annotations__ = []",
        "__annotations__[\"0\"] = __torch__.Linear", "eps : Final[float] = 1e-05",
        "names : Final[Tuple[str, str]] = (\"a\", \"b\")", "__forward_hooks__ = [\"a\", \"b\", ]"}) {
    EXPECT_EQ(message_of(formatted("class M(Module):\n  {}\n", member)), kTaken) << member;
  }
  EXPECT_EQ(message_of("op_version_set = 1\nimport __torch__.a.b\nclass E(Enum):\n  A = 1\n  B = \"b\"\n"), kTaken);
  EXPECT_EQ(message_of("class N(NamedTuple):\n  a : Tensor\n  b : int = 3\nclass S:\n  k : int\n"), kTaken);
  EXPECT_EQ(message_of("class I(ModuleInterface):\n  def forward(self, x: Tensor) -> Tensor:\n    pass\n"), kTaken);
  EXPECT_EQ(message_of(""), kTaken);
}

TEST(ScriptSyntax, TheTreeSaysWhatThereIs) {
  const ScriptCode code = parsed(function_of("  y = torch.add((self).forward(x, ), [1, -2.], out=None)\n"));
  const auto [name, number, call] =
      std::tuple(kind(ScriptKind::kName), kind(ScriptKind::kNumber), kind(ScriptKind::kCall));
  EXPECT_EQ(outline(code, first_statement(code)),
            formatted("{}({}:y {}({}:torch.add {}({}:forward({}:self) {}:x) {}({}:1 {}:-2.) {}:out({})))",
                      kind(ScriptKind::kAssign), name, call, name, call, kind(ScriptKind::kAttribute), name, name,
                      kind(ScriptKind::kList), number, number, kind(ScriptKind::kKeyword), kind(ScriptKind::kNone)));
  EXPECT_EQ(first_statement(code).line, 2u);
  EXPECT_EQ(code.under(first_statement(code)).size(), 13u);

  const ScriptCode type = ScriptCode::type("Dict[str, Tuple[()]]", "file", "data.pkl");
  EXPECT_EQ(outline(type, type.root()), formatted("{0}:Dict({0}:str {0}:Tuple({0}))", kind(ScriptKind::kType)));
}

struct Refused {
  const char* name;
  std::string code;
  const char* says;
};

std::vector<Refused> refused() {
  const auto line = [](const std::string& text) { return function_of("  " + text + "\n"); };
  const auto nested = [](const char* open, const char* inner, const char* close, std::size_t depth) {
    std::string text = inner;
    for (std::size_t i = 0; i < depth; ++i) text = open + text + close;
    return text;
  };
  std::string ifs;
  for (std::size_t i = 0; i < kMostScriptBlocks; ++i) ifs += std::string(2 * i + 2, ' ') + "while x:\n";
  return {
      {"Comment", "# here\n" + function_of(""), "line 1 begins with '# here'"},
      {"CommentInside", function_of("  # here\n"), "line 2 "},
      {"EmptyLine", "\n" + function_of(""), "line 1 is an empty line"},
      {"BlankLine", function_of("  \n"), "line 2 is an empty line"},
      {"Backslash", function_of("  y = \\\n    x\n"), "line 2 "},
      {"Semicolon", line("y = x;"), "line 2 "},
      {"Tab", "def f(x: Tensor) -> Tensor:\n\treturn x\n", "line 2 "},
      {"OddIndentation", "def f(x: Tensor) -> Tensor:\n   return x\n", "line 2 is indented"},
      {"CutOff", "def f(x: Tensor) -> Tensor:\n  return x", "line 2 "},
      {"NoBody", "def f(x: Tensor) -> Tensor:\n", "without statements"},
      {"Operator", line("y = x + x"), "line 2 "},
      {"Comparison", line("y = x == x"), "line 2 "},
      {"Not", line("y = not(x)"), "line 2 "},
      {"Lambda", line("y = lambda x: x"), "line 2 "},
      {"Comprehension", line("y = [i for i in x]"), "line 2 "},
      {"Star", line("y = torch.add(*x)"), "line 2 "},
      {"AugmentedAssignment", line("y += x"), "line 2 "},
      {"Assert", line("assert x"), "line 2 "},
      {"Raise", line("raise x"), "line 2 "},
      {"Break", line("break"), "line 2 "},
      {"TypeComment", "def f(x): # type: (int) -> int\n  return x\n", "line 1 "},
      {"LongText", line("y = \"\"\"a\"\"\""), "line 2 has two texts"},
      {"TextWithoutEnd", line("y = \"a"), "line 2 has a text without an end"},
      {"MethodOfText", line("y = \"a\".replace(\"a\", \"b\")"), "line 2 has an attribute of a text"},
      {"CallOfCall", line("y = f(x)(x)"), "line 2 calls what is no function"},
      {"Namespace", line("y = getattr(torch, \"add\")"), "line 2 has torch as a value"},
      {"OperatorAsValue", line("y = torch.add"), "line 2 has torch.add as a value"},
      {"Hexadecimal", line("y = 0x10"), "line 2 has a number that goes on"},
      {"ElseIf", function_of("  if x:\n    pass\n  elif x:\n    pass\n  else:\n    pass\n"), "line 4 "},
      {"IfWithoutElse", function_of("  if x:\n    pass\n"), "line 4 has an if without an else"},
      {"ReturnWithin", function_of("  while x:\n    return x\n"), "line 3 returns from within"},
      {"BehindReturn", function_of("  return x\n"), "line 3 has a statement behind a return"},
      {"Decorator", "@torch.f\n" + function_of(""), "line 1 "},
      {"Base", "class A(Object):\n  a : int\n", "line 1 has a class of the base Object"},
      {"StatementInClass", "class A(Module):\n  torch.save(1, \"a\")\n", "line 2 "},
      {"StatementInFile", "x = 1\n", "line 1 "},
      {"NamesWithoutQuotes", "class A(Module):\n  __buffers__ = [xax, ]\n", "line 2 has 'xax, ]' where a text"},
      {"NamesCutOff", "class A(Module):\n  __buffers__ = [", "line 2 has '' where a text belongs"},
      {"FieldWithValue", "class A(Module):\n  a : int = 3\n", "line 2 "},
      {"BracketsTooDeep", line("y = " + nested("(", "x", ",)", kMostScriptNesting + 1)), "line 2 nests more than"},
      {"TypesTooDeep", line("y : " + nested("List[", "int", "]", kMostScriptNesting + 1) + " = x"), "line 2 nests"},
      {"BlocksTooDeep", function_of(ifs + std::string(2 * kMostScriptBlocks + 2, ' ') + "pass\n"), "has blocks nested"},
      {"DefaultCalls", function_of("", "x: Tensor,\n    y: int=torch.add(1, 2)"), "line 2 gives a default"},
      {"DefaultSaves", function_of("", "y: NoneType=torch.save(1, \"a\")"), "line 1 gives a default"},
      {"DefaultInList", function_of("", "y: List[Tensor]=[torch.rand([9])]"), "line 1 gives a default"},
      {"DefaultOfMethod", function_of("", "y: int=(x).f(1, )"), "line 1 gives a default"},
      {"DefaultIndexes", function_of("", "y: int=[1, 2][0]"), "line 1 gives a default"},
      {"DefaultIsLocal", function_of("", "y: int=x"), "line 1 gives a default"},
      {"ConstantCalls", "class A(Module):\n  a : Final[int] = torch.rand([1])\n", "line 2 gives a default"},
      {"EnumerationCalls", "class A(Enum):\n  A = torch.rand([1])\n", "line 2 gives a default"},
      {"NamedTupleCalls", "class A(NamedTuple):\n  a : int = torch.rand([1])\n", "line 2 gives a default"},
      {"NoUtf8", "def f() -> int:\n  return \"\xff\"\n", "is no UTF-8"},
      {"ZeroByte", std::string("def f() -> int:\n  return \"\0\"\n", 28), "holds a zero byte"},
  };
}

TEST(ScriptSyntax, AllElseIsRefused) {
  for (const Refused& each : refused()) {
    const Error error = error_of([&] { parsed(each.code); });
    EXPECT_EQ(error.status(), Status::kFormat) << each.name;
    EXPECT_NE(error.message().find(each.says), std::string::npos) << each.name << ": " << error.message();
    EXPECT_EQ(error.subject(), "code/__torch__.py") << each.name;
  }
}

TEST(ScriptProgram, ADefaultCallsNothingButANamedTuple) {
  const auto message = [](const std::string& parameter) {
    ScriptProgram program;
    program.add("__torch__",
                parsed("class N(NamedTuple):\n  a : int\ndef g(a: int) -> int:\n  return a\nclass C:\n  a : int\n" +
                       function_of("", parameter)));
    return error_of([&] { program.check(); }).message();
  };
  EXPECT_EQ(message("n: __torch__.N=__torch__.N(1,)"), kTaken);
  EXPECT_NE(message("n: int=__torch__.g(1, )").find("line 7 calls __torch__.g in a default"), std::string::npos);
  EXPECT_NE(message("n: __torch__.C=__torch__.C.__new__(__torch__.C)").find("line 7 calls"), std::string::npos);
  EXPECT_NE(message("n: __torch__.D").find("names __torch__.D, which"), std::string::npos);
}

}  // namespace
}  // namespace mnq::test
