// What every scheme promises in every layout that holds it, whether settings can choose it or only files have it: what
// is stored is loaded, pieces of any cut are those of the whole, and every job takes it. A row that is added is tested
// here the day it arrives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "layouts/ggml.h"
#include "quantize/job_fixture.h"
#include "quantize/loop/weight_reader.h"
#include "support/told_weights.h"

namespace mnq::test {
namespace {

struct Stored {
  const Layout* layout;
  QuantizedSpec spec;
};

std::ostream& operator<<(std::ostream& out, const Stored& stored) {
  return out << stored.layout->name << " " << scheme_text(stored.spec) << " " << shape_text(stored.spec.shape);
}

// The last blocks of rows and columns are partial ones.
std::vector<QuantizedSpec> specs_of(const Scheme& scheme) {
  std::vector<QuantizedSpec> specs;
  const auto add = [&](Granularity granularity, std::uint64_t group_size, std::uint64_t group_rows,
                       bool has_group_order = false) {
    for (const Shape& shape : {Shape{5, 512}, Shape{130, 272}, Shape{32, 256}, Shape{2, 129, 256}}) {
      for (const bool symmetric : {true, false}) {
        QuantizedSpec spec;
        spec.scheme = scheme.name;
        spec.granularity = granularity;
        spec.symmetric = symmetric;
        spec.group_size = group_size;
        spec.group_rows = group_rows;
        spec.has_group_order = has_group_order;
        spec.scale_dtype = scheme.scale_dtype;
        spec.shape = shape;
        spec.channel_axis = static_cast<std::int64_t>(shape.size()) - 2;
        if (granularity != Granularity::kTensor) spec.stacked_axes = spec.channel_axis;
        specs.push_back(spec);
      }
    }
  };
  if (scheme.may_be_per_tensor) add(Granularity::kTensor, 0, 1);
  add(Granularity::kChannel, 0, 1);
  for (const std::uint64_t size : {16, 32, 64}) add(Granularity::kGroup, size, 1);
  add(Granularity::kGroup, 16, 1, true);
  add(Granularity::kGroup, 128, 128);
  for (const GgmlBlock& block : all_ggml_blocks()) {
    if (block.scheme != scheme.name) continue;
    for (const Shape& shape : {Shape{5, 512}, Shape{4, 1024}, Shape{5, 3, 256}})
      specs.push_back(ggml_spec(block, shape));
  }
  return specs;
}

bool is_meant(const Layout& layout, const QuantizedSpec& spec) {
  const Scheme& scheme = scheme_of(spec);
  if (spec.symmetric != scheme.symmetric_default && (!has_integer_codes(spec) || scheme.has_minima)) return false;
  if (spec.has_group_order && !layout.holds_group_order) return false;
  // Elsewhere its codes are those of int8.
  return layout.can_hold(spec) && (&layout == &kRowsLayout || !scheme.always_has_zero_points);
}

std::vector<Stored> all_stored() {
  std::vector<Stored> all;
  for (const Scheme* scheme : all_schemes()) {
    if (scheme->is_cast) continue;
    for (const QuantizedSpec& spec : specs_of(*scheme)) {
      for (const Layout* layout : all_layouts()) {
        if (is_meant(*layout, spec)) all.push_back({layout, spec});
      }
    }
  }
  return all;
}

// A sink that keeps what it gets, with what was there before.
class Kept final : public TensorSink {
 public:
  explicit Kept(const std::vector<StoredPart>& parts) {
    for (const StoredPart& part : parts) {
      bytes.emplace_back(*checked_size_bytes(part.dtype, part.shape), std::byte{0xff});
    }
  }
  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> from) override {
    std::ranges::copy(from, bytes.at(tensor).begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void commit(std::span<const double>) override {}

  std::vector<std::vector<std::byte>> bytes;
};

// Codes, scales and all else of a weight, made up, and what they stand for, worked out one by one.
class MadeUp {
 public:
  explicit MadeUp(const QuantizedSpec& spec) : spec_(spec), scheme_(scheme_of(spec)), scales_(scale_shape(spec)) {
    scheme_.blocks != nullptr ? make_blocks() : make_codes();
  }

  // In pieces of whole rows, as jobs have them.
  std::shared_ptr<const TensorSource> store(const Layout& layout) const {
    const std::vector<StoredPart> parts = layout.parts(spec_);
    Kept kept(parts);
    LayoutBuffers buffers;
    const RowView rows = row_view(spec_.shape, spec_.channel_axis);
    const std::uint64_t step = std::max<std::uint64_t>(2, layout.unit(spec_) / rows.row_length);
    for (std::uint64_t row = 0; row < rows.row_count; row += step) {
      const std::uint64_t count = std::min(step, rows.row_count - row);
      layout.store(spec_, piece({row, count, 0, rows.row_length}, layout), PartWriter(kept, 0), buffers);
    }
    if (layout.has_tables) layout.store_tables(spec_, tables_, PartWriter(kept, 0));
    std::vector<NamedTensor> tensors;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      tensors.push_back({part_name("fc.weight", parts[i]), tensor_of(parts[i].dtype, parts[i].shape, kept.bytes[i])});
    }
    return std::make_shared<ToldWeights>(model_of(std::move(tensors)),
                                         std::vector<ToldWeight>{{"fc.weight", spec_, &layout}});
  }

  const std::vector<float>& weights() const { return weights_; }

 private:
  void make_blocks() {
    const OwnBlocks& own = *scheme_.blocks;
    const std::uint64_t count = element_count(spec_.shape) / own.elements;
    // No byte is above 63: two of them are no half that is not finite.
    for (std::uint64_t i = 0; i < count * own.bytes; ++i) blocks_.push_back(static_cast<std::byte>(i * 37 % 61));
    weights_.resize(count * own.elements);
    own.decode(blocks_.data(), count, weights_.data());
  }

  void make_codes() {
    const RowView rows = row_view(spec_.shape, spec_.channel_axis);
    for (std::uint64_t i = 0; i < scales_.count(); ++i) {
      const bool is_power = spec_.scale_dtype == DType::kF8E8M0;
      tables_.scales.push_back(is_power ? std::ldexp(1.0f, static_cast<int>(i % 8) - 4)
                                        : 0.25f * static_cast<float>(i % 8 + 1));
      const std::uint64_t range = std::min<std::uint64_t>(13, std::uint64_t{1} << scheme_.bits);
      const auto zero_point = static_cast<std::int8_t>(static_cast<int>(i * 5 % range) - static_cast<int>(range / 2));
      if (has_zero_points(spec_)) tables_.zero_points.push_back(zero_point);
      if (scheme_.has_minima) tables_.minima.push_back(-0.5f * static_cast<float>(i % 5));
    }
    tables_.global_scale = 4;
    for (std::uint64_t i = 0; spec_.has_group_order && i < rows.row_length; ++i) {
      tables_.group_of_column.push_back(static_cast<std::uint32_t>(i * 5 % scales_.groups));
    }
    for (std::uint64_t i = 0; i < element_count(spec_.shape); ++i) {
      const std::uint64_t row = i / rows.row_length, column = i % rows.row_length;
      add_code(i * 7 + row, scale_of(row, column));
    }
  }

  // Not by scale_shape: blocks start anew in each matrix of a stack.
  std::uint64_t scale_of(std::uint64_t row, std::uint64_t column) const {
    if (spec_.granularity == Granularity::kTensor) return 0;
    const auto matrix_rows = static_cast<std::uint64_t>(spec_.shape[spec_.shape.size() - 2]);
    const std::uint64_t blocks_of_rows = (matrix_rows + spec_.group_rows - 1) / spec_.group_rows;
    const std::uint64_t of_row = row / matrix_rows * blocks_of_rows + row % matrix_rows / spec_.group_rows;
    if (spec_.has_group_order) return of_row * scales_.groups + tables_.group_of_column[column];
    return spec_.granularity == Granularity::kChannel ? row : of_row * scales_.groups + column / spec_.group_size;
  }

  void add_code(std::uint64_t number, std::uint64_t scale) {
    const int integers = scheme_.rule.code_max - scheme_.rule.code_min + 1;
    const auto codes =
        scheme_.book != nullptr ? std::uint64_t{1} << scheme_.bits : static_cast<std::uint64_t>(integers);
    if (scheme_.book != nullptr) {
      while (!std::isfinite(scheme_.book[number % codes])) ++number;
      codes_.push_back(static_cast<std::int8_t>(number % codes));
      weights_.push_back(scheme_.book[number % codes] * tables_.scales[scale]);
      return;
    }
    const int code = static_cast<int>(number % codes) + scheme_.rule.code_min;
    codes_.push_back(static_cast<std::int8_t>(static_cast<std::uint8_t>(code) ^ scheme_.rule.code_xor));
    const int zero = scheme_.has_minima       ? scheme_.rule.code_min
                     : has_zero_points(spec_) ? tables_.zero_points[scale]
                                              : 0;
    const float above = static_cast<float>(code - zero) * tables_.scales[scale];
    weights_.push_back(scheme_.has_minima ? above + tables_.minima[scale] : above);
  }

  CodedPiece piece(const PiecePlace& place, const Layout& layout) const {
    const RowView rows = row_view(spec_.shape, spec_.channel_axis);
    CodedPiece piece{.place = place, .group_size = spec_.group_size};
    const std::uint64_t first = place.first_row * rows.row_length;
    if (scheme_.blocks != nullptr) {
      piece.blocks = blocks_.data() + first / scheme_.blocks->elements * scheme_.blocks->bytes;
      return piece;
    }
    piece.codes = codes_.data() + first;
    if (layout.has_tables) return piece;
    piece.scales = tables_.scales.data() + first / spec_.group_size;
    if (scheme_.has_minima) piece.minima = tables_.minima.data() + first / spec_.group_size;
    return piece;
  }

  const QuantizedSpec& spec_;
  const Scheme& scheme_;
  ScaleShape scales_;
  std::vector<std::int8_t> codes_;
  std::vector<std::byte> blocks_;
  ScaleTables tables_;
  std::vector<float> weights_;
};

std::vector<float> read_piece(const WeightReader& reader, std::uint64_t begin, std::uint64_t count) {
  ReadBuffers buffers;
  const float* values = reader.read(begin, count, buffers);
  return {values, values + count};
}

class EveryStoredWeight : public testing::TestWithParam<Stored> {};

INSTANTIATE_TEST_SUITE_P(Tables, EveryStoredWeight, testing::ValuesIn(all_stored()));

TEST_P(EveryStoredWeight, IsWhatItsCodesStandForInAnyCut) {
  const auto& [layout, spec] = GetParam();
  const MadeUp made(spec);
  const auto source = made.store(*layout);
  const WeightReader reader(*source, source->require_weights().at(0));
  const std::uint64_t length = row_view(spec.shape, spec.channel_axis).row_length, all = made.weights().size();
  EXPECT_EQ(read_piece(reader, 0, all), made.weights());
  // Rows, runs across rows, and pieces that start and end inside of blocks.
  const std::uint64_t cuts[][2] = {{0, length},           {length, 2 * length}, {8, 8},
                                   {length - 8, 16},      {24, length + 40},    {length + 136, 1},
                                   {2 * length + 8, 200}, {all - 24, 24},       {all - length - 8, length}};
  for (const auto& [begin, count] : cuts) {
    const auto from = made.weights().begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<float> expected(from, from + static_cast<std::ptrdiff_t>(count));
    EXPECT_EQ(read_piece(reader, begin, count), expected) << begin << " " << count;
  }
}

TEST_P(EveryStoredWeight, IsTakenByEveryJob) {
  const auto& [layout, spec] = GetParam();
  const auto source = MadeUp(spec).store(*layout);
  const std::vector<float> weights = MadeUp(spec).weights();
  const Result floats = dequantize_in_memory(*source);
  EXPECT_EQ(read_values<float>(*floats.model, "fc.weight"), weights);
  EXPECT_EQ(floats.report["layers"][0]["action"], "dequantize");
  RunControl control;
  const Config config(nullptr, nullptr);
  const Json checked = validate(*source, floats.model.get(), config, control).json();
  EXPECT_EQ(checked["model"]["valid"], true) << checked["problems"].dump();
  EXPECT_EQ(checked["model"]["exact"], true);
  EXPECT_EQ(compare(*floats.model, *source, config, control).json()["model"]["exact"], true);
}

// As it is where our own layout holds it, else as floats, and it is said why.
TEST_P(EveryStoredWeight, BecomesWhatOurOwnLayoutHolds) {
  const auto& [layout, spec] = GetParam();
  const auto source = MadeUp(spec).store(*layout);
  RunControl control;
  std::shared_ptr<const TensorSource> model;
  const Json report =
      convert(*source, Config(nullptr, nullptr), control, memory_output(*source, model)).json()["layers"][0];
  const bool stays = kRowsLayout.can_hold(spec);
  EXPECT_EQ(report["action"], stays ? "copy" : "dequantize");
  EXPECT_EQ(model->require_weights().at(0).spec.has_value(), stays);
  if (!stays) {
    EXPECT_EQ(report["reason"], spec.has_group_order
                                    ? "its codes lie in an order of their own (" + scheme_text(spec) + ")"
                                    : "the output has no " + scheme_text(spec));
  }
  EXPECT_EQ(read_values<float>(stays ? *dequantize_in_memory(*model).model : *model, "fc.weight"),
            MadeUp(spec).weights());
}

// Half of the widest step is what a code loses at most.
TEST(EveryScheme, HasNoWiderStepThanItSays) {
  for (const Scheme* scheme : all_schemes()) {
    if (scheme->book == nullptr) continue;
    std::vector<float> values(scheme->book, scheme->book + (std::size_t{1} << scheme->bits));
    std::erase_if(values, [](float value) { return !std::isfinite(value); });
    std::ranges::sort(values);
    float widest = 0;
    for (std::size_t i = 1; i < values.size(); ++i) widest = std::max(widest, values[i] - values[i - 1]);
    EXPECT_EQ(widest, scheme->widest_step) << scheme->name;
  }
}

TEST(EveryScheme, LiesInSomeLayout) {
  for (const Scheme* scheme : all_schemes()) {
    if (scheme->is_cast) continue;
    const bool is_held =
        std::ranges::any_of(all_stored(), [&](const Stored& stored) { return stored.spec.scheme == scheme->name; });
    EXPECT_TRUE(is_held) << scheme->name;
  }
}

// ---- By what others made of the same bytes: tests/data/make_stored_schemes.py

std::shared_ptr<const TensorSource> open_data(const char* name) {
  return open_source(std::string(MNQ_TEST_DATA "/") + name);
}

TEST(Float8E4M3, EveryCodeIsWhatPytorchMakesOfIt) {
  const auto source = open_data("float8.safetensors");
  const auto expected = read_values<float>(*source, "codes.expected");
  const float* book = find_scheme("float8_e4m3")->book;
  ASSERT_EQ(expected.size(), 256u);
  for (std::size_t code = 0; code < expected.size(); ++code) {
    EXPECT_EQ(std::isnan(book[code]), std::isnan(expected[code])) << code;
    if (std::isnan(expected[code])) continue;
    EXPECT_EQ(book[code], expected[code]) << code;
    EXPECT_EQ(std::signbit(book[code]), std::signbit(expected[code])) << code;
  }
}

TEST(Nvfp4, TwoLevelsOfScalesAreThoseOfCompressedTensors) {
  QuantizedSpec spec;
  spec.scheme = "nvfp4";
  spec.granularity = Granularity::kGroup;
  spec.group_size = 16;
  spec.shape = {4, 32};
  const auto source = std::make_shared<ToldWeights>(open_data("float8.safetensors"),
                                                    std::vector<ToldWeight>{{"w", spec, &kNvfp4PackLayout}});
  EXPECT_EQ(read_values<float>(*dequantize_in_memory(*source).model, "w"), read_values<float>(*source, "w.expected"));
}

TEST(GgmlBlocks, AreThoseOfGguf) {
  const auto source = open_data("gguf_types.gguf");
  const auto floats = dequantize_in_memory(*source).model;
  std::size_t count = 0;
  for (const LogicalTensor& tensor : source->require_weights()) {
    if (!tensor.spec) continue;
    ++count;
    const auto expected = read_values<float>(*source, tensor.name + ".expected");
    ASSERT_EQ(expected.size(), 512u) << tensor.name;
    EXPECT_EQ(read_values<float>(*floats, tensor.name), expected) << tensor.name;
  }
  // All but two that gguf-py does not decode.
  EXPECT_EQ(count, all_ggml_blocks().size() - 2);
}

std::vector<float> decoded_block(const char* name, const std::vector<std::uint8_t>& bytes) {
  const OwnBlocks& blocks = *find_scheme(find_ggml_block(name)->scheme)->blocks;
  EXPECT_EQ(bytes.size(), blocks.bytes);
  std::vector<float> weights(blocks.elements);
  blocks.decode(std::as_bytes(std::span(bytes)).data(), 1, weights.data());
  return weights;
}

// A scale of 2, the half 0x4000, and then bits, or codes of two bits, the lowest first.
TEST(GgmlBlocks, OfOneAndTwoBits) {
  std::vector<std::uint8_t> bits{0x00, 0x40, 0b00000101};
  bits.resize(18);
  const auto ones = decoded_block("Q1_0", bits);
  EXPECT_EQ(std::vector<float>(ones.begin(), ones.begin() + 4), (std::vector<float>{2, -2, 2, -2}));
  EXPECT_EQ(ones.back(), -2);
  std::vector<std::uint8_t> codes{0x00, 0x40, 0b11100100};
  codes.resize(18);
  const auto twos = decoded_block("Q2_0", codes);
  EXPECT_EQ(std::vector<float>(twos.begin(), twos.begin() + 5), (std::vector<float>{-2, 0, 2, 4, -2}));
}

// From one GGUF file into another all blocks stay, also those that are never made.
TEST(GgmlBlocks, AreCopiedFromGgufToGguf) {
  const auto source = open_data("gguf_types.gguf");
  RunControl control;
  Settings settings;
  set_value(settings, "format", "gguf");
  const Config config(&settings, nullptr);
  std::string bytes;
  const Json report = convert(*source, config, control, bytes_output(*source, config, bytes)).json();
  const auto copied = open_memory(std::as_bytes(std::span(bytes)));
  for (const Json& layer : report["layers"]) EXPECT_EQ(layer["action"], "copy") << layer["tensor"].text();
  for (const LogicalTensor& tensor : source->require_weights()) {
    EXPECT_EQ(read_values<std::byte>(*copied, tensor.name), read_values<std::byte>(*source, tensor.name))
        << tensor.name;
  }
}

TEST(Float8E4M3, BlocksOf128Times128) {
  // [130, 130]: four blocks, three of them partial; code 0x38 is 1, 0xc0 is -2.
  std::vector<std::uint8_t> codes(130 * 130, 0x38);
  codes.back() = 0xc0;
  const auto model = model_of({{"w", tensor_of(DType::kF8E4M3, {130, 130}, codes)},
                               {"w_scale_inv", tensor_of<float>(DType::kF32, {2, 2}, {0.5f, 3, 5, 7})}});
  QuantizedSpec spec;
  spec.scheme = "float8_e4m3";
  spec.granularity = Granularity::kGroup;
  spec.group_size = spec.group_rows = 128;
  spec.weight_dtype = DType::kBF16;
  spec.shape = {130, 130};
  EXPECT_EQ(scheme_text(spec), "float8_e4m3 block 128x128");
  const ToldWeights source(model, {{"w", spec, &kFloat8InverseLayout}});
  const WeightReader reader(source, source.require_weights().at(0));
  const auto at = [&](std::uint64_t row, std::uint64_t column) {
    ReadBuffers buffers;
    const std::uint64_t begin = row * 130 + column / 8 * 8;
    return reader.read(begin, column % 8 + 1, buffers)[column % 8];
  };
  EXPECT_EQ(at(0, 0), 0.5f);
  EXPECT_EQ(at(127, 127), 0.5f);
  EXPECT_EQ(at(127, 128), 3);
  EXPECT_EQ(at(128, 127), 5);
  EXPECT_EQ(at(129, 128), 7);
  EXPECT_EQ(at(129, 129), -14);
}

}  // namespace
}  // namespace mnq::test
