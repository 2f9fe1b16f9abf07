// A real TorchScript file passes; broken in one place it is refused, by the name of the record, before LibTorch sees
// it.
#include "containers/torchscript/torchscript_archive.h"

#include <gtest/gtest.h>

#include <random>

#include "containers/torchscript/torchscript_program.h"
#include "formats/open_source.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/zip_bytes.h"

namespace mnq::test {
namespace {

const std::string& sound_file() {
  static const std::string bytes = read_bytes(MNQ_TEST_DATA "/torchscript.pt");
  return bytes;
}

Error error_in(const std::string& bytes) {
  return error_of([&] { check_torchscript(open_zip(bytes)); });
}

// The real file with one record replaced, added or, where the text is "-", left out.
std::string with_record(const std::string& name, const std::string& text) {
  const ZipArchive archive = open_zip(sound_file());
  const std::string full_name = "torchscript/" + name;
  ZipBytes bytes;
  for (const ZipEntry& entry : archive.entries()) {
    if (entry.name != full_name) bytes.add(deflated(entry.name, archive.read(entry, 1 << 20)));
  }
  if (text != "-") bytes.add(stored(full_name, text));
  return bytes.bytes();
}

std::string record(const std::string& name) {
  const ZipArchive archive = open_zip(sound_file());
  return archive.read(*archive.find("torchscript/" + name), 1 << 20);
}

// The real file with a text in a record replaced, wherever it stands.
std::string with_text(const std::string& name, const std::string& from, const std::string& to) {
  std::string text = record(name);
  EXPECT_NE(text.find(from), text.npos) << from;
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return with_record(name, text);
}

std::string with_constants(const std::string& values) {
  return with_record("constants.pkl", "\x80\x02(" + values + "t.");
}

template <std::size_t size>
std::string bytes(const char (&text)[size]) {
  return {text, size - 1};
}

// A tensor of constants/0, which the file has with 8 bytes.
std::string with_tensor(const std::string& storage, const std::string& layout) {
  const std::string tensor = "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + layout +
                             "\x89"
                             "ccollections\nOrderedDict\n)RtR";
  const std::string file = with_constants(tensor);
  const ZipArchive archive = open_zip(file);
  ZipBytes all;
  for (const ZipEntry& entry : archive.entries()) all.add(stored(entry.name, archive.read(entry, 1 << 20)));
  return all.add(stored("torchscript/constants/0", "8 bytes.")).bytes();
}

std::string storage_of(const std::string& type, const std::string& key, const std::string& numel) {
  return bytes("(X\x07\0\0\0storagectorch\n") + type + bytes("\nX\x01\0\0\0") + key + bytes("X\x03\0\0\0cpu") + numel +
         "tQ";
}

TEST(TorchScript, ARealFilePasses) {
  const std::string& file = sound_file();
  const ZipArchive archive = open_zip(file);
  EXPECT_TRUE(is_torchscript(archive));
  const TorchScriptArchive checked = check_torchscript(archive);
  EXPECT_EQ(checked.root, "torchscript");
  EXPECT_EQ(checked.extra_files, std::vector<std::string>{"labels.txt"});
  EXPECT_EQ(checked.tensor_bytes, 6u + 48 + 72 + 8 + 128 + 16 + 16);
}

TEST(TorchScript, WhatTheLiteInterpreterRunsIsNamed) {
  EXPECT_TRUE(check_torchscript(open_zip(sound_file())).remarks.empty());
  const std::string lite = with_record("bytecode.pkl", "\x80\x02).");
  const auto remarks = check_torchscript(open_zip(lite)).remarks;
  ASSERT_EQ(remarks.size(), 1u);
  EXPECT_NE(remarks[0].find("bytecode.pkl: not kept"), std::string::npos);
}

TEST(TorchScript, AStateDictIsNone) {
  const std::string file = ZipBytes().add(stored("r/data.pkl", "\x80\x02}.")).add(stored("r/version", "3\n")).bytes();
  EXPECT_FALSE(is_torchscript(open_zip(file)));
}

TEST(TorchScript, WhatIsUnusualButSound) {
  EXPECT_EQ(error_in(with_record("extra/any.pkl", "no pickle")).status(), Status::kOk);
  EXPECT_EQ(error_in(with_record("version", "10")).status(), Status::kOk);
  EXPECT_EQ(error_in(with_record("extra/Read.PY", "x")).status(), Status::kOk);
  EXPECT_EQ(error_in(with_record("byteorder", "-")).status(), Status::kOk);
  EXPECT_EQ(error_in(with_tensor(storage_of("FloatStorage", "0", "K\x02"), bytes("K\0K\x02\x85K\x01\x85"))).status(),
            Status::kOk);
  const std::string bfloat = storage_of("BFloat16Storage", "0", "K\x04");
  EXPECT_EQ(error_in(with_tensor(bfloat, bytes("K\x01K\x02K\x02\x86K\x02K\0\x86"))).status(), Status::kOk);
  EXPECT_EQ(error_in(with_tensor(bfloat, bytes("K\0K\x63\x85K\0\x85"))).status(), Status::kOk);  // expanded
  EXPECT_EQ(error_in(with_tensor(bfloat, bytes("K\x03))"))).status(), Status::kOk);              // a scalar
}

struct Case {
  const char* name;
  std::string bytes;
  const char* says;
  Status status = Status::kFormat;
};

std::ostream& operator<<(std::ostream& out, const Case& broken) { return out << broken.name; }

// Each class needs the next one.
std::string class_chain(int length) {
  std::string code;
  for (int i = 0; i < length; ++i) {
    code += "class A" + std::to_string(i) + "(Module):\n  a : __torch__.A" + std::to_string(i + 1) + "\n";
  }
  return code + "class A" + std::to_string(length) + "(Module):\n  x : int\n";
}

// Each method calls the next one.
std::string method_chain(int length) {
  std::string code = "class Chain(Module):\n";
  for (int i = 0; i < length; ++i) {
    code += "  def m" + std::to_string(i) + "(self) -> int:\n    return (self).m" + std::to_string(i + 1) + "()\n";
  }
  return code;
}

std::vector<Case> cases() {
  constexpr Status kUnsupported = Status::kUnsupported;
  const std::string code = "code/__torch__.py", sound_code = record(code);
  const std::string floats = storage_of("FloatStorage", "0", "K\x02");
  const auto tensor = [&](const std::string& layout) { return with_tensor(floats, layout); };
  return {
      {"NoData", with_record("data.pkl", "-"), "torchscript/data.pkl: is missing"},
      {"NoConstants", with_record("constants.pkl", "-"), "torchscript/constants.pkl: is missing"},
      {"NoVersion", with_record("version", "-"), "torchscript/version: is missing"},
      {"NoStorage", with_record("data/4", "-"), "data.pkl: names storage 4"},
      {"StorageTooSmall", with_record("data/4", std::string(127, 'x')), "storage 4 of 32 elements of 4 bytes"},
      {"StorageTooLarge", with_record("data/4", std::string(132, 'x')), "but its record has 132 bytes"},
      {"NoCode", with_record(code, "-"), "names __torch__.Net, but the file's code has no such class"},
      {"ClassMissing", with_text(code, "class Net(", "class Met("), "names __torch__.Net"},
      {"SecondRoot", ZipBytes().add(stored("a/b", "")).add(stored("c/d", "")).bytes(), "record c/d: is not in the"},
      {"CaseOnly", with_record("DATA.pkl", ""), "upper and lower case only"},
      {"OldForm", with_record("model.json", "{}"), "record torchscript/model.json", kUnsupported},
      {"VersionTooHigh", with_record("version", "11\n"), "is 11, but 1 to 10", kUnsupported},
      {"VersionTooLow", with_record(".data/version", "0\n"), ".data/version: is 0, but", kUnsupported},
      {"VersionNoNumber", with_record("version", "3x"), "version: '3x' is no number"},
      {"VersionLong", with_record("version", std::string(99, '1')), "version: 99 bytes"},
      {"BigEndian", with_record("byteorder", "big"), "byteorder: is 'big'", kUnsupported},
      {"CodeIsNoUtf8", with_record(code, sound_code + "\xff"), "code/__torch__.py: is no UTF-8"},
      {"CodeWithZero", with_record(code, sound_code + bytes("\0")), "code/__torch__.py: holds a zero"},
      {"CodeIsNotPrinted", with_record(code, sound_code + "x = 1\n"), "code/__torch__.py: line "},
      {"NameDefinedNowhere", with_text(code, "training : bool", "a : __torch__.Bet"), "names __torch__.Bet, which"},
      {"CodeInUpperCase", with_record("code/__torch__/evil.PY", "class E(Module):\n"), "has .py in upper case"},
      {"CodeFolderInUpperCase", with_record("CODE/__torch__/evil.py", ""), "has code/ in upper case"},
      {"PickleInUpperCase", with_record("traced_inputs.PKL", ""), "has pkl in upper case"},
      {"VersionInUpperCase", with_record(".data/Version", "3\n"), "has version in upper case"},
      {"MethodChain", with_record(code, method_chain(2001) + sound_code), "code/: its classes and methods need"},
      {"ClassChain", with_record(code, class_chain(2001) + sound_code),
       "code/: its classes and methods need each other"},
      {"SetState", with_text(code, "def forward", "def __setstate__"), "has __setstate__", kUnsupported},
      {"CustomClassInCode", with_text(code, "training : bool", "a : __torch__.torch.classes.quantized.P"),
       "custom class", kUnsupported},
      {"CustomClass", with_constants("c__torch__.torch.classes.q\nP\n"), "custom class", kUnsupported},
      {"Quantized", with_constants("ctorch._utils\n_rebuild_qtensor\n"), "quantized by PyTorch", kUnsupported},
      {"QuantizedStorage", with_constants("ctorch\nQInt8Storage\n"), "quantized by PyTorch", kUnsupported},
      {"System", with_constants("cposix\nsystem\n"), "constants.pkl: names posix.system, which no", kUnsupported},
      {"Eval", with_constants("cbuiltins\neval\nX\x01\0\0\0a\x85R"), "constants.pkl", Status::kFormat},
      {"Protocol3", with_record("constants.pkl", "\x80\x03)."), "constants.pkl: is no pickle of protocol 2"},
      {"BytesAfterPickle", with_record("constants.pkl", "\x80\x02).x"), "constants.pkl: has bytes after its end"},
      {"DataIsNoModule", with_record("data.pkl", "\x80\x02)."), "data.pkl: holds no module"},
      {"AttributeMissing", with_text(code, "training : bool", "training : bool\n  more : int"),
       "data.pkl: has no value for __torch__.Net.more"},
      {"AttributeOfOtherType", with_text(code, "training : bool", "training : int"),
       "data.pkl: holds in __torch__.Net.training what is of another type"},
      {"ConstantsAreNoTuple", with_record("constants.pkl", "\x80\x02]."), "constants.pkl: holds no tuple"},
      {"DebugIsBroken", with_record(code + ".debug_pkl", "\x80\x02"), "__torch__.py.debug_pkl: the pickle is cut off"},
      {"ListsTooDeep", with_constants(std::string(300, ']') + std::string(299, 'a')), "nested more than 200 deep"},
      {"ListInItself", with_constants(bytes("]q\0h\0a")), "constants.pkl: holds a value that holds itself"},
      {"BuildOfFunction", with_constants("ccollections\nOrderedDict\n)R)b"), "makes an object of a function"},
      {"ObjectWithoutState", with_constants("c__torch__\nNet\n)\x81"), "holds a Net without its attributes"},
      {"KeyIsAList", with_constants("}]Ns"), "has a dict whose key"},
      {"TypeTagOfNumber", with_constants(bytes("ctorch.jit._pickle\nrestore_type_tag\nK\1X\1\0\0\0a\x86R")),
       "gives a type to what is no list"},
      {"ListOfNoList", with_constants(bytes("ctorch.jit._pickle\nbuild_intlist\nK\1\x85R")), "without a list"},
      {"TensorWithoutStorage", with_tensor("N", bytes("K\0))")), "has a tensor without a storage"},
      {"OffsetTooFar", tensor(bytes("K\x02))")), "reaches beyond its storage 0 of 2"},
      {"OffsetNegative", tensor(bytes("J\xff\xff\xff\xff))")), "has a tensor's offset of -1"},
      {"SizeTooLarge", tensor(bytes("K\0K\x03\x85K\1\x85")), "reaches beyond"},
      {"StrideTooLarge", tensor(bytes("K\0K\x02\x85K\2\x85")), "reaches beyond"},
      {"StrideNegative", tensor(bytes("K\1K\x02\x85J\xff\xff\xff\xff\x85")), "has a tensor's stride of -1"},
      {"StrideMissing", tensor(bytes("K\0K\x02\x85)")), "fewer strides than sizes"},
      {"SizeOverflows", tensor(bytes("K\0J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86K\0K\0\x86")), "reaches beyond"},
      {"OffsetOverflows", tensor(bytes("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\2\x85K\1\x85")), "reaches beyond"},
      {"SizeIsText", tensor(bytes("K\0X\1\0\0\0a\x85K\1\x85")), "has a tensor's size that is no integer"},
      {"NumelOverflows",
       with_tensor(storage_of("FloatStorage", "0", bytes("\x8a\x08\2\0\0\0\0\0\0\x40")), bytes("K\0))")),
       "but its record has 8 bytes"},
      {"UnknownDtype", with_tensor(storage_of("FooStorage", "0", "K\2"), bytes("K\0))")), "FooStorage", kUnsupported},
  };
}

class BrokenTorchScript : public testing::TestWithParam<Case> {};

TEST_P(BrokenTorchScript, IsRefused) {
  const Error error = error_in(GetParam().bytes);
  EXPECT_EQ(error.status(), GetParam().status) << error.message();
  EXPECT_NE(error.message().find(GetParam().says), std::string::npos) << error.message();
  EXPECT_FALSE(error.suggestion().empty());
}

INSTANTIATE_TEST_SUITE_P(TorchScript, BrokenTorchScript, testing::ValuesIn(cases()),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(DamagedTorchScript, CutOffAtEveryByte) {
  for (std::size_t length = 0; length < sound_file().size(); ++length) {
    const std::string cut = sound_file().substr(0, length);
    EXPECT_EQ(error_in(cut).status(), Status::kFormat) << length;
  }
}

// At the latest when the first tensor is read.
TEST(DamagedTorchScript, AChangedByteIsFoundInItsRecord) {
  const std::string& file = sound_file();
  const ZipArchive archive = open_zip(file);
  for (const ZipEntry& entry : archive.entries()) {
    for (std::uint64_t i = 0; i < entry.stored_size; i += 7) {
      std::string bytes = file;
      bytes[entry.data_offset + i] ^= 0x10;
      const Error error = error_of([&] {
        std::byte first{};
        open_memory(std::as_bytes(std::span(bytes)))->read(0, 0, {&first, 1});
      });
      EXPECT_EQ(error.subject(), entry.name) << i;
    }
  }
}

// With the checksum made right again only the checks of the contents are left.
TEST(DamagedTorchScript, ChangedPicklesNeverDoHarm) {
  std::mt19937 random(1);
  for (const char* name : {"data.pkl", "code/__torch__.py", "code/__torch__.py.debug_pkl"}) {
    const std::string sound = record(name);
    for (int trial = 0; trial < 300; ++trial) {
      std::string text = sound;
      for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
        text[random() % text.size()] = static_cast<char>(random());
      }
      const Status status = error_in(with_record(name, text)).status();
      EXPECT_TRUE(status == Status::kOk || status == Status::kFormat || status == Status::kUnsupported);
    }
  }
}

ScriptProgram::Extent extent_of(const std::string& code) {
  ScriptProgram program;
  program.add("__torch__", ScriptCode(code, "file", "code/__torch__.py"));
  return program.measure();
}

TEST(ClassDepth, IsThatOfTheLongestChain) {
  const auto depth = [](const std::string& code) { return extent_of(code).depth; };
  EXPECT_EQ(depth(""), 0u);
  EXPECT_EQ(depth("class A(Module):\n  def f(s: __torch__.A) -> int:\n    return 1\n"), 1u);  // in itself: no chain
  EXPECT_EQ(depth(class_chain(5)), 6u);
  EXPECT_EQ(depth("def f() -> int:\n  return __torch__.g()\ndef g() -> int:\n  return 1\n"), 2u);
  EXPECT_EQ(depth("class E(Enum):\n  RED = 1\ndef g() -> int:\n  return (__torch__.E.RED).value\n"), 2u);
  EXPECT_EQ(depth(method_chain(5)), 5u);
  EXPECT_EQ(depth("class A(Module):\n  a : __torch__.B\nclass B(Module):\n  b : __torch__.A\n"), 2u);  // a ring
}

// Each class holds the next one twice, and mentions it in a method besides.
std::string doubling_classes(int count) {
  std::string code = "class A" + std::to_string(count) + "(Module):\n  x : int\n";
  for (int i = count - 1; i >= 0; --i) {
    const std::string next = "__torch__.A" + std::to_string(i + 1);
    code += "class A" + std::to_string(i) + "(Module):\n  a : " + next + "\n  __annotations__[\"0\"] = " + next +
            "\n  def f(self: __torch__.A" + std::to_string(i) + ",\n    a: " + next + ") -> int:\n    return 1\n";
  }
  return code;
}

TEST(ClassObjects, AreCountedOnceForEachWay) {
  const auto objects = [](const std::string& code) { return extent_of(code).objects; };
  EXPECT_EQ(objects(""), 0u);
  EXPECT_EQ(objects("class A(Module):\n  def f(s: __torch__.A) -> int:\n    return 1\n"), 1u);
  EXPECT_EQ(objects(doubling_classes(3)), 15u);
  EXPECT_EQ(objects("class B(Module):\n  x : int\nclass A(Module):\n  a : List[Tuple[__torch__.B, __torch__.B]]\n"),
            3u);
  EXPECT_GT(objects(doubling_classes(30)), kMostObjects);
}

}  // namespace
}  // namespace mnq::test
