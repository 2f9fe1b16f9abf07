// What GGUF carries besides tensors.
#include "formats/gguf/gguf.h"

#include <gtest/gtest.h>

#include "plan/logical_tensors.h"
#include "schemes/scheme.h"

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

// As llama.cpp guesses it: by the count of tensors, whatever their sizes.
TEST(Gguf, SaysWhichTypeTheFileMostlyIs) {
  const auto file_type = [](const std::vector<std::string>& eight_bits, const std::vector<std::string>& four_bits) {
    std::vector<TensorInfo> tensors;
    std::vector<QuantizedEntry> entries;
    const auto add = [&](const std::vector<std::string>& names, const char* scheme, std::int64_t rows) {
      for (const std::string& name : names) {
        QuantizedSpec spec;
        spec.scheme = scheme;
        spec.granularity = Granularity::kGroup;
        spec.group_size = 32;
        spec.shape = {rows, 32};
        for (const StoredPart& part : scheme_of(spec).parts(spec)) {
          tensors.push_back(
              {name + std::string(part.suffix), part.dtype, part.shape, *checked_size_bytes(part.dtype, part.shape)});
        }
        entries.push_back({name, spec, std::nullopt});
      }
    };
    add(eight_bits, "qint8", 1000);
    add(four_bits, "qint4", 2);
    tensors.push_back({"norm.weight", DType::kF32, {4}, 16});
    const Metadata metadata{{std::string(kMetadataKey), write_quantized_metadata(entries)}};
    std::string bytes;
    open_gguf_sink({tensors, metadata, nullptr}, string_bytes(bytes))->commit(metadata);
    return open_memory(std::as_bytes(std::span(bytes)))->metadata().at("general.file_type");
  };
  EXPECT_EQ(file_type({"a"}, {"b", "c"}), "2") << "Q4_0";
  EXPECT_EQ(file_type({"a", "b"}, {"c"}), "7") << "Q8_0";
  EXPECT_EQ(file_type({}, {}), "0") << "F32";
}

}  // namespace
}  // namespace mnq::test
