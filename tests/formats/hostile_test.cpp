// PyTorch, GGUF and index files that are wrong in one way each, then cut off everywhere and with every byte changed: a
// status and a message that names the place, nothing executed, no crash.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <new>
#include <sstream>
#include <thread>

#include "containers/strided_read.h"
#include "formats/open_source.h"
#include "quantize/job_fixture.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/zip_bytes.h"

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
  source.require_weights();
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
  EXPECT_EQ(error.suggestion().find("torch.save("), std::string::npos)
      << "a hint to type Python: " << error.suggestion();
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
                                         "good_quantized_channels.pt", "good_quantized_module.pt",
                                         "good_frozen_module.pt", "good_old_quantized.pt", "good.gguf",
                                         "good_q8_0.gguf"));

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
  for (const char* file :
       {"good.pt", "good_old.pt", "good_big_endian.pt", "good_v3.pt", "good_nested.pt", "good_parameter.pt",
        "good_foreign_beside.pt", "good_unset_flags.pt", "good_scalar_beside.pt", "good_ema_beside.pt",
        "good_random_state_beside.pt", "good_odd_keys.pt", "good_trailing_bytes.pt", "good_old_protocol_4.pt",
        "good_old_of_big_endian.pt", "good_old_module_beside.pt"}) {
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
    const auto source = open_source(data_file(file));
    for (const std::string& remark : source->remarks()) text += remark + "\n";
    return text;
  };
  EXPECT_EQ(remarks("good.pt"), "");
  EXPECT_EQ(remarks("good_nested.pt"),
            "the tensors are those under model; left out: optimizer (tensors_key chooses another)\n");
  EXPECT_EQ(remarks("good_scalar_beside.pt"),
            "the tensors are those under state_dict; left out: optimizer_states (tensors_key chooses another)\n");
  EXPECT_EQ(remarks("good_ema_beside.pt"),
            "the tensors are those under model_ema; left out: model (tensors_key chooses another)\n");
  EXPECT_EQ(remarks("good_random_state_beside.pt"), "the tensors are those under model\n");
  EXPECT_EQ(remarks("good_odd_keys.pt"),
            "left out objects of numpy._core.multiarray._reconstruct, numpy.ndarray: nothing of them was executed\n"
            "left out NumPy arrays, which are no tensors: array\n");
  EXPECT_EQ(
      remarks("good_old_module_beside.pt"),
      "left out objects of torch.nn.modules.linear.Linear: nothing of them was executed\n"
      "the tensors are those under state_dict\n"
      "left out tensors that have no name, within: model (an object of torch.nn.modules.linear.Linear, which was not "
      "executed)\n");
  const std::string foreign = remarks("good_foreign_beside.pt");
  EXPECT_NE(foreign.find("left out objects of os.system: nothing of them was executed"), std::string::npos) << foreign;
  const Error error = error_of([] { open_source(data_file("good_nested.pt"), {"models"}); });
  EXPECT_EQ(error.status(), Status::kNotFound);
  EXPECT_NE(error.suggestion().find("optimizer, model"), std::string::npos) << error.suggestion();
  EXPECT_EQ(error_of([] { open_source(data_file("good.gguf"), {"models"}); }).status(), Status::kConfig);
}

// What a reader of PyTorch reads, whoever zipped it; what it does not notice is noticed here.
TEST(PytorchRecords, AreCheckedWhereTheyHaveChecksums) {
  EXPECT_EQ(read_values<float>(*open_source(data_file("good_compressed.pt")), "w"), std::vector<float>(600));
  EXPECT_EQ(read_values<float>(*open_source(data_file("good_compressed_pickle.pt")), "w"), std::vector<float>(600));
  const std::string good = read_bytes(data_file("good.pt"));
  const float one = 1, two = 2;
  const std::string place(reinterpret_cast<const char*>(&one), sizeof one);
  std::string damaged = good;
  std::memcpy(damaged.data() + good.find(place + std::string(reinterpret_cast<const char*>(&two), 4)), &two,
              sizeof two);
  const auto source = open_memory(std::as_bytes(std::span(damaged)));
  const Error error = error_of([&] { read_values<float>(*source, "w"); });
  EXPECT_EQ(error.status(), Status::kFormat);
  EXPECT_NE(error.message().find("record archive/data/0: its checksum is"), std::string::npos) << error.message();
  for (const auto& [signature, offset] : {std::pair("PK\x03\x04", 14), std::pair("PK\x01\x02", 16)}) {
    for (std::size_t at = damaged.find(signature); at != damaged.npos; at = damaged.find(signature, at + 1)) {
      std::memset(damaged.data() + at + offset, 0, 4);
    }
  }
  const auto unchecked = open_memory(std::as_bytes(std::span(damaged)));
  EXPECT_EQ(read_values<float>(*unchecked, "w"), (std::vector<float>{2, 2, 3, 4, 5, 6}));
}

TEST(PytorchLists, HaveTheirIndexForAKey) {
  const std::vector<float> six{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(read_values<float>(*open_source(data_file("good_tuple.pt")), "w"), six);
  EXPECT_EQ(read_values<float>(*open_source(data_file("good_tuple.pt"), {"1"}), "w"), six);
  EXPECT_EQ(open_source(data_file("good_tuple.pt"))->remarks(),
            (std::vector<std::string>{"the tensors are those under 1"}));
  EXPECT_EQ(error_of([] { open_source(data_file("good_tuple.pt"), {"0"}); }).status(), Status::kNotFound);
  EXPECT_EQ(read_values<float>(*open_source(data_file("good_list.pt")), "0"), six);
  EXPECT_EQ(read_values<float>(*open_source(data_file("good_list_in_a_dict.pt")), "layers.1"), six);
}

// A tensor beside a model is a part of it where it may be a weight.
TEST(PytorchTensors, ThatMayBeWeightsBelongToTheModel) {
  const auto source = open_source(data_file("good_weights_beside.pt"));
  EXPECT_NE(source->find("bias"), TensorSource::kNone);
  EXPECT_NE(source->find("net.w"), TensorSource::kNone);
}

struct Layout {
  Shape shape;
  std::vector<std::int64_t> strides;
};

// The element at an index is the sum of index × stride.
template <class Item>
std::vector<Item> elements_of(const Layout& layout) {
  std::vector<Item> elements;
  const std::uint64_t count = element_count(layout.shape);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t rest = i;
    std::int64_t at = 0;
    for (std::size_t axis = layout.shape.size(); axis-- > 0;) {
      const auto size = static_cast<std::uint64_t>(layout.shape[axis]);
      at += static_cast<std::int64_t>(rest % size) * layout.strides[axis];
      rest /= size;
    }
    elements.push_back(static_cast<Item>(at));
  }
  return elements;
}

// Of a storage of 0, 1, 2..., by itself and through strips.
template <class Item>
void check_pieces(const Layout& layout) {
  const std::vector<Item> expected = elements_of<Item>(layout);
  const std::uint64_t count = expected.size();
  const StridedLayout strided{layout.shape, layout.strides, sizeof(Item)};
  const ReadStorage read = [](std::uint64_t offset, std::span<std::byte> into) {
    for (std::size_t i = 0; i < into.size() / sizeof(Item); ++i) {
      const auto value = static_cast<Item>(offset / sizeof(Item) + i);
      std::memcpy(into.data() + sizeof(Item) * i, &value, sizeof(Item));
    }
  };
  StridedStrips strips;
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t begin = round == 0 || count == 0 ? 0 : random() % count;
    const std::uint64_t end = round == 0 || count == 0 ? count : begin + random() % (count - begin) + 1;
    std::vector<Item> got(end - begin), through_strips(end - begin);
    read_strided(strided, begin, std::as_writable_bytes(std::span(got)), read);
    strips.read(0, strided, begin, std::as_writable_bytes(std::span(through_strips)), read);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin() + static_cast<std::ptrdiff_t>(begin)))
        << shape_text(layout.shape) << " of " << sizeof(Item) << " bytes: " << begin << " to " << end;
    EXPECT_EQ(got, through_strips) << shape_text(layout.shape) << ": " << begin << " to " << end;
  }
}

TEST(Strided, AnyPieceOfAnyLayout) {
  for (const Layout& layout :
       {Layout{{5, 7}, {1, 5}}, Layout{{4, 3, 2, 5}, {1, 20, 60, 4}}, Layout{{6}, {3}}, Layout{{2, 3, 4}, {0, 4, 1}},
        Layout{{3, 0}, {1, 1}}, Layout{{}, {}}, Layout{{3000, 90}, {1, 3000}}, Layout{{2, 600, 500}, {1, 1000, 2}},
        Layout{{5, 3, 3, 70}, {630, 3, 1, 9}}, Layout{{7, 1, 300}, {1, 5, 90000}}}) {
    check_pieces<std::uint8_t>(layout);
    check_pieces<std::uint16_t>(layout);
    check_pieces<std::int32_t>(layout);
    check_pieces<std::uint64_t>(layout);
  }
}

// 24 MB of a transposed matrix, in blocks of rows from two threads: more than one strip, and few system calls.
TEST(Strided, StripsOfATransposedMatrix) {
  const Layout layout{{6000, 1000}, {1, 6000}};
  const std::vector<std::int32_t> expected = elements_of<std::int32_t>(layout);
  std::atomic<int> read_count{0};
  const ReadStorage read = [&](std::uint64_t offset, std::span<std::byte> into) {
    ++read_count;
    for (std::size_t i = 0; i < into.size() / 4; ++i) {
      const auto value = static_cast<std::int32_t>(offset / 4 + i);
      std::memcpy(into.data() + 4 * i, &value, 4);
    }
  };
  StridedStrips strips;
  std::vector<std::int32_t> got(expected.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    constexpr std::size_t kBlock = 100'000;
    for (std::size_t at = next.fetch_add(kBlock); at < got.size(); at = next.fetch_add(kBlock)) {
      strips.read(0, {layout.shape, layout.strides, 4}, at, std::as_writable_bytes(std::span(got).subspan(at, kBlock)),
                  read);
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(got, expected);
  EXPECT_LE(read_count, 2500);  // a column of each strip at once: 1000 for each of two
}

// ---- Memory, bounded by a multiple of the file

template <class Number>
std::string opcode(char code, Number number) {
  return code + number_bytes(number);
}
std::string text(const std::string& value) { return opcode('X', static_cast<std::uint32_t>(value.size())) + value; }
std::string put(std::uint32_t place) { return opcode('r', place); }
std::string get(std::uint32_t place) { return opcode('j', place); }

std::string repeat(const std::string& part, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += part;
  return all;
}

// As torch.save writes it. size and stride put one value each.
std::string tensor(const std::string& size, const std::string& stride) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") +
         text("cpu") + std::string("K\1tQK\0", 6) + size + stride + "\x89" + "ccollections\nOrderedDict\n)RtR";
}
const std::string kOne = tensor("K\1\x85", "K\1\x85");

std::string archive_of(const std::string& value, ZipRecord (*record)(const std::string&, const std::string&)) {
  return ZipBytes().add(record("m/data.pkl", "\x80\2" + value + ".")).add(stored("m/data/0", "1234")).bytes();
}

// {'0': value, '1': the same, ...}
std::string dict_of_same(const std::string& value, std::size_t count) {
  std::string dict = "}(" + text("0") + value + put(1000);
  for (std::size_t i = 1; i < count; ++i) dict += text(std::to_string(i)) + get(1000);
  return dict + "u";
}

struct Greedy {
  const char* name;
  std::string bytes;
};
std::ostream& operator<<(std::ostream& out, const Greedy& file) { return out << file.name; }

std::vector<Greedy> greedy_files() {
  const std::string ones = "(" + repeat("K\1", 300'000) + "t";
  const std::string key = std::string(10'000, 'k');
  std::string ranks = "}(" + text("0") + tensor(ones + put(1), get(1));
  for (int i = 1; i < 200; ++i) ranks += text(std::to_string(i)) + tensor(get(1), get(1));
  std::string levels = dict_of_same(kOne, 50);
  for (std::uint32_t level = 1; level <= 5; ++level) levels = dict_of_same(levels, 50);
  return {{"Rank", archive_of(ranks + "u", stored)},
          {"Names", archive_of("}(" + text(key) + dict_of_same(kOne, 2000) + "u", stored)},
          {"SharedDicts", archive_of(dict_of_same(dict_of_same(dict_of_same(kOne, 200), 200), 200), stored)},
          {"SharedLevels", archive_of(levels, stored)},
          {"Deflated", archive_of("(" + std::string(15'000'000, ')') + "t", deflated)}};
}

std::uint64_t virtual_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  file >> pages;
  return pages * static_cast<std::uint64_t>(getpagesize());
}

class Memory : public testing::TestWithParam<Greedy> {};
INSTANTIATE_TEST_SUITE_P(Files, Memory, testing::ValuesIn(greedy_files()),
                         [](const auto& each) { return std::string(each.param.name); });

// In a process of its own that gets no more: 0 where it was refused or opened, 1 where memory was exhausted.
TEST_P(Memory, IsBoundedByTheFile) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "sanitizers reserve what they like";
#endif
  const std::string& bytes = GetParam().bytes;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlim_t most = virtual_bytes() + (std::uint64_t{64} << 20) + 200 * bytes.size();
    const rlimit limit{most, most};
    setrlimit(RLIMIT_AS, &limit);
    try {
      read_everything(*open_memory(std::as_bytes(std::span(bytes))));
    } catch (const Error&) {
    } catch (const std::bad_alloc&) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "of " << bytes.size() << " bytes";
}

}  // namespace
}  // namespace mnq::test
