// PyTorch, GGUF and index files that are wrong in one way each, then cut off everywhere and with every byte changed: a
// status and a message that names the place, nothing executed, no crash.
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "formats/format_table.h"
#include "formats/strided_read.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/temp_folder.h"

namespace mnq::test {
namespace {

struct Case {
  std::string file;
  std::string status;
  std::string says;
};

std::ostream& operator<<(std::ostream& out, const Case& broken) { return out << broken.file; }

std::string data_file(const std::string& name) { return MNQ_TEST_DATA "/malformed/" + name; }

std::vector<Case> cases() {
  std::vector<Case> all;
  std::istringstream lines(read_bytes(data_file("cases.tsv")));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    Case each;
    std::getline(fields, each.file, '\t');
    std::getline(fields, each.status, '\t');
    std::getline(fields, each.says, '\t');
    all.push_back(each);
  }
  return all;
}

Status status_named(const std::string& name) {
  return name == "OK"            ? Status::kOk
         : name == "FORMAT"      ? Status::kFormat
         : name == "UNSUPPORTED" ? Status::kUnsupported
                                 : Status::kNotFound;
}

void read_everything(const TensorSource& source) {
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    std::vector<std::byte> bytes(source.tensors()[i].size_bytes);
    source.read(i, 0, bytes);
  }
  require_logical_tensors(source);
}

class Hostile : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Files, Hostile, testing::ValuesIn(cases()));

TEST_P(Hostile, GivesAStatus) {
  const Case& broken = GetParam();
  const std::string path = data_file(broken.file);
  const Error error = error_of([&] { read_everything(*open_source(path)); });
  EXPECT_EQ(error.status(), status_named(broken.status)) << error.message();
  EXPECT_NE(error.message().find(broken.says), std::string::npos) << error.message();
  if (broken.status == "OK") return;
  EXPECT_EQ(error.message().find("0x0000"), std::string::npos);
  EXPECT_NE(error.message().find("malformed/"), std::string::npos) << "the file is not named: " << error.message();
  EXPECT_FALSE(error.suggestion().empty()) << error.message();
  EXPECT_FALSE(std::filesystem::exists("executed"));
}

TEST(HostileFiles, AreManyOfEachKind) {
  std::size_t counts[3] = {};
  for (const Case& each : cases()) {
    ++counts[each.file.ends_with(".pt") ? 0 : each.file.ends_with(".gguf") ? 1 : 2];
  }
  EXPECT_GE(counts[0], 45u);
  EXPECT_GE(counts[1], 25u);
  EXPECT_GE(counts[2], 12u);
}

// Whatever becomes of it: an error of ours, or tensors that can be read.
void try_bytes(const std::string& bytes) {
  try {
    read_everything(*open_memory(std::as_bytes(std::span(bytes))));
  } catch (const Error& error) {
    EXPECT_NE(error.status(), Status::kInternal) << error.message();
    EXPECT_NE(error.status(), Status::kIo) << error.message();
  }
}

class Damaged : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Good, Damaged,
                         testing::Values("good.pt", "good_old.pt", "good_nested.pt", "good_transposed.pt", "good_v3.pt",
                                         "good.gguf", "good_q8_0.gguf"));

TEST_P(Damaged, CutOffAnywhere) {
  const std::string good = read_bytes(data_file(GetParam()));
  for (std::size_t size = 0; size < good.size(); ++size) try_bytes(good.substr(0, size));
}

TEST_P(Damaged, WithAnyByteChanged) {
  const std::string good = read_bytes(data_file(GetParam()));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int change : {1, 0x80, 0xff, 0x55}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ change);
      try_bytes(bad);
    }
  }
}

// Offsets, strides, ties and views, worked out by hand.
TEST(PytorchTensors, AreWhatTheirPickleSays) {
  const auto values = [](const char* file, const OpenSettings& settings = {}) {
    return read_values<float>(*open_source(data_file(file), settings), "w");
  };
  const std::vector<float> six{1, 2, 3, 4, 5, 6};
  for (const char* file : {"good.pt", "good_old.pt", "good_big_endian.pt", "good_v3.pt", "good_nested.pt",
                           "good_parameter.pt", "good_foreign_beside.pt"}) {
    EXPECT_EQ(values(file), six) << file;
  }
  EXPECT_EQ(values("good_transposed.pt"), (std::vector<float>{1, 3, 5, 2, 4, 6}));
  EXPECT_EQ(values("old_view.pt"), (std::vector<float>{3, 4}));
  const auto optimizer = open_source(data_file("good_nested.pt"), {"optimizer.state"});
  EXPECT_EQ(read_values<float>(*optimizer, "m"), six);
}

TEST(PytorchTensors, SayWhichDictTheyAreFrom) {
  const auto remarks = [](const char* file) {
    std::string text;
    for (const std::string& remark : open_source(data_file(file))->remarks()) text += remark + "\n";
    return text;
  };
  EXPECT_EQ(remarks("good.pt"), "");
  EXPECT_EQ(remarks("good_nested.pt"),
            "the tensors are those under model; left out: optimizer (tensors_key chooses another)\n");
  const std::string foreign = remarks("good_foreign_beside.pt");
  EXPECT_NE(foreign.find("left out objects of os.system: nothing of them was executed"), std::string::npos) << foreign;
  const Error error = error_of([] { open_source(data_file("good_nested.pt"), {"models"}); });
  EXPECT_EQ(error.status(), Status::kNotFound);
  EXPECT_NE(error.suggestion().find("optimizer, model"), std::string::npos) << error.suggestion();
  EXPECT_EQ(error_of([] { open_source(data_file("good.gguf"), {"models"}); }).status(), Status::kConfig);
}

TEST(Strided, AnyPieceOfAnyLayout) {
  // A storage of 0, 1, 2...; the element at an index is the sum of index × stride.
  struct Layout {
    Shape shape;
    std::vector<std::int64_t> strides;
  };
  for (const Layout& layout :
       {Layout{{5, 7}, {1, 5}}, Layout{{4, 3, 2, 5}, {1, 20, 60, 4}}, Layout{{6}, {3}}, Layout{{2, 3, 4}, {0, 4, 1}},
        Layout{{3, 0}, {1, 1}}, Layout{{}, {}}, Layout{{3000, 90}, {1, 3000}}, Layout{{2, 600, 500}, {1, 1000, 2}}}) {
    std::vector<std::int32_t> expected;
    const std::uint64_t count = element_count(layout.shape);
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t rest = i;
      std::int64_t at = 0;
      for (std::size_t axis = layout.shape.size(); axis-- > 0;) {
        const auto size = static_cast<std::uint64_t>(layout.shape[axis]);
        at += static_cast<std::int64_t>(rest % size) * layout.strides[axis];
        rest /= size;
      }
      expected.push_back(static_cast<std::int32_t>(at));
    }
    const StridedLayout strided{layout.shape, layout.strides, 4};
    const auto read = [](std::uint64_t offset, std::span<std::byte> into) {
      for (std::size_t i = 0; i < into.size() / 4; ++i) {
        const auto value = static_cast<std::int32_t>(offset / 4 + i);
        std::memcpy(into.data() + 4 * i, &value, 4);
      }
    };
    std::mt19937 random(1);
    for (int round = 0; round < 20; ++round) {
      const std::uint64_t begin = round == 0 || count == 0 ? 0 : random() % count;
      const std::uint64_t end = round == 0 || count == 0 ? count : begin + random() % (count - begin) + 1;
      std::vector<std::int32_t> got(end - begin);
      read_strided(strided, begin, std::as_writable_bytes(std::span(got)), read);
      EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin() + static_cast<std::ptrdiff_t>(begin)))
          << shape_text(layout.shape) << " " << begin << " to " << end;
    }
  }
}

}  // namespace
}  // namespace mnq::test
