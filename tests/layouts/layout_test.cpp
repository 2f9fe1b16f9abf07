// Where each code and each zero point lies in the stored bytes, written out by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "formats/memory.h"
#include "layouts/ggml.h"
#include "support/error_of.h"

namespace mnq::test {
namespace {

using Codes = std::vector<std::int8_t>;
using Words = std::vector<std::uint32_t>;

Words words_of(const std::vector<std::byte>& bytes) {
  Words words(bytes.size() / sizeof(std::uint32_t));
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

// Takes what a layout stores, into memory that was not zero before.
class Taken final : public TensorSink {
 public:
  Taken(const Layout& layout, const QuantizedSpec& spec) {
    for (const StoredPart& part : layout.parts(spec)) {
      parts.emplace_back(*checked_size_bytes(part.dtype, part.shape), std::byte{0xff});
    }
  }
  void write(std::size_t tensor, std::uint64_t offset, std::span<const std::byte> bytes) override {
    std::ranges::copy(bytes, parts.at(tensor).begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void commit(std::span<const double>) override {}

  std::vector<std::vector<std::byte>> parts;
};

QuantizedSpec spec_of(const char* scheme, Shape shape, bool symmetric = true, std::uint64_t group_size = 0) {
  QuantizedSpec spec;
  spec.scheme = scheme;
  spec.symmetric = symmetric;
  spec.shape = std::move(shape);
  if (group_size > 0) {
    spec.granularity = Granularity::kGroup;
    spec.group_size = group_size;
  }
  return spec;
}

CodedPiece piece_of(const QuantizedSpec& spec, const Codes& codes) {
  const auto rows = static_cast<std::uint64_t>(spec.shape[0]), columns = codes.size() / rows;
  return {.place = {0, rows, 0, columns}, .group_size = columns, .codes = codes.data()};
}

// The first part of a weight with these codes.
std::vector<std::byte> store(const Layout& layout, const QuantizedSpec& spec, const Codes& codes) {
  Taken taken(layout, spec);
  LayoutBuffers buffers;
  layout.store(spec, piece_of(spec, codes), PartWriter(taken, 0), buffers);
  return taken.parts.front();
}

Words pack_int4(const Codes& codes, std::int64_t row_count) {
  const auto columns = static_cast<std::int64_t>(codes.size()) / row_count;
  return words_of(store(kRowsLayout, spec_of("qint4", {row_count, columns}), codes));
}

TEST(Int4, EightCodesToAWordTheFirstLowest) {
  // Each nibble holds code + 8.
  EXPECT_EQ(pack_int4({-8, -7, -6, -5, -4, -3, -2, -1}, 1), Words{0x76543210});
  EXPECT_EQ(pack_int4({0, 1, 2, 3, 4, 5, 6, 7}, 1), Words{0xfedcba98});
  EXPECT_EQ(pack_int4({7, -8, -8, -8, -8, -8, -8, -8}, 1), Words{0x0000000f});
  EXPECT_EQ(pack_int4({-8, -8, -8, -8, -8, -8, -8, 7}, 1), Words{0xf0000000});
}

TEST(Int4, EachRowStartsAWordAndUnusedNibblesAreZero) {
  EXPECT_EQ(pack_int4({1, 2, 3, -1, -2, -3}, 2), (Words{0x00000ba9, 0x00000567}));
  EXPECT_EQ(pack_int4({0, 0, 0, 0, 0, 0, 0, 0, 7}, 1), (Words{0x88888888, 0x0000000f}));
  EXPECT_EQ(pack_int4({5}, 1), Words{0x0000000d});
}

// Zero points of a weight with so many rows and groups, as they are stored.
std::vector<std::byte> store_zero_points(const Layout& layout, const QuantizedSpec& spec, const Codes& zero_points,
                                         std::size_t part) {
  Taken taken(layout, spec);
  layout.store_tables(spec, {{}, zero_points, {}}, PartWriter(taken, 0));
  return taken.parts.at(part);
}

TEST(Int4, ZeroPointsArePackedAlongTheRows) {
  // Row r, group g: word [r / 8, g], nibble r mod 8, zero point + 8. Nine rows of two groups need two rows of words.
  Codes zero_points;
  for (int row = 0; row < 9; ++row) {
    zero_points.push_back(static_cast<std::int8_t>(row - 8));  // -8..0
    zero_points.push_back(static_cast<std::int8_t>(7 - row));  // 7..-1
  }
  const Words expected{0x76543210, 0x89abcdef, 0x00000008, 0x00000007};
  const QuantizedSpec spec = spec_of("qint4", {9, 16}, false, 8);
  EXPECT_EQ(words_of(store_zero_points(kRowsLayout, spec, zero_points, 3)), expected);
  EXPECT_EQ(words_of(store_zero_points(kPackQuantizedLayout, spec, zero_points, 2)), expected);
}

TEST(Bytes, ZeroPointsAreCodes) {
  const Codes zero_points{-128, -1, 0, 127};
  EXPECT_EQ(store_zero_points(kRowsLayout, spec_of("qint8", {4, 6}, false), zero_points, 2),
            bytes_of({0x80, 0xff, 0x00, 0x7f}));
  EXPECT_EQ(store_zero_points(kRowsLayout, spec_of("quint8", {4, 6}, false), zero_points, 2),
            bytes_of({0, 127, 128, 255}));
}

// In words codes are unsigned, and a row is padded with zeros.
TEST(PackQuantized, BytesInWords) {
  EXPECT_EQ(store(kPackQuantizedLayout, spec_of("qint8", {2, 3}), {-128, 0, 127, 1, -1, 5}),
            bytes_of({0, 128, 255, 0, 129, 127, 133, 0}));
}

TEST(Ggml, NibblesOfABlockAreItsHalves) {
  QuantizedSpec spec = ggml_spec(*find_ggml_block("Q4_0"), {1, 32});
  Codes codes(32);
  for (int i = 0; i < 32; ++i) codes[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(i % 16 - 8);
  codes[16] = 7;
  Taken taken(kGgmlLayout, spec);
  CodedPiece piece = piece_of(spec, codes);
  const float scale = 0.5f;
  piece.group_size = 32;
  piece.scales = &scale;
  LayoutBuffers buffers;
  kGgmlLayout.store(spec, piece, PartWriter(taken, 0), buffers);
  EXPECT_EQ(taken.parts[0], bytes_of({0x00, 0x38, 0xf0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
                                      0xbb, 0xcc, 0xdd, 0xee, 0xff}));
}

// 32 rows and columns: the codes -8 to 7 again and again along the rows, or along the columns.
Codes squares(bool along_rows) {
  Codes codes;
  for (int row = 0; row < 32; ++row) {
    for (int column = 0; column < 32; ++column) {
      codes.push_back(static_cast<std::int8_t>((along_rows ? row : column) % 16 - 8));
    }
  }
  return codes;
}

// Symmetric zero points are 8, which the first form stores as 7.
TEST(Gptq, ColumnsAreStringsOfBitsAlongTheInputs) {
  const QuantizedSpec spec = spec_of("qint4", {32, 32});
  const Words words = words_of(store(kGptqLayout, spec, squares(false)));
  ASSERT_EQ(words.size(), 4u * 32);
  EXPECT_EQ(words[0], 0x76543210u);
  EXPECT_EQ(words[31], 0x76543210u);
  EXPECT_EQ(words[32], 0xfedcba98u);
  EXPECT_EQ(words_of(store_zero_points(kGptqLayout, spec, {}, 1)), Words(4, 0x77777777u));
  EXPECT_EQ(words_of(store_zero_points(kGptqV2Layout, spec, {}, 1)), Words(4, 0x88888888u));
}

// What wrote the first form took one from each zero point of a word at once: one of 0 becomes 15, and the next one of
// its word is less by one more, but for those of 3 bits, which reach over the ends of words.
TEST(Gptq, AZeroPointOf0BorrowsFromTheNextOneOfItsWord) {
  const auto stored = [](const char* scheme, std::int8_t lowest) {
    Codes zero_points(32, 0);
    zero_points.front() = lowest;
    return words_of(store_zero_points(kGptqLayout, spec_of(scheme, {32, 32}, false), zero_points, 1));
  };
  EXPECT_EQ(stored("qint2", -2), (Words{0x55555553u, 0x55555555u}));
  EXPECT_EQ(stored("qint3", -4), (Words{0xdb6db6dfu, 0xb6db6db6u, 0x6db6db6du}));
  EXPECT_EQ(stored("qint4", -8), (Words{0x7777776fu, 0x77777777u, 0x77777777u, 0x77777777u}));
  EXPECT_EQ(stored("qint8", -128).front(), 0x7f7f7effu);
}

TEST(Awq, AWordHasEightOutputsInItsOwnOrder) {
  const QuantizedSpec spec = spec_of("qint4", {32, 32});
  const Words words = words_of(store(kAwqLayout, spec, squares(true)));
  ASSERT_EQ(words.size(), 32u * 4);
  EXPECT_EQ(words[0], 0x75316420u);
  EXPECT_EQ(words[1], 0xfdb9eca8u);
  EXPECT_EQ(words[2], 0x75316420u);
  EXPECT_EQ(words_of(store_zero_points(kAwqLayout, spec, {}, 1)), Words(4, 0x88888888u));
  Codes zero_points;
  for (int row = 0; row < 32; ++row) zero_points.push_back(static_cast<std::int8_t>(row % 8));
  EXPECT_EQ(words_of(store_zero_points(kAwqLayout, spec_of("qint4", {32, 32}, false), zero_points, 1)),
            Words(4, 0xfdb9eca8u));
}

// What every layout stored of codes, scales and zero points is what it loads, whatever the lengths.
class RoundTrip {
 public:
  RoundTrip(const Layout& layout, QuantizedSpec spec) : layout_(layout), spec_(std::move(spec)) {
    const auto count = element_count(spec_.shape);
    const kernels::CodeRule rule = code_rule(scheme_of(spec_), spec_);
    const Scheme& scheme = scheme_of(spec_);
    const int codes = scheme.book == nullptr ? rule.code_max - rule.code_min + 1 : 1 << scheme.bits;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto code =
          static_cast<std::uint8_t>(static_cast<int>(i * 7 % static_cast<std::uint64_t>(codes)) + rule.code_min);
      codes_.push_back(static_cast<std::int8_t>(code ^ rule.code_xor));
    }
    const std::uint64_t scales = scale_shape(spec_).count();
    for (std::uint64_t i = 0; i < scales; ++i) tables_.scales.push_back(0.25f * static_cast<float>(i % 8 + 1));
    for (std::uint64_t i = 0; has_zero_points(spec_) && i < scales; ++i) {
      tables_.zero_points.push_back(
          static_cast<std::int8_t>(static_cast<int>(i * 5 % static_cast<std::uint64_t>(codes)) + rule.code_min));
    }
  }

  void run() {
    Taken taken(layout_, spec_);
    LayoutBuffers buffers;
    CodedPiece piece = piece_of(spec_, codes_);
    if (!layout_.has_tables) {
      piece.group_size = spec_.group_size;
      piece.scales = tables_.scales.data();
      if (scheme_of(spec_).has_minima) piece.minima = tables_.scales.data();
    }
    layout_.store(spec_, piece, PartWriter(taken, 0), buffers);
    if (layout_.has_tables) layout_.store_tables(spec_, tables_, PartWriter(taken, 0));
    check(*source_of(taken));
  }

 private:
  std::shared_ptr<const TensorSource> source_of(Taken& taken) const {
    std::vector<NamedTensor> tensors;
    for (const StoredPart& part : layout_.parts(spec_)) {
      const auto& bytes = taken.parts[tensors.size()];
      const auto data = allocate_bytes(bytes.size());
      std::ranges::copy(bytes, data.get());
      tensors.push_back({"X" + std::string(part.suffix), {part.dtype, part.shape, data, bytes.size()}});
    }
    return make_memory_source(std::move(tensors), {});
  }

  void check(const TensorSource& source) const {
    std::vector<std::size_t> parts;
    for (std::size_t i = 0; i < source.tensors().size(); ++i) parts.push_back(i);
    const PartReader reader(source, parts);
    LayoutBuffers buffers;
    const CodedPiece loaded = layout_.load(spec_, reader, piece_of(spec_, codes_).place, buffers);
    EXPECT_TRUE(std::ranges::equal(codes_, std::span(loaded.codes, codes_.size())));
    if (layout_.find_problem != nullptr) {
      EXPECT_EQ(layout_.find_problem(spec_, reader), "");
    }
    if (layout_.has_tables) {
      const ScaleTables tables = layout_.load_tables(spec_, reader);
      EXPECT_EQ(tables.scales, tables_.scales);
      EXPECT_EQ(tables.zero_points, tables_.zero_points);
    } else {
      EXPECT_TRUE(std::ranges::equal(tables_.scales, std::span(loaded.scales, tables_.scales.size())));
    }
  }

  const Layout& layout_;
  QuantizedSpec spec_;
  Codes codes_;
  ScaleTables tables_;
};

// The bytes of an int7 weight [1, 4], read as one with a zero point that is a byte, too.
Error error_of_int7(const Codes& codes, std::int8_t zero_point) {
  const auto tensor = [](const char* name, DType dtype, Shape shape, const void* from, std::size_t size) {
    const auto data = allocate_bytes(size);
    std::memcpy(data.get(), from, size);
    return NamedTensor{name, {dtype, std::move(shape), data, size}};
  };
  const float scale = 1;
  const auto source = make_memory_source({tensor("X", DType::kI8, {1, 4}, codes.data(), codes.size()),
                                          tensor("X_scale", DType::kF32, {1, 1}, &scale, sizeof scale),
                                          tensor("X_zero_point", DType::kI8, {1, 1}, &zero_point, 1)},
                                         {});
  return error_of([&] {
    const QuantizedSpec spec = spec_of("qint7", {1, 4}, false);
    const std::vector<std::size_t> parts{0, 1, 2};
    LayoutBuffers buffers;
    kIntQuantizedLayout.load_tables(spec, PartReader(*source, parts));
    kIntQuantizedLayout.load(spec, PartReader(*source, parts), {0, 1, 0, 4}, buffers);
  });
}

// Packed into 7 bits they would become other numbers.
TEST(Bytes, CodesOfMoreBitsThanTheSchemeHasAreRefused) {
  EXPECT_EQ(error_of_int7({-64, 63, 0, 1}, -64).status(), Status::kOk);
  const Error code = error_of_int7({0, 1, -65, 3}, 0), zero_point = error_of_int7({0, 1, 2, 3}, 64);
  EXPECT_EQ(code.status(), Status::kFormat);
  EXPECT_EQ(code.message(), "X has the code -65, but those of int7 are -64 to 63");
  EXPECT_EQ(zero_point.message(), "X_zero_point has the code 64, but those of int7 are -64 to 63");
}

TEST(EveryLayout, WhatIsStoredIsLoaded) {
  for (const Layout* layout : {&kRowsLayout, &kPackQuantizedLayout, &kIntQuantizedLayout}) {
    for (const Scheme* scheme : all_schemes()) {
      if (!scheme->may_be_chosen || scheme->is_cast) continue;
      if (layout == &kIntQuantizedLayout && scheme->needs_first_axis) continue;
      // Elsewhere its codes are those of int8.
      if (layout != &kRowsLayout && scheme->always_has_zero_points) continue;
      if (layout != &kRowsLayout && scheme->book != nullptr) continue;
      for (const std::int64_t columns : {1, 7, 8, 9, 15, 16, 17, 1023}) {
        for (const std::uint64_t group_size : {0, 8}) {
          SCOPED_TRACE(std::string(layout->name) + " " + std::string(scheme->name) + " " + std::to_string(columns));
          RoundTrip(*layout, spec_of(scheme->name.data(), {9, columns}, true, group_size)).run();
          if (scheme->book != nullptr) continue;  // floats have no zero points
          RoundTrip(*layout, spec_of(scheme->name.data(), {9, columns}, false, group_size)).run();
        }
      }
    }
  }
  for (const Layout* layout : {&kGptqLayout, &kGptqV2Layout}) {
    for (const char* scheme : {"qint2", "qint3", "qint4", "qint8"}) {
      SCOPED_TRACE(std::string(layout->name) + " " + scheme);
      RoundTrip(*layout, spec_of(scheme, {64, 96}, false, 32)).run();
    }
  }
  for (const GgmlBlock& block : all_ggml_blocks()) {
    if (!has_integer_codes(ggml_spec(block, {3, 96}))) continue;
    SCOPED_TRACE(block.name);
    RoundTrip(kGgmlLayout, ggml_spec(block, {3, 96})).run();
  }
}

}  // namespace
}  // namespace mnq::test
