// Archives whose records come in pieces, in any order, as the threads of a job bring them.
#include "containers/zip/zip_writer.h"

#include <gtest/gtest.h>

#include "containers/zip/zip_archive.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

void write_piece(ZipWriter& zip, std::size_t record, const std::string& text, std::size_t begin, std::size_t end) {
  zip.write(record, begin, std::as_bytes(std::span(text).subspan(begin, end - begin)));
}

TEST(ZipWriter, TakesPiecesInAnyOrder) {
  const std::string letters = "abcdefghijklmnopqrstuvwxyz", digits = "0123456789";
  std::string bytes;
  ZipWriter zip;
  const std::size_t first = zip.add("root/letters", letters.size()), second = zip.add("root/digits", digits.size());
  const std::size_t empty = zip.add("root/empty", 0);
  EXPECT_EQ(empty, 2u);
  zip.open(string_bytes(bytes));
  write_piece(zip, first, letters, 20, 26);
  write_piece(zip, second, digits, 5, 10);
  write_piece(zip, first, letters, 4, 12);
  write_piece(zip, first, letters, 0, 4);
  write_piece(zip, second, digits, 0, 5);
  write_piece(zip, first, letters, 12, 20);
  zip.commit();
  const ZipArchive archive(memory_bytes(std::as_bytes(std::span(bytes))));
  ASSERT_EQ(archive.entries().size(), 3u);
  EXPECT_EQ(archive.read(*archive.find("root/letters"), 100), letters);  // its checksum was compared
  EXPECT_EQ(archive.read(*archive.find("root/digits"), 100), digits);
  EXPECT_EQ(archive.read(*archive.find("root/empty"), 100), "");
  EXPECT_EQ(archive.find("root/letters")->crc32, 0x4c2750bdu);
}

TEST(ZipWriter, MakesNothingOfARecordWithAHole) {
  const std::string digits = "0123456789";
  std::string bytes;
  ZipWriter zip;
  zip.add("root/digits", digits.size());
  zip.open(string_bytes(bytes));
  write_piece(zip, 0, digits, 0, 4);
  write_piece(zip, 0, digits, 5, 10);
  const Error error = error_of([&] { zip.commit(); });
  EXPECT_EQ(error.status(), Status::kInternal);
  EXPECT_NE(error.message().find("root/digits has 4 bytes of 10"), std::string::npos) << error.message();
  EXPECT_EQ(bytes, "");
}

}  // namespace
}  // namespace mnq::test
