// What GGUF carries besides tensors.
#include "formats/gguf.h"

#include <gtest/gtest.h>

#include "plan/logical_tensors.h"

namespace mnq::test {
namespace {

std::string write_tied(const Metadata& metadata, const Companion* companion) {
  const std::vector<TensorInfo> tensors{{"enc.weight", DType::kF32, {2, 4}, 32}};
  std::string bytes;
  const auto sink = open_gguf_sink({tensors, metadata, companion}, string_bytes(bytes));
  sink->write(0, 0, std::vector<std::byte>(32));
  sink->commit(metadata);
  return bytes;
}

std::vector<std::string> ties_of(const TensorSource& source) { return find_logical_tensors(source).tensors.at(0).ties; }

// As key-values, once, however often it is written again.
TEST(Gguf, KeepsTheNamesOfTiedTensors) {
  const std::string first = write_tied({{"dec.weight", "enc.weight"}, {"author", "somebody"}}, nullptr);
  const auto source = open_memory(std::as_bytes(std::span(first)));
  EXPECT_EQ(source->metadata().at("dec.weight"), "enc.weight");
  EXPECT_EQ(ties_of(*source), std::vector<std::string>{"dec.weight"});
  const std::string second = write_tied(source->metadata(), source->companion());
  EXPECT_EQ(ties_of(*open_memory(std::as_bytes(std::span(second)))), std::vector<std::string>{"dec.weight"});
}

}  // namespace
}  // namespace mnq::test
