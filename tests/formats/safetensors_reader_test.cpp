// What safetensors' own loader takes is taken here: a __metadata__ of null, fields of tensors that it does not know,
// and any order of fields. Checked with safetensors 0.8.0.
#include <gtest/gtest.h>

#include <cstring>

#include "formats/open_source.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + data;
}

std::shared_ptr<const TensorSource> source_of(const TempFolder& folder, const std::string& header,
                                              const std::string& data) {
  const std::string path = folder.path("model.safetensors");
  write_bytes(path, file_of(header, data));
  return open_source(path);
}

std::string data_of(const TensorSource& source, std::size_t tensor) {
  std::string data(source.tensors()[tensor].size_bytes, '\0');
  source.read(tensor, 0, std::as_writable_bytes(std::span(data)));
  return data;
}

TEST(SafetensorsReader, MetadataOfNullIsNone) {
  const TempFolder folder;
  for (const char* header : {R"({"__metadata__":null,"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"__metadata__":null})"}) {
    const auto source = source_of(folder, header, "abcd");
    EXPECT_TRUE(source->metadata().empty());
    ASSERT_EQ(source->tensors().size(), 1u);
    EXPECT_EQ(data_of(*source, 0), "abcd");
  }
}

TEST(SafetensorsReader, UnknownFieldsOfAnyKindAreReadOverAndSaid) {
  const TempFolder folder;
  for (const char* value : {"1", "-1", "1.5", "null", "true", "\"text\"", "[]", "{}", "[1,[2,{\"dtype\":\"F32\"}],3]",
                            "{\"shape\":[9],\"x\":{\"y\":[null]}}", "123456789012345678901234567890"}) {
    for (const bool is_last : {false, true}) {
      const std::string field = std::string("\"extra\":") + value, known = R"("data_offsets":[0,4],"shape":[2,2])";
      const auto source = source_of(
          folder, R"({"a":{"dtype":"I8",)" + (is_last ? known + "," + field : field + "," + known) + "}}", "abcd");
      ASSERT_EQ(source->tensors().size(), 1u) << value;
      EXPECT_EQ(source->tensors()[0].shape, (Shape{2, 2})) << value;
      EXPECT_EQ(data_of(*source, 0), "abcd") << value;
      ASSERT_EQ(source->remarks().size(), 1u) << value;
      EXPECT_NE(source->remarks()[0].find("extra"), std::string::npos) << source->remarks()[0];
    }
  }
}

}  // namespace
}  // namespace mnq::test
