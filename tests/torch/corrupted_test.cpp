// Archives that are damaged, seen from the C ABI: an error that names the record, no crash, nothing half done.
#include "module_fixture.h"

namespace mnq::test {
namespace {

mnq_status open_status(const std::string& bytes) {
  return error_of([&] { Model::open_memory(bytes_of(bytes)); }).code();
}

TEST(CorruptedArchive, EveryTruncation) {
  const std::string whole = read_bytes(module_file("stateful"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_NE(open_status(whole.substr(0, size)), MNQ_OK) << size << " of " << whole.size() << " bytes";
  }
}

// The data of every record is covered by its checksum, the rest by the directory's rules. What is left are bytes that
// no reader looks at, such as times.
TEST(CorruptedArchive, AFlippedBitAnywhere) {
  const std::string whole = read_bytes(module_file("stateful"));
  const Model sound = open_module("stateful");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    try {
      const Model model = Model::open_memory(bytes_of(damaged));
      ASSERT_EQ(mono_quant::compare(sound, model).number("exact"), 1) << "byte " << at << " was flipped unseen";
    } catch (const Error& error) {
      ASSERT_NE(error.code(), MNQ_E_INTERNAL) << at << ": " << error.what();
      ASSERT_FALSE(error.suggestion().empty() && error.subject().empty()) << at << ": " << error.what();
    }
  }
}

TEST(CorruptedArchive, NamesTheRecord) {
  const std::string whole = read_bytes(module_file("stateful"));
  std::string damaged = whole;
  const std::size_t code = whole.find("stateful/code/__torch__.py");
  ASSERT_NE(code, std::string::npos);
  damaged[code + 100] = static_cast<char>(damaged[code + 100] ^ 1);
  const Error error = error_of([&] { Model::open_memory(bytes_of(damaged)); });
  EXPECT_EQ(error.code(), MNQ_E_FORMAT);
  EXPECT_NE(std::string(error.what()).find("stateful/code/__torch__.py"), std::string::npos) << error.what();
}

}  // namespace
}  // namespace mnq::test
