// JSON as it is read and written: reports, settings and our metadata go through it.
#include "base/text/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "support/error_of.h"

namespace mnq::test {
namespace {

TEST(JsonText, IsWrittenOnOneLineInTheOrderItCame) {
  Json json{{"b", 1}, {"a", {{"deep", true}}}, {"list", std::vector<int>{1, 2}}};
  json["none"] = nullptr;
  EXPECT_EQ(json.dump(), R"({"b":1,"a":{"deep":true},"list":[1,2],"none":null})");
  EXPECT_EQ(Json::array().dump(), "[]");
  EXPECT_EQ(Json::object().dump(), "{}");
  EXPECT_EQ(Json().dump(), "null");
}

TEST(JsonText, Numbers) {
  EXPECT_EQ(Json(INT64_MAX).dump(), "9223372036854775807");
  EXPECT_EQ(Json(INT64_MIN).dump(), "-9223372036854775808");
  EXPECT_EQ(Json(0.1).dump(), "0.1");
  EXPECT_EQ(Json(2.0).dump(), "2.0");  // it stays a float
  EXPECT_EQ(Json(1e300).dump(), "1e+300");
  EXPECT_EQ(Json(-0.0).dump(), "-0.0");
  using Limits = std::numeric_limits<double>;
  for (const double value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
    EXPECT_EQ(Json(value).dump(), "null");
  }
}

TEST(JsonText, TextIsEscapedAndAlwaysUtf8) {
  EXPECT_EQ(Json("a\"b\\c").dump(), R"("a\"b\\c")");
  EXPECT_EQ(Json("\b\f\n\r\t").dump(), R"("\b\f\n\r\t")");
  EXPECT_EQ(Json(std::string("\x01\x1f\0", 3)).dump(), R"("\u0001\u001f\u0000")");
  EXPECT_EQ(Json("ü€😀").dump(), "\"ü€😀\"");
  EXPECT_EQ(Json("a\xff\xc3").dump(), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ((Json{{"\xff", 1}}).dump(), "{\"\xef\xbf\xbd\":1}");
}

TEST(JsonText, ComesBackAsItWas) {
  for (const char* text : {"null", "true", "-1", "0.25", "9223372036854775807", R"("a\"\\\n\u0000ü")", "[]", "{}",
                           R"([[1,[]],{"a":{}}])", R"({"b":[1,2.5,"c",null,false],"a":{"x":-9223372036854775808}})"}) {
    const Json json = parse_json(text);
    EXPECT_EQ(parse_json(json.dump()), json) << text;
  }
}

TEST(JsonParser, WhatIsNone) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,]",
                           "{\"a\":}",
                           "{a:1}",
                           "'a'",
                           "01",
                           "+1",
                           ".5",
                           "1.",
                           "nul",
                           "[1] 2",
                           "\"\\x\"",
                           "\"\n\"",
                           "1e400",
                           "-1e400",
                           "\"\xff\"",
                           "\"\xed\xa0\x80\"",
                           R"("\ud800")",
                           R"("\udc00\ud800")",
                           "NaN",
                           "Infinity",
                           "/* */ 1"}) {
    const Error error = error_of([&] { parse_json(text); });
    EXPECT_EQ(error.status(), Status::kFormat) << text;
    EXPECT_FALSE(error.message().empty());
  }
}

TEST(JsonParser, NoMemberTwiceAndNoDepthWithoutEnd) {
  for (const char* text : {R"({"a":1,"a":1})", R"([{"b":{"a":1,"c":2,"a":3}}])", R"({"a":1,"\u0061":2})"}) {
    EXPECT_EQ(error_of([&] { parse_json(text); }).status(), Status::kFormat) << text;
  }
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(parse_json(nested(64)).dump(), nested(64));
  EXPECT_EQ(error_of([&] { parse_json(nested(65)); }).status(), Status::kFormat);
  EXPECT_EQ(error_of([&] { parse_json(std::string(1'000'000, '[')); }).status(), Status::kFormat);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(error_of([&] { parse_json(objects); }).status(), Status::kFormat);
}

TEST(JsonParser, ManyMembersTakeNoTime) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":" + std::to_string(i);
  EXPECT_EQ(parse_json(text + "}").size(), 100'000u);
}

// What a wrong type in a file gives: an error, never another value.
TEST(JsonValue, IsWhatItIsAskedForOrAnError) {
  const Json json = parse_json(R"({"i": 300, "n": -1, "d": 1.5, "s": "t", "l": [1, 2], "m": [1, "x"], "b": true})");
  EXPECT_EQ(json["i"].get<int>(), 300);
  EXPECT_EQ(json["i"].get<double>(), 300.0);
  EXPECT_EQ(json["d"].get<double>(), 1.5);
  EXPECT_EQ(json["l"].get<std::vector<std::int64_t>>(), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(json["s"].text(), "t");
  EXPECT_EQ(json["l"].size(), 2u);
  EXPECT_EQ(json.find("none"), nullptr);
  EXPECT_EQ(json["s"].find("none"), nullptr);  // no object has no members
  const auto is_refused = [](auto&& action) { return error_of(action).status() == Status::kFormat; };
  EXPECT_TRUE(is_refused([&] { json["i"].get<std::uint8_t>(); }));
  EXPECT_TRUE(is_refused([&] { json["n"].get<std::uint64_t>(); }));
  EXPECT_TRUE(is_refused([&] { json["d"].get<int>(); }));
  EXPECT_TRUE(is_refused([&] { json["b"].get<int>(); }));
  EXPECT_TRUE(is_refused([&] { json["i"].get<bool>(); }));
  EXPECT_TRUE(is_refused([&] { json["i"].text(); }));
  EXPECT_TRUE(is_refused([&] { json["m"].get<std::vector<int>>(); }));
  EXPECT_TRUE(is_refused([&] { json["s"].elements(); }));
  EXPECT_TRUE(is_refused([&] { json["l"].members(); }));
  EXPECT_TRUE(is_refused([&] { json["none"]; }));
  EXPECT_TRUE(is_refused([] { parse_json("18446744073709551616").get<std::uint64_t>(); }));
}

TEST(JsonValue, NumbersAreEqualWhateverTheirType) {
  EXPECT_EQ(parse_json("1"), parse_json("1.0"));
  EXPECT_NE(parse_json("1"), parse_json("true"));
  EXPECT_NE(parse_json("9007199254740993"), parse_json("9007199254740992"));
}

}  // namespace
}  // namespace mnq::test
