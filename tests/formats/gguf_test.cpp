// What GGUF carries besides tensors.
#include "formats/gguf/gguf.h"

#include <gtest/gtest.h>

#include "formats/open_source.h"
#include "layouts/ggml.h"
#include "support/copied_tensors.h"

namespace mnq::test {
namespace {

std::string write_tied(const Metadata& metadata, const Companion* companion) {
  const CopiedTensors copied({{"enc.weight", DType::kF32, {2, 4}, 32}}, metadata);
  std::string bytes;
  const auto sink = open_gguf_sink(copied.request(companion), string_bytes(bytes));
  sink->write(0, 0, std::vector<std::byte>(32));
  sink->commit(copied.no_sqnr());
  return bytes;
}

std::vector<std::string> ties_of(const TensorSource& source) { return source.weights().at(0).ties; }

// As key-values, once, however often it is written again.
TEST(Gguf, KeepsTheNamesOfTiedTensors) {
  const std::string first = write_tied({{"dec.weight", "enc.weight"}, {"author", "somebody"}}, nullptr);
  const auto source = open_memory(std::as_bytes(std::span(first)));
  EXPECT_EQ(source->metadata().at("dec.weight"), "enc.weight");
  EXPECT_EQ(ties_of(*source), std::vector<std::string>{"dec.weight"});
  const std::string second = write_tied(source->metadata(), source->companion());
  EXPECT_EQ(ties_of(*open_memory(std::as_bytes(std::span(second)))), std::vector<std::string>{"dec.weight"});
}

// As llama.cpp guesses it: by the count of tensors, whatever their sizes.
TEST(Gguf, SaysWhichTypeTheFileMostlyIs) {
  const auto file_type = [](const std::vector<std::string>& eight_bits, const std::vector<std::string>& four_bits) {
    std::vector<CopiedWeight> weights{{"norm.weight"}};
    const auto add = [&](const std::vector<std::string>& names, const char* block, std::int64_t rows) {
      for (const std::string& name : names) {
        weights.push_back({name, ggml_spec(*find_ggml_block(block), {rows, 32}), &kGgmlLayout});
      }
    };
    add(eight_bits, "Q8_0", 1000);
    add(four_bits, "Q4_0", 2);
    const CopiedTensors copied(weights);
    std::string bytes;
    open_gguf_sink(copied.request(), string_bytes(bytes))->commit(copied.no_sqnr());
    return open_memory(std::as_bytes(std::span(bytes)))->metadata().at("general.file_type");
  };
  EXPECT_EQ(file_type({"a"}, {"b", "c"}), "2") << "Q4_0";
  EXPECT_EQ(file_type({"a", "b"}, {"c"}), "7") << "Q8_0";
  EXPECT_EQ(file_type({}, {}), "0") << "F32";
}

}  // namespace
}  // namespace mnq::test
