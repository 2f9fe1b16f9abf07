// What GGUF has no place for: one such tensor does not keep a model from being written, and what is read back is what
// went in.
#include <gtest/gtest.h>

#include "formats/gguf/gguf.h"
#include "formats/gguf/gguf_substitutes.h"
#include "formats/open_source.h"
#include "layouts/ggml.h"
#include "support/copied_tensors.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

constexpr const char* kLongName =
    "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_q.weight";  // 77 bytes

// Every dtype, with every value of those of a byte, and what else has no place.
std::vector<TensorInfo> odd_tensors() {
  std::vector<TensorInfo> tensors;
  for (std::int32_t value = 1; const auto dtype = find_dtype(value); ++value) {
    const std::string name = "of." + std::string(dtype_name(*dtype));
    tensors.push_back({name, *dtype, {2, 128}, *checked_size_bytes(*dtype, {2, 128})});
  }
  tensors.push_back({"five.u8", DType::kU8, {2, 2, 2, 2, 3}, 48});
  tensors.push_back({"five.f32", DType::kF32, {2, 3, 1, 2, 2}, 96});
  tensors.push_back({"four.c64", DType::kC64, {1, 2, 2, 2}, 64});
  tensors.push_back({"empty.six", DType::kF32, {0, 3, 1, 2, 2, 2}, 0});
  tensors.push_back({"one", DType::kU16, {}, 2});
  tensors.push_back({kLongName, DType::kF32, {2, 2}, 16});
  tensors.push_back({std::string(kLongName) + ".x", DType::kU32, {2}, 8});
  return tensors;
}

std::vector<std::byte> data_of(const TensorInfo& tensor) {
  std::vector<std::byte> data(tensor.size_bytes);
  const bool is_whole = tensor.dtype != DType::kBool;
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(is_whole ? i * 7 % 256 : i % 2);
  return data;
}

struct Written {
  std::string bytes;
  std::vector<std::string> notes;
};

Written write(const std::vector<TensorInfo>& tensors, const Metadata& metadata = {},
              const Companion* companion = nullptr) {
  Written written;
  const CopiedTensors copied(tensors, metadata);
  const auto sink = open_gguf_sink(copied.request(companion), string_bytes(written.bytes));
  for (std::size_t i = 0; i < tensors.size(); ++i) sink->write(i, 0, data_of(tensors[i]));
  sink->commit(copied.no_sqnr());
  written.notes = sink->notes();
  return written;
}

std::shared_ptr<const TensorSource> open(const std::string& bytes) {
  return open_memory(std::as_bytes(std::span(bytes)));
}

void expect_odd_tensors(const TensorSource& source) {
  const std::vector<TensorInfo> expected = odd_tensors();
  ASSERT_EQ(source.tensors().size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const TensorInfo& tensor = source.tensors()[i];
    EXPECT_EQ(tensor.name, expected[i].name);
    EXPECT_EQ(tensor.dtype, expected[i].dtype) << tensor.name;
    EXPECT_EQ(tensor.shape, expected[i].shape) << tensor.name;
    ASSERT_EQ(tensor.size_bytes, expected[i].size_bytes) << tensor.name;
    std::vector<std::byte> data(tensor.size_bytes);
    source.read(i, 0, data);
    EXPECT_EQ(data, data_of(tensor)) << tensor.name;
    if (data.size() < 8) continue;
    std::vector<std::byte> middle(4);  // as any reader may ask
    source.read(i, 3, middle);
    EXPECT_TRUE(std::ranges::equal(middle, std::span(data).subspan(3, 4))) << tensor.name;
  }
}

TEST(GgufSubstitutes, AreReadBackAsWhatTheyStandFor) {
  const Written first = write(odd_tensors());
  const auto source = open(first.bytes);
  expect_odd_tensors(*source);
  for (const auto& [key, value] : source->metadata()) {
    EXPECT_FALSE(key.starts_with("mono_quant.") || key.starts_with("comfy.")) << key;
  }
  const Written second = write(source->tensors(), source->metadata(), source->companion());
  expect_odd_tensors(*open(second.bytes));
}

TEST(GgufSubstitutes, AreSaid) {
  std::string all;
  for (const std::string& note : write(odd_tensors()).notes) all += note + "\n";
  for (const char* part :
       {"of.BOOL: BOOL is stored as I8", "of.U8, five.u8: U8 is stored as I16", "of.U16, one: U16", "of.U32", "of.U64",
        "of.C64", "of.F8_E4M3", "of.F8_E5M2", "of.F8_E8M0", "five.f32", "63 bytes"}) {
    EXPECT_NE(all.find(part), all.npos) << part << "\n" << all;
  }
  EXPECT_EQ(write({{"w", DType::kF32, {2, 2}, 16}}).notes, std::vector<std::string>());
}

// By hand: what others read.
TEST(GgufSubstitutes, HaveTheSameValues) {
  const auto widened = [](DType dtype, std::vector<std::uint8_t> from) {
    const GgufSubstitute& substitute = *find_gguf_substitute(dtype);
    std::vector<std::uint16_t> to(from.size());
    substitute.widen(reinterpret_cast<const std::byte*>(from.data()), from.size(),
                     reinterpret_cast<std::byte*>(to.data()));
    return to;
  };
  using Halves = std::vector<std::uint16_t>;
  EXPECT_EQ(widened(DType::kU8, {0, 127, 255}), (Halves{0, 127, 255}));
  // 0, 2^-9, 3 * 2^-9, 7 * 2^-9, 2^-6, 1, -1.5, 448, NaN
  EXPECT_EQ(widened(DType::kF8E4M3, {0, 1, 3, 7, 8, 0x38, 0xbc, 0x7e, 0x7f}),
            (Halves{0, 0x1800, 0x1e00, 0x2300, 0x2400, 0x3c00, 0xbe00, 0x5f00, 0x7e00}));
  // 1, -2, infinity
  EXPECT_EQ(widened(DType::kF8E5M2, {0x3c, 0xc0, 0x7c}), (Halves{0x3c00, 0xc000, 0x7c00}));
}

TEST(GgufSubstitutes, NamesAreShortAndDiffer) {
  const std::string long_name(200, 'x'), other = std::string(199, 'x') + "y";
  EXPECT_EQ(short_gguf_name(long_name, 0).size(), 63u);
  EXPECT_NE(short_gguf_name(long_name, 0), short_gguf_name(long_name, 1));
  EXPECT_NE(short_gguf_name(long_name, 0).substr(0, 40), short_gguf_name(other, 0).substr(0, 40));
  std::string greek;
  for (int i = 0; i < 100; ++i) greek += "\u03b1\u03b2x";
  const std::string bytes = write({{greek, DType::kF32, {2, 2}, 16}}).bytes;
  EXPECT_EQ(open(bytes)->tensors()[0].name, greek);
  // The name that it would get is there already.
  const std::string taken = short_gguf_name(kLongName, 0);
  const std::string both = write({{kLongName, DType::kF32, {2, 2}, 16}, {taken, DType::kF32, {2, 2}, 16}}).bytes;
  EXPECT_EQ(open(both)->tensors()[0].name, kLongName);
  EXPECT_EQ(open(both)->tensors()[1].name, taken);
}

// As ComfyUI has it, blocks run on over rows; ours are made of whole rows, and the shape is the weight's.
TEST(GgufSubstitutes, FiveDimensionsOfBlocks) {
  const QuantizedSpec spec = ggml_spec(*find_ggml_block("Q8_0"), {2, 2, 1, 2, 64});
  const CopiedTensors copied(std::vector<CopiedWeight>{{"w", spec, &kGgmlLayout}});
  std::string bytes;
  const auto sink = open_gguf_sink(copied.request(), string_bytes(bytes));
  sink->write(0, 0, std::vector<std::byte>(16 * 34));  // blocks of 32
  sink->commit(copied.no_sqnr());
  const auto source = open(bytes);
  ASSERT_EQ(source->weights().size(), 1u);
  EXPECT_EQ(source->weights()[0].shape, spec.shape);
  EXPECT_EQ(source->problems().size(), 0u);
}

TEST(GgufSubstitutes, TextsBecomeKeyValues) {
  const std::string long_text(5000, 't');
  const Metadata texts{{"format", "pt"},
                       {"ss_network_module", "networks.lora"},
                       {"modelspec.description", long_text},
                       {"general.architecture", "flux"},
                       {"split.count", "3"},
                       {"mono_quant.dtype.w", "U8"},
                       {"", "nothing"}};
  const Written written = write({{"w", DType::kF32, {2, 2}, 16}}, texts);
  const auto source = open(written.bytes);
  for (const auto& [key, text] : texts) {
    if (key == "format") continue;
    EXPECT_EQ(source->metadata().at(key), text) << key;
  }
  EXPECT_EQ(source->tensors()[0].dtype, DType::kF32);
  EXPECT_EQ(source->companion()->gguf_architecture, "unknown") << "the file's own";
  ASSERT_EQ(written.notes.size(), 1u);
  EXPECT_NE(written.notes[0].find("general.architecture"), std::string::npos) << written.notes[0];
  const Written again = write(source->tensors(), source->metadata(), source->companion());
  EXPECT_EQ(open(again.bytes)->metadata().at("general.architecture"), "flux");
}

}  // namespace
}  // namespace mnq::test
