// Safetensors files that break one rule each: every one is refused with FORMAT, a message that names the file and what
// is wrong in it, and without a crash. The rules: https://github.com/huggingface/safetensors, and that no key stands
// twice.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "formats/open_source.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + rest;
}

std::string file_of(const std::string& header, std::size_t data_bytes) {
  return with_length(header.size(), header + std::string(data_bytes, '\1'));
}

struct Case {
  const char* name;
  std::string bytes;
  const char* names;  // must stand in the message: the tensor, the field, the fact
};

std::ostream& operator<<(std::ostream& out, const Case& broken) { return out << broken.name; }

std::vector<Case> cases() {
  const auto header = [](const std::string& json, std::size_t data = 8) { return file_of(json, data); };
  return {
      {"Empty", "", "is empty"},
      {"SevenBytes", std::string(7, '\0'), "7 bytes"},
      {"LengthOnly", with_length(0, ""), "8 bytes"},
      {"LengthZero", with_length(0, "{}"), "header"},
      {"LengthOfHundredMillionAndOne", with_length(100'000'001, "{}"), "100000001 exceeds 100000000"},
      {"LengthOfAllBits", with_length(~std::uint64_t{0}, "{}"), "exceeds"},
      {"LengthBeyondTheFile", with_length(3, "{}"), "exceeds the 2 bytes"},
      {"NoBraceFirst", header(R"( {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"), "start with '{'"},
      {"ByteOrderMark", header("\xEF\xBB\xBF{}", 0), "start with '{'"},
      {"NotJson", header("{nonsense}"), "not JSON"},
      {"UnfinishedJson", header(R"({"a":{"dtype":"F32")"), "not JSON"},
      {"TrailingText", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}x)"), "not JSON"},
      {"TwoDocuments", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}{})"), "not JSON"},
      {"InvalidUtf8", header("{\"\xFF\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"), "not JSON"},
      {"LoneSurrogate", header(R"({"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"), "not JSON"},
      {"NumberTooLargeForADouble", header(R"({"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,8]}})"), ""},
      {"TensorIsANumber", header(R"({"a":1})"), "a is a number"},
      {"TensorIsAList", header(R"({"a":[]})"), "a is a list"},
      {"TensorIsNull", header(R"({"a":null})"), "a is null"},
      {"EmptyName", header(R"({"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"), "without a name"},
      {"DtypeMissing", header(R"({"a":{"shape":[2],"data_offsets":[0,8]}})"), "tensor a: dtype is missing"},
      {"ShapeMissing", header(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})"), "tensor a: shape is missing"},
      {"OffsetsMissing", header(R"({"a":{"dtype":"F32","shape":[2]}})"), "tensor a: data_offsets is missing"},
      {"UnknownFieldTooDeep",
       header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":)" + std::string(126, '[') +
              std::string(126, ']') + "}}"),
       "x is nested too deep"},
      {"UnknownFieldAlone", header(R"({"a":{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}})"),
       "tensor a: dtype is missing"},
      {"MetadataNullAndAgain", header(R"({"__metadata__":null,"__metadata__":{}})", 0), "__metadata__ twice"},
      {"MetadataValueIsNull", header(R"({"__metadata__":{"k":null}})", 0), "k is null"},
      {"MetadataIsAText", header(R"({"__metadata__":"k"})", 0), "__metadata__ is a text"},
      {"FieldTwice", header(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
       "dtype is there twice"},
      {"NameTwice",
       header(
           R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
       "a twice"},
      {"MetadataTwice", header(R"({"__metadata__":{},"__metadata__":{}})", 0), "__metadata__ twice"},
      {"MetadataKeyTwice", header(R"({"__metadata__":{"k":"1","k":"2"}})", 0), "key k twice"},
      {"MetadataIsAList", header(R"({"__metadata__":[]})", 0), "__metadata__ is a list"},
      {"MetadataValueIsANumber", header(R"({"__metadata__":{"k":1}})", 0), "k is a number"},
      {"MetadataValueIsAnObject", header(R"({"__metadata__":{"k":{}}})", 0), "k"},
      {"UnknownDtype", header(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})"), "'F33' is unknown"},
      {"DtypeInLowerCase", header(R"({"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}})"), "'f32' is unknown"},
      {"DtypeIsANumber", header(R"({"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}})"), "dtype"},
      {"ShapeIsANumber", header(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})"), "shape"},
      {"ShapeIsNested", header(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})"), "shape"},
      {"NegativeSize", header(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
       "shape must not hold a negative number"},
      {"SizeWithAFraction", header(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})"), "shape"},
      {"SizeIsAText", header(R"({"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})"), "shape"},
      {"SizeBeyond63Bits", header(R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}})"),
       "shape is too large"},
      {"SizeBeyond64Bits", header(R"({"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}})"),
       "shape"},
      {"ProductOverflows", header(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})"),
       "overflows"},
      {"BytesOverflow", header(R"({"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,8]}})"),
       "overflows"},
      {"ZeroTimesOverflow", header(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,8]}})"),
       "tensor a"},
      {"SubByteTotalIsNoWholeByte", header(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,8]}})"),
       "no whole number of bytes"},
      {"SixBitTotalIsNoWholeByte", header(R"({"a":{"dtype":"F6_E2M3","shape":[2],"data_offsets":[0,8]}})"),
       "no whole number of bytes"},
      {"OneOffset", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}})"),
       "data_offsets must hold two numbers"},
      {"ThreeOffsets", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}})"),
       "data_offsets must hold two numbers"},
      {"NegativeOffset", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})"), "data_offsets"},
      {"EndsBeforeItStarts", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"),
       "ends before it starts"},
      {"TooFewBytesForTheShape", header(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"), "needs 12"},
      {"TooManyBytesForTheShape", header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})"), "needs 4"},
      {"FirstDoesNotStartAtZero", header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
       "tensor a: data_offsets start at 4"},
      {"Gap",
       header(
           R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
           12),
       "tensor b: data_offsets start at 8"},
      {"Overlap",
       header(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
           12),
       "tensor b: data_offsets start at 4"},
      {"DataIsMissing", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7),
       "tensor a: data_offsets end at 8"},
      {"DataIsLeftOver", header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9), "9 bytes of data"},
      {"DataWithoutTensors", header("{}", 1), "1 bytes of data"},
      {"OffsetsAtTheEndOfTheNumbers",
       header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}})"),
       "tensor a"},
  };
}

class Malformed : public testing::TestWithParam<Case> {};

TEST_P(Malformed, IsRefused) {
  const TempFolder folder;
  const std::string path = folder.path("broken.safetensors");
  write_bytes(path, GetParam().bytes);
  try {
    open_source(path);
    FAIL() << "was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kFormat) << error.message();
    EXPECT_NE(error.message().find("broken.safetensors"), std::string::npos) << error.message();
    EXPECT_NE(error.message().find(GetParam().names), std::string::npos) << error.message();
    EXPECT_FALSE(error.suggestion().empty());
    EXPECT_FALSE(error.subject().empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Safetensors, Malformed, testing::ValuesIn(cases()),
                         [](const auto& each) { return std::string(each.param.name); });

// Opens bytes: whether they are a model. Anything but FORMAT or UNSUPPORTED fails the test.
bool opens(const std::string& bytes) {
  try {
    const auto source = open_memory(std::as_bytes(std::span(bytes)));
    for (std::size_t i = 0; i < source->tensors().size(); ++i) {
      std::vector<std::byte> data(source->tensors()[i].size_bytes);
      source->read(i, 0, data);
    }
    return true;
  } catch (const Error& error) {
    const bool expected = error.status() == Status::kFormat || error.status() == Status::kUnsupported;
    EXPECT_TRUE(expected) << error.message();
    return false;
  }
}

std::string sound_file() {
  return file_of(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"I64","shape":[],"data_offsets":[24,32]},"c":{"dtype":"U8","shape":[0],"data_offsets":[32,32]}})",
      32);
}

TEST(Damaged, CutOffAtEveryByte) {
  const std::string bytes = sound_file();
  ASSERT_TRUE(opens(bytes));
  for (std::size_t length = 0; length < bytes.size(); ++length) EXPECT_FALSE(opens(bytes.substr(0, length))) << length;
}

TEST(Damaged, BytesAreChanged) {
  const std::string sound = sound_file();
  std::mt19937 random(1);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string bytes = sound;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    opens(bytes);
  }
}

TEST(Damaged, DeeplyNestedJson) {
  const std::string deep(1'000'000, '[');
  EXPECT_FALSE(opens(file_of("{\"a\":" + deep, 0)));
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(opens(file_of(objects, 0)));
}

TEST(Sound, WhatIsUnusualButAllowed) {
  EXPECT_TRUE(opens(file_of("{}", 0)));
  EXPECT_TRUE(opens(file_of("{}      ", 0)));
  EXPECT_TRUE(opens(file_of(R"({"a":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}})", 4)));  // any order of fields
  EXPECT_TRUE(opens(file_of(R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", 2)));   // below a byte
  EXPECT_TRUE(opens(file_of(R"({"a":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[0,3]}})", 3)));
  EXPECT_TRUE(opens(file_of(R"({"a\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)));  // a NUL in a name
  EXPECT_TRUE(opens(file_of(
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      2)));
}

TEST(OtherFormats, AreNamedAndRefused) {
  for (const std::string& start : {std::string("GGUF"), std::string("\x80\x02\x8a\x0a")}) {
    const std::string bytes = start + std::string(60, 'x');
    try {
      open_memory(std::as_bytes(std::span(bytes)));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kUnsupported) << error.message();
      EXPECT_EQ(error.message().find("safetensors"), std::string::npos) << "it was taken for one";
    }
  }
}

}  // namespace
}  // namespace mnq::test
