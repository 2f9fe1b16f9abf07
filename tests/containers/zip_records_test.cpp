// Records of an archive read piece by piece: in any order, from several threads, deflated or not, and damaged.
#include "containers/zip/zip_records.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "containers/zip/streamed_checksum.h"
#include "support/error_of.h"
#include "support/zip_bytes.h"

namespace mnq::test {
namespace {

// Compresses to about a third, and is different everywhere.
std::string text_of(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& byte : text) byte = static_cast<char>('a' + random() % 6);
  return text;
}

std::string read_at(const ByteSource& bytes, std::uint64_t offset, std::size_t size) {
  std::string piece(size, '\0');
  bytes.read(offset, std::as_writable_bytes(std::span(piece)));
  return piece;
}

std::shared_ptr<const ByteSource> open_record(const std::string& archive_bytes, const std::string& name) {
  const auto bytes = memory_bytes(std::as_bytes(std::span(archive_bytes)));
  const ZipArchive archive(bytes);
  return ZipRecords(bytes, archive.title()).open(*archive.find(name));
}

TEST(StreamedChecksum, CountsEachByteOnceInAnyOrder) {
  const std::string text = text_of(10'000);
  const auto bytes = std::as_bytes(std::span(text));
  std::mt19937 random(3);
  for (int trial = 0; trial < 50; ++trial) {
    StreamedChecksum checksum(text.size());
    int times_whole = 0;
    for (int piece = 0; piece < 100; ++piece) {
      const std::size_t begin = random() % text.size();
      const std::size_t size = 1 + random() % std::min<std::size_t>(500, text.size() - begin);
      times_whole += checksum.add(begin, bytes.subspan(begin, size)) ? 1 : 0;
    }
    times_whole += checksum.add(5'000, bytes.subspan(5'000)) ? 1 : 0;
    times_whole += checksum.add(0, bytes) ? 1 : 0;
    times_whole += checksum.add(0, bytes) ? 1 : 0;
    EXPECT_EQ(times_whole, 1);
    EXPECT_EQ(checksum.crc(), crc_of_text(text));
  }
}

TEST(StreamedChecksum, IsNotWholeWithAByteMissing) {
  const std::string text = text_of(1'000);
  const auto bytes = std::as_bytes(std::span(text));
  StreamedChecksum checksum(text.size());
  EXPECT_FALSE(checksum.add(0, bytes.first(500)));
  EXPECT_FALSE(checksum.add(501, bytes.subspan(501)));
  EXPECT_TRUE(checksum.add(400, bytes.subspan(400, 200)));
  EXPECT_EQ(checksum.crc(), crc_of_text(text));
}

TEST(ZipRecords, DeflatedOnesAreReadAnywhere) {
  const std::string text = text_of(19'000'000), other = text_of(9'000'000, 2);
  const std::string archive = ZipBytes().add(deflated("a", text)).add(deflated("b", other)).bytes();
  const auto a = open_record(archive, "a");
  EXPECT_EQ(a->size(), text.size());
  EXPECT_EQ(a->view(0), nullptr);
  EXPECT_EQ(read_at(*a, text.size() - 10, 10), text.substr(text.size() - 10));
  EXPECT_EQ(read_at(*a, 0, 100), text.substr(0, 100));
  EXPECT_EQ(read_at(*a, 4'000'000, 9'000'000), text.substr(4'000'000, 9'000'000));
  std::mt19937 random(5);
  for (int trial = 0; trial < 60; ++trial) {
    const std::size_t begin = random() % text.size(),
                      size = std::min<std::size_t>(random() % 2'000, text.size() - begin);
    ASSERT_EQ(read_at(*a, begin, size), text.substr(begin, size));
  }
}

TEST(ZipRecords, FromSeveralThreads) {
  const std::string text = text_of(12'000'000), other = text_of(9'000'000, 2);
  const std::string archive = ZipBytes().add(deflated("a", text)).add(stored("b", other)).bytes();
  const auto bytes = memory_bytes(std::as_bytes(std::span(archive)));
  const ZipArchive zip(bytes);
  const ZipRecords records(bytes, zip.title());
  const auto a = records.open(*zip.find("a")), b = records.open(*zip.find("b"));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      for (std::size_t i = seed; i < 90; i += 2) {
        const std::size_t begin = i * 100'000;
        if (read_at(*a, begin, 100'000) != text.substr(begin, 100'000)) ++wrong;
        if (read_at(*b, begin, 100'000) != other.substr(begin, 100'000)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ZipRecords, DamageIsFoundWhenAllHasBeenRead) {
  const std::string text = text_of(5'000);
  for (const bool is_deflated : {false, true}) {
    ZipRecord record = is_deflated ? deflated("data/7", text) : stored("data/7", text);
    record.crc ^= 1;
    record.local_crc = record.crc;
    const std::string archive = ZipBytes().add(record).bytes();
    const auto bytes = open_record(archive, "data/7");
    if (!is_deflated) {
      EXPECT_EQ(read_at(*bytes, 0, 4'999), text.substr(0, 4'999));
    }
    const Error error = error_of([&] { read_at(*bytes, 4'000, 1'000); });
    EXPECT_EQ(error.status(), Status::kFormat);
    EXPECT_NE(error.message().find("record data/7: its checksum is"), std::string::npos) << error.message();
    if (is_deflated) continue;
    EXPECT_EQ(error_of([&] { open_record(archive, "data/7")->view(3); }).status(), Status::kFormat);
  }
}

TEST(ZipRecords, WithoutAChecksumAreRead) {
  const std::string text = text_of(5'000);
  for (ZipRecord record : {stored("a", text), deflated("a", text)}) {
    record.crc = record.local_crc = 0;
    const std::string archive = ZipBytes().add(record).bytes();
    EXPECT_EQ(read_at(*open_record(archive, "a"), 0, text.size()), text);
    EXPECT_EQ(open_zip(archive).read(*open_zip(archive).find("a"), 10'000), text);
  }
}

TEST(ZipRecords, DeflatedToAnotherSizeAreDamaged) {
  const std::string text = text_of(5'000'000);
  for (const int more : {-1, 1, -1'000'000}) {
    ZipRecord record = deflated("a", text);
    record.crc = record.local_crc = 0;
    record.size = record.local_size = static_cast<std::uint64_t>(static_cast<std::int64_t>(text.size()) + more);
    const std::string archive = ZipBytes().add(record).bytes();
    const auto bytes = open_record(archive, "a");
    const Error error = error_of([&] { read_at(*bytes, 0, bytes->size()); });
    EXPECT_EQ(error.status(), Status::kFormat) << more;
    EXPECT_NE(error.message().find("record a: inflates to"), std::string::npos) << error.message();
  }
  ZipRecord record = deflated("a", text);
  for (std::size_t i = 0; i < 40; ++i) record.data[record.data.size() / 2 + i] = '\xff';
  const std::string archive = ZipBytes().add(record).bytes();
  EXPECT_EQ(error_of([&] { read_at(*open_record(archive, "a"), 0, text.size()); }).status(), Status::kFormat);
}

}  // namespace
}  // namespace mnq::test
