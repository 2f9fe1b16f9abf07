// Files far beyond memory: a hole is as good as data, so these take no disk and no time.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "formats/open_source.h"
#include "support/error_of.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

constexpr std::uint64_t kGibi = 1ull << 30;

// The start of a file, and a hole as long as its tensors.
std::string write_sparse(const TempFolder& folder, const SafetensorsBytes& file) {
  const std::string path = folder.path("large.safetensors");
  write_bytes(path, file.bytes());
  std::filesystem::resize_file(path, file.file_size());
  return path;
}

void write_byte(const std::string& path, std::uint64_t offset, char byte) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
  ASSERT_TRUE(file.flush());
}

char read_byte(const TensorSource& source, std::size_t tensor, std::uint64_t offset) {
  char byte = 0;
  source.read(tensor, offset, std::as_writable_bytes(std::span(&byte, 1)));
  return byte;
}

TEST(Large, OffsetsBeyond32Bits) {
  const TempFolder folder;
  const auto file = SafetensorsBytes()
                        .declare("a.weight", "F32", "[2,2621440000]", 8 * 2621440000ull)  // 20 GiB
                        .declare("b.weight", "F16", "[10737418240]", 20 * kGibi);
  const std::string path = write_sparse(folder, file);
  const std::uint64_t end = std::filesystem::file_size(path);
  write_byte(path, end - 1, 'b');
  write_byte(path, end - 20 * kGibi - 1, 'a');
  const auto source = open_source(path);
  ASSERT_EQ(source->tensors().size(), 2u);
  EXPECT_EQ(source->size_bytes(), end);
  EXPECT_EQ(source->tensors()[0].shape, (Shape{2, 2621440000}));
  EXPECT_EQ(read_byte(*source, 0, 8 * 2621440000ull - 1), 'a');
  EXPECT_EQ(read_byte(*source, 1, 0), '\0');
  EXPECT_EQ(read_byte(*source, 1, 20 * kGibi - 1), 'b');
}

TEST(Large, OneByteShort) {
  const TempFolder folder;
  const std::string path = write_sparse(folder, SafetensorsBytes().declare("a", "U8", "[42949672960]", 40 * kGibi));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  const Error error = error_of([&] { open_source(path); });
  EXPECT_EQ(error.status(), Status::kFormat);
  EXPECT_NE(error.message().find("tensor a: data_offsets end at 42949672960"), std::string::npos) << error.message();
}

TEST(Large, AHeaderThatIsTooLongIsNotRead) {
  const TempFolder folder;
  const std::string path = folder.path("header.safetensors");
  const std::uint64_t length = 100'000'001;
  std::string start(sizeof length, '\0');
  std::memcpy(start.data(), &length, sizeof length);
  write_bytes(path, start + "{");
  std::filesystem::resize_file(path, kGibi);
  const Error error = error_of([&] { open_source(path); });
  EXPECT_EQ(error.status(), Status::kFormat);
  EXPECT_NE(error.message().find("100000001 exceeds 100000000"), std::string::npos) << error.message();
}

}  // namespace
}  // namespace mnq::test
