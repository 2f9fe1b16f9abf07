// ZIP archives by hand: sound ones are read, and each that breaks one rule is refused with the record's name.
#include "containers/zip/zip_archive.h"

#include <gtest/gtest.h>

#include <random>

#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/zip_bytes.h"

namespace mnq::test {
namespace {

const std::string kText = "what the record holds, and holds, and holds, and holds, and holds, and holds";

std::string sound_zip() {
  return ZipBytes().add(stored("r/a", kText)).add(deflated("r/b", kText)).add(stored("r/empty", "")).bytes();
}

void expect_reads(const ZipArchive& archive, const std::string& name, const std::string& text) {
  const ZipEntry* entry = archive.find(name);
  ASSERT_NE(entry, nullptr) << name;
  EXPECT_EQ(archive.read(*entry, text.size()), text);
  archive.check(*entry);
}

TEST(Zip, ReadsStoredAndDeflated) {
  const std::string bytes = sound_zip();
  const ZipArchive archive = open_zip(bytes);
  ASSERT_EQ(archive.entries().size(), 3u);
  expect_reads(archive, "r/a", kText);
  expect_reads(archive, "r/b", kText);
  expect_reads(archive, "r/empty", "");
  EXPECT_EQ(archive.find("r/c"), nullptr);
  check_all_entries(archive, 2);
}

TEST(Zip, ReadsZip64AndPadding) {
  ZipRecord large = stored("r/a", kText);
  large.is_64 = true;
  large.local_extra = std::string("FB\x03\0", 4) + "ZZZ";
  const std::string bytes = ZipBytes().add(large).add(deflated("r/b", kText)).bytes(true);
  const ZipArchive archive = open_zip(bytes);
  expect_reads(archive, "r/a", kText);
  expect_reads(archive, "r/b", kText);
}

TEST(Zip, NumbersMayFollowTheData) {
  ZipRecord record = deflated("r/a", kText);
  record.flags = 8;
  record.local_size = record.local_crc = 0;
  const std::string bytes = ZipBytes().add(record).bytes();
  expect_reads(open_zip(bytes), "r/a", kText);
}

TEST(Zip, BytesMayFollowTheEnd) {
  const std::string bytes = sound_zip() + "\n\n";
  expect_reads(open_zip(bytes), "r/a", kText);
}

TEST(Zip, ReadsAFileInPieces) {
  std::string large(20'000'000, '\0');
  std::mt19937 random(1);
  for (char& c : large) c = static_cast<char>(random());
  const std::string zeros(1 << 20, '\0');  // inflates to whole buffers
  const TempFolder folder;
  write_bytes(folder.path("a.zip"), ZipBytes().add(stored("r/a", large)).add(deflated("r/b", zeros)).bytes());
  const ZipArchive archive(open_bytes(folder.path("a.zip")));
  expect_reads(archive, "r/a", large);
  expect_reads(archive, "r/b", zeros);
  for (const std::uint32_t threads : {1u, 2u}) check_all_entries(archive, threads);
  std::string damaged = read_bytes(folder.path("a.zip"));
  damaged[15'000'000] ^= 1;
  const ZipArchive broken = open_zip(damaged);
  const Error error = error_of([&] { check_all_entries(broken, 2); });
  EXPECT_NE(error.message().find("record r/a: its checksum"), std::string::npos) << error.message();
}

TEST(Zip, ReadsNoMoreThanAllowed) {
  const std::string bytes = sound_zip();
  const ZipArchive archive = open_zip(bytes);
  EXPECT_EQ(error_of([&] { archive.read(*archive.find("r/a"), kText.size() - 1); }).status(), Status::kFormat);
}

struct Case {
  const char* name;
  std::string bytes;
  const char* says;
  Status status = Status::kFormat;
};

std::ostream& operator<<(std::ostream& out, const Case& broken) { return out << broken.name; }

template <class Change>
std::string changed(Change&& change, ZipRecord record = stored("r/a", kText)) {
  change(record);
  return ZipBytes().add(stored("r/first", kText)).add(record).bytes();
}

std::string with_byte(std::size_t from_end, char byte) {
  std::string bytes = sound_zip();
  bytes[bytes.size() - from_end] = byte;
  return bytes;
}

std::string overlapping() {
  std::string bytes = ZipBytes().add(stored("r/a", kText)).add(stored("r/a", kText)).bytes();
  const std::size_t second = bytes.rfind("PK\x01\x02");
  bytes.replace(second + 42, 4, number_bytes(0u));
  return bytes;
}

std::vector<Case> cases() {
  using R = ZipRecord;
  const R deflate = deflated("r/a", kText);
  return {
      {"Empty", "", "cut off"},
      {"NoZip", std::string(1000, 'x'), "cut off"},
      {"WrongCount", with_byte(12, 9).replace(sound_zip().size() - 14, 1, "\x09"), "cannot hold 9 records"},
      {"OtherCountOnThisDisk", with_byte(14, 9), "several parts", Status::kUnsupported},
      {"DirectoryTooLong", with_byte(10, '\xf0'), "does not end"},
      {"DirectoryElsewhere", with_byte(6, '\x01'), "does not end"},
      {"CommentTooLong", with_byte(2, 1), "wrong length"},
      {"Needs64", with_byte(3, '\xff').replace(sound_zip().size() - 6, 4, "\xff\xff\xff\xff"), "ZIP64"},
      {"NameTwice", changed([](R& r) { r.name = r.local_name = "r/first"; }), "record r/first: is there twice"},
      {"NoName", changed([](R& r) { r.name = r.local_name = ""; }), "no sound name"},
      {"NameWithZero", changed([](R& r) { r.name = r.local_name = std::string("a\0b", 3); }), "a\\x00b"},
      {"NameIsNoUtf8", changed([](R& r) { r.name = r.local_name = "\xff"; }), "\\xff"},
      {"OtherNameInHeader", changed([](R& r) { r.local_name = "r/b"; }), "record r/a: has another name"},
      {"OtherMethodInHeader", changed([](R& r) { r.local_method = 8; }), "record r/a: has another method"},
      {"OtherSizeInHeader", changed([](R& r) { r.local_size = 3; }), "record r/a: has another size"},
      {"OtherChecksumInHeader", changed([](R& r) { r.local_crc = 3; }), "record r/a: has another checksum"},
      {"Encrypted", changed([](R& r) { r.flags = 1; }), "record r/a: is encrypted", Status::kUnsupported},
      {"OtherMethod", changed([](R& r) { r.method = 12; }), "method 12", Status::kUnsupported},
      {"OtherDisk", changed([](R& r) { r.disk = 1; }), "several parts", Status::kUnsupported},
      {"StoredOfOtherSize", changed([](R& r) { r.size = 3; }), "record r/a: is stored"},
      {"BeyondTheFile", changed([](R& r) { r.is_64 = true, r.size = r.local_size = ~0ull >> 1; }), "record r/a"},
      {"InflatesTooFar", changed([](R& r) { r.size = r.local_size = 4'000'000'000u; }, deflate), "cannot be deflated"},
      {"ExtraIsCutOff", changed([](R& r) { r.local_extra = "FB\x09"; }), "record r/a: its extra fields"},
      {"Overlap", overlapping(), "record r/a: overlaps"},
      {"ChecksumOfStored", changed([](R& r) { r.crc = r.local_crc = 1; }), "record r/a: its checksum"},
      {"ChecksumOfDeflated", changed([](R& r) { r.crc = r.local_crc = 1; }, deflate), "record r/a: its checksum"},
      {"DeflatedTooShort", changed([](R& r) { r.size = r.local_size = 90; }, deflate), "record r/a: inflates to"},
      {"DeflatedTooLong", changed([](R& r) { r.size = r.local_size = 9; }, deflate), "record r/a: inflates to more"},
      {"DeflatedWithMore", changed([](R& r) { r.data += "xx"; }, deflate), "record r/a: its deflated data ends early"},
      {"DeflatedCutOff", changed([](R& r) { r.data.pop_back(); }, deflate), "record r/a: inflates to"},
      {"DeflatedIsDamaged", changed([](R& r) { r.data[0] = 7; }, deflate), "record r/a: its deflated data is damaged"},
  };
}

class BrokenZip : public testing::TestWithParam<Case> {};

TEST_P(BrokenZip, IsRefused) {
  const Error error = error_of([] { check_all_entries(open_zip(GetParam().bytes), 1); });
  EXPECT_EQ(error.status(), GetParam().status) << error.message();
  EXPECT_NE(error.message().find(GetParam().says), std::string::npos) << error.message();
  EXPECT_FALSE(error.suggestion().empty());
  EXPECT_FALSE(error.subject().empty());
}

INSTANTIATE_TEST_SUITE_P(Zip, BrokenZip, testing::ValuesIn(cases()),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(DamagedZip, CutOffAtEveryByte) {
  for (const std::string& bytes : {sound_zip(), ZipBytes().add(stored("r/a", kText)).bytes(true)}) {
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const std::string cut = bytes.substr(0, length);
      EXPECT_EQ(error_of([&] { open_zip(cut); }).status(), Status::kFormat) << length;
    }
  }
}

TEST(DamagedZip, BytesAreChanged) {
  const std::string sound = sound_zip();
  std::mt19937 random(1);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string bytes = sound;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const Error error = error_of([&] {
      const ZipArchive archive = open_zip(bytes);
      for (const ZipEntry& entry : archive.entries()) archive.read(entry, 1 << 20);
    });
    const Status status = error.status();
    EXPECT_TRUE(status == Status::kOk || status == Status::kFormat || status == Status::kUnsupported)
        << error.message();
  }
}

}  // namespace
}  // namespace mnq::test
