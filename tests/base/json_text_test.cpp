// JSON text that keeps its bytes.
#include "base/text/json_text.h"

#include <gtest/gtest.h>

#include "support/error_of.h"

namespace mnq::test {
namespace {

TEST(PythonJson, TakesWhatIsNoNumber) {
  EXPECT_EQ(parse_python_json(R"({"a": [NaN, Infinity, -Infinity, -1], "b": "NaN, -Infinity \" NaN"})").dump(),
            R"({"a":[null,null,null,-1],"b":"NaN, -Infinity \" NaN"})");
  for (const char* wrong : {"", "{", R"({"a": NaNa})", R"({"a": "b)", R"({"a": "b\)", "[Infinit]"}) {
    EXPECT_EQ(error_of([&] { parse_python_json(wrong); }).status(), Status::kFormat) << wrong;
  }
}

TEST(WithMember, KeepsEveryOtherByte) {
  const struct {
    const char* before;
    Json value;
    const char* after;
  } rows[] = {
      {"{\n  \"a\": NaN\n}\n", {{"b", 1}}, "{\n  \"a\": NaN,\n  \"x\": {\n    \"b\": 1\n  }\n}\n"},
      {R"({"a":[1,{"x":2}]})", 3, R"({"a":[1,{"x":2}],"x": 3})"},
      {R"({"a": "}\"", "x" : [1, {}] , "c": 1.50})", 3, R"({"a": "}\"", "x" : 3 , "c": 1.50})"},
      {R"({"a": 1, "x": {"x": "{"}, "c": 2})", nullptr, R"({"a": 1, "c": 2})"},
      {R"({ "a": 1, "x": [2] })", nullptr, R"({ "a": 1 })"},
      {R"({"x": 2})", nullptr, "{}"},
      {R"({"a": 1})", nullptr, R"({"a": 1})"},
      {"{}", 3, "{\n  \"x\": 3\n}\n"},
  };
  for (const auto& row : rows) EXPECT_EQ(with_member(row.before, "x", row.value), row.after) << row.before;
}

}  // namespace
}  // namespace mnq::test
