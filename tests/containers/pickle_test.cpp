// Pickles by hand, opcode by opcode: https://github.com/python/cpython/blob/main/Lib/pickletools.py
#include "containers/pickle/pickle.h"

#include <gtest/gtest.h>

#include <random>

#include "support/error_of.h"

namespace mnq::test {
namespace {

template <std::size_t size>
std::string bytes(const char (&text)[size]) {
  return {text, size - 1};
}

Error error_in(const std::string& text) {
  return error_of([&] { Pickle(text, "model.pt", "model/data.pkl").check_nesting(50); });
}

std::int64_t integer_in(const std::string& text) {
  const Pickle pickle(text, "", "");
  EXPECT_EQ(pickle.root().kind, PickleKind::kInt);
  return pickle.root().integer;
}

TEST(Pickle, Integers) {
  EXPECT_EQ(integer_in(bytes("K\xff.")), 255);
  EXPECT_EQ(integer_in(bytes("M\x01\x02.")), 513);
  EXPECT_EQ(integer_in(bytes("J\xfe\xff\xff\xff.")), -2);
  EXPECT_EQ(integer_in(bytes("\x8a\x00.")), 0);
  EXPECT_EQ(integer_in(bytes("\x8a\x01\xff.")), -1);
  EXPECT_EQ(integer_in(bytes("\x8a\x05\x00\x5e\xd0\xb2\x00.")), 3'000'000'000);
  EXPECT_EQ(integer_in(bytes("\x8b\x01\x00\x00\x00\x80.")), -128);
  const std::string magic = bytes("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.");
  EXPECT_EQ(Pickle(magic, "", "").root().kind, PickleKind::kLong);
  EXPECT_EQ(Pickle(magic, "", "").root().text.size(), 10u);
}

// 257 ends in the same byte as 1, and True is no 1.
TEST(Pickle, EqualNumbersMayBeOneValue) {
  const std::string text = bytes("(K\x01K\x02K\x01\x88\x88M\x01\x01K\x01t.");
  const Pickle apart(text, "", ""), shared(text, "", "", PickleNumbers::kShared);
  for (const Pickle* pickle : {&apart, &shared}) {
    std::vector<std::int64_t> numbers;
    for (const PickleIndex item : pickle->items(pickle->root())) numbers.push_back(pickle->at(item).integer);
    EXPECT_EQ(numbers, (std::vector<std::int64_t>{1, 2, 1, 1, 1, 257, 1}));
  }
  const auto items = shared.items(shared.root());
  EXPECT_EQ(items[2], items[0]);
  EXPECT_EQ(items[4], items[3]);
  EXPECT_EQ(shared.at(items[0]).kind, PickleKind::kInt);
  EXPECT_EQ(shared.at(items[3]).kind, PickleKind::kBool);
  EXPECT_EQ(apart.values().size(), 8u);
  EXPECT_LT(shared.values().size(), apart.values().size());
}

TEST(Pickle, PlainValues) {
  const std::string text = bytes(
      "\x80\x04(N\x88\x89G\x3f\xe0\0\0\0\0\0\0X\x02\0\0\0ab\x8c\x01"
      "c"
      "C\x01\xffU\x01"
      "dt.");
  const Pickle pickle(text, "", "");
  const auto items = pickle.items(pickle.root());
  ASSERT_EQ(items.size(), 8u);
  EXPECT_EQ(pickle.at(items[0]).kind, PickleKind::kNone);
  EXPECT_EQ(pickle.at(items[1]).integer, 1);
  EXPECT_EQ(pickle.at(items[2]).integer, 0);
  EXPECT_EQ(pickle.at(items[3]).real, 0.5);
  EXPECT_EQ(pickle.at(items[4]).text, "ab");
  EXPECT_EQ(pickle.at(items[5]).text, "c");
  EXPECT_EQ(pickle.at(items[6]).kind, PickleKind::kBytes);
  EXPECT_EQ(pickle.at(items[7]).kind, PickleKind::kText);  // Python 2's string
  EXPECT_EQ(pickle.size_bytes(), text.size());
}

TEST(Pickle, ContainersThatGrow) {
  const std::string text = bytes(
      "]q\0K\x01"
      "a(K\x02K\x03"
      "e}K\x04K\x05s(K\x06h\0u\x86.");
  const Pickle pickle(text, "", "");
  const auto both = pickle.items(pickle.root());
  EXPECT_EQ(pickle.items(pickle.at(both[0])).size(), 3u);
  const auto pairs = pickle.pairs(pickle.at(both[1]));
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(pickle.at(pairs[0].second).integer, 5);
  EXPECT_EQ(pairs[1].second, both[0]);  // shared through the memo
}

TEST(Pickle, ObjectsAndCalls) {
  const std::string text =
      bytes("ccollections\nOrderedDict\n)R(K\x01K\x02u}b\x8c\x01m\x8c\x01n\x93)\x81\x8c\x01kQ\x87.");
  const Pickle pickle(text, "", "");
  const auto parts = pickle.items(pickle.root());
  ASSERT_EQ(parts.size(), 3u);
  const PickleValue dict = pickle.at(parts[0]), object = pickle.at(parts[1]), storage = pickle.at(parts[2]);
  EXPECT_TRUE(pickle.is_call(dict, "collections", "OrderedDict"));
  EXPECT_EQ(pickle.pairs(dict).size(), 1u);
  EXPECT_EQ(pickle.at(dict.state).kind, PickleKind::kDict);
  EXPECT_TRUE(pickle.is_call(object, "m", "n"));
  EXPECT_TRUE(object.is_new_object);
  EXPECT_EQ(storage.kind, PickleKind::kPersistent);
  EXPECT_EQ(pickle.at(storage.function).text, "k");
}

TEST(Pickle, AnotherMayFollow) {
  const std::string text = bytes("K\x01.K\x02.");
  const Pickle first(text, "", "");
  EXPECT_EQ(first.size_bytes(), 3u);
  EXPECT_EQ(Pickle(std::string_view(text).substr(3), "", "").root().integer, 2);
}

struct Case {
  const char* name;
  std::string bytes;
  const char* says;
  Status status = Status::kFormat;
};

std::ostream& operator<<(std::ostream& out, const Case& broken) { return out << broken.name; }

std::vector<Case> cases() {
  return {
      {"Empty", "", "cut off at byte 0"},
      {"NoStop", "N", "cut off at byte 1"},
      {"StopOfNothing", ".", "STOP at byte 0 finds nothing"},
      {"TwoValues", "NN.", "STOP at byte 2 leaves values"},
      {"OpenMark", "(N.", "leaves values"},
      {"StopBehindAMark", "N(.", "STOP at byte 2 finds nothing"},
      {"Unknown", "N\x07.", "0x07 at byte 1 is unknown", Status::kUnsupported},
      {"TextOfProtocol0", "I1\n.", "INT at byte 0 is unknown", Status::kUnsupported},
      {"Extension", "\x82\x01.", "EXT1 at byte 0 is unknown", Status::kUnsupported},
      {"Protocol9", bytes("\x80\x09N."), "protocol 9", Status::kUnsupported},
      {"IntegerCutOff", "J\x01", "BININT at byte 0 needs 4 bytes, but 1 are left"},
      {"TextBeyondTheEnd",
       bytes("X\xff\xff\xff\xff"
             "ab."),
       "BINUNICODE at byte 0 needs 4294967295 bytes"},
      {"BytesBeyondAll", bytes("\x8e\xff\xff\xff\xff\xff\xff\xff\xff."), "BINBYTES8 at byte 0 needs"},
      {"TextIsNoUtf8", bytes("X\x01\0\0\0\xff."), "BINUNICODE at byte 0 is no UTF-8"},
      {"GlobalCutOff", "ca\nb", "GLOBAL at byte 0 is cut off"},
      {"TupleOfTooFew", "N\x86.", "TUPLE2 at byte 1 finds nothing"},
      {"TupleBelowTheMark", "N(\x85.", "TUPLE1 at byte 2 finds nothing"},
      {"NoMark", "Nt.", "TUPLE at byte 1 finds no mark"},
      {"AppendToNone", "NNa.", "APPEND at byte 2 finds no list"},
      {"AppendsToDict", "}(Ne.", "APPENDS at byte 3 finds no list"},
      {"SetItemOfList", "]NNs.", "SETITEM at byte 3 finds no dict"},
      {"KeyWithoutValue", "}(Nu.", "SETITEMS at byte 3 has a key without a value"},
      {"DictWithoutValue", "(Nd.", "DICT at byte 2 has a key without a value"},
      {"MemoOfNothing", bytes("h\x05."), "BINGET at byte 0 finds nothing at memo index 5"},
      {"MemoFarAway", bytes("Nr\xff\xff\xff\xff."), "LONG_BINPUT at byte 1 has memo index 4294967295"},
      {"PutOfNothing", bytes("q\0."), "BINPUT at byte 0 finds nothing"},
      {"CallOfANumber", bytes("K\x01)R."), "REDUCE at byte 3 calls what is no function"},
      {"ObjectWithoutTuple", "ca\nb\nN\x81.", "NEWOBJ at byte 6 finds no tuple"},
      {"StateOfAList", "]}b.", "BUILD at byte 2 finds no object"},
      {"StateTwice", "ca\nb\n)R}b}b.", "has its state"},
      {"StackGlobalOfNone", "NN\x93.", "STACK_GLOBAL at byte 2"},
      {"HoldsItself", bytes("]q\0h\0a."), "holds itself"},
      {"HoldsItselfThroughAnother", bytes("]q\0]h\0aa."), "holds itself"},
      {"TooDeep", std::string(51, ']') + std::string(50, 'a') + ".", "nested more than 50 deep"},
  };
}

class BrokenPickle : public testing::TestWithParam<Case> {};

TEST_P(BrokenPickle, IsRefused) {
  const Error error = error_in(GetParam().bytes);
  EXPECT_EQ(error.status(), GetParam().status) << error.message();
  EXPECT_TRUE(error.message().starts_with("model.pt: record model/data.pkl: ")) << error.message();
  EXPECT_NE(error.message().find(GetParam().says), std::string::npos) << error.message();
  EXPECT_EQ(error.subject(), "model/data.pkl");
}

INSTANTIATE_TEST_SUITE_P(Pickle, BrokenPickle, testing::ValuesIn(cases()),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(Pickle, DepthIsMeasuredHoweverItWasBuilt) {
  EXPECT_EQ(error_in(std::string(50, ']') + std::string(49, 'a') + ".").status(), Status::kOk);
  // From the outside in: the inner list is put into one that is already within others.
  std::string text = bytes("]q\0");
  for (char i = 1; i <= 60; ++i) text += std::string("]q") + i + "h" + static_cast<char>(i - 1) + "h" + i + "a00";
  EXPECT_NE(error_in(text + ".").message().find("nested more than 50"), std::string::npos);
  // A million levels, each of which holds the one before twice.
  std::string wide = "]";
  for (int i = 0; i < 1'000'000; ++i) wide += bytes("2\x86");
  EXPECT_EQ(error_in(wide + ".").status(), Status::kFormat);
}

TEST(Pickle, DamagedBytes) {
  const std::string sound =
      bytes("\x80\x02}q\0(X\x01\0\0\0aq\1]q\2(K\1M\2\0J\3\0\0\0eX\x01\0\0\0b(h\1h\2tQcm\nn\n)\x81}b\x86u.");
  EXPECT_EQ(error_in(sound.substr(0, 5) + "(K\1K\2u.").status(), Status::kOk);
  for (std::size_t length = 0; length < sound.size(); ++length) {
    EXPECT_NE(error_in(sound.substr(0, length)).status(), Status::kOk) << length;
  }
  std::mt19937 random(1);
  for (int trial = 0; trial < 50000; ++trial) {
    std::string text = sound;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const Status status = error_in(text).status();
    EXPECT_TRUE(status == Status::kOk || status == Status::kFormat || status == Status::kUnsupported);
  }
}

}  // namespace
}  // namespace mnq::test
