// bitsandbytes' layouts.
// 4 bits: all elements one after the other in blocks of some, wherever rows end. Blocks that reach over the ends of
// rows, and nested scales, are only read:
//   X                U8 [elements / 2, 1], the first of two codes high
//   X.absmax         F32 [blocks]; nested: U8, codes of X.nested_quant_map F32 [256]
//   X.nested_absmax  F32 [blocks / nested_blocksize]
//   X.quant_state.bitsandbytes__nf4  U8, JSON: quant_type, blocksize, dtype, shape, nested_blocksize, nested_offset
//   X.quant_map      F32 [16], what codes stand for
// 8 bits, which is only read: X I8 [out, in], SCB F32 [out], the largest weight of a row, which code 127 stands for.
// Source: bitsandbytes/functional.py, backends/default/ops.py
#include <algorithm>
#include <array>
#include <span>

#include "base/text/format.h"
#include "base/text/json.h"
#include "layouts/layouts.h"
#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"
#include "schemes/schemes.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1, kState = 2, kMap = 3, kNestedScales = 4, kNestedMap = 5;
constexpr std::size_t kValues = 16;

// What the codes of scales are scales of.
struct Nested {
  std::uint64_t block = 256;
  float offset = 0;
};

Nested read_nested(const PartReader& in) {
  const std::vector<std::byte> bytes = load_bytes(in, kState);
  const Json state = parse_json(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  return {state["nested_blocksize"].get<std::uint64_t>(), static_cast<float>(state["nested_offset"].get<double>())};
}

// The scales of blocks [first, first + count).
void load_scales(const PartReader& in, std::uint64_t first, std::uint64_t count, float* scales) {
  if (in.count() <= kNestedScales) {
    return in.read(kScales, first * sizeof(float), std::as_writable_bytes(std::span(scales, count)));
  }
  const Nested nested = read_nested(in);
  std::vector<std::uint8_t> codes(count);
  in.read(kScales, first, std::as_writable_bytes(std::span(codes)));
  const std::vector<float> map = load_floats(in, kNestedMap);
  const std::uint64_t outer = first / nested.block;
  std::vector<float> largest(ceil_div(first + count, nested.block) - outer);
  in.read(kNestedScales, outer * sizeof(float), std::as_writable_bytes(std::span(largest)));
  for (std::uint64_t i = 0; i < count; ++i) {
    scales[i] = map[codes[i]] * largest[(first + i) / nested.block - outer] + nested.offset;
  }
}

std::uint64_t row_length_of(const QuantizedSpec& spec) { return row_view(spec.shape, spec.channel_axis).row_length; }

bool has_whole_rows(const QuantizedSpec& spec) { return row_length_of(spec) % spec.group_size == 0; }

const std::int8_t* load_codes(const PartReader& in, std::uint64_t first, std::uint64_t count, LayoutBuffers& buffers) {
  const std::uint64_t first_byte = first / 2, size = ceil_div(first + count, 2) - first_byte;
  const std::byte* stored = in.fetch(kCodes, first_byte, size, buffers.raw);
  auto* codes = buffers.codes.get<std::int8_t>(2 * size);
  for (std::uint64_t i = 0; i < size; ++i) {
    const auto both = std::to_integer<std::uint8_t>(stored[i]);
    codes[2 * i] = static_cast<std::int8_t>(both >> 4);
    codes[2 * i + 1] = static_cast<std::int8_t>(both & 15);
  }
  return codes + first % 2;
}

// Where blocks reach over the ends of rows each element has a scale of its own.
CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const std::uint64_t first = first_element(spec, place), count = place.count(), block = spec.group_size;
  const std::uint64_t first_block = first / block, blocks = ceil_div(first + count, block) - first_block;
  CodedPiece piece{.place = place, .group_size = block, .codes = load_codes(in, first, count, buffers)};
  if (has_whole_rows(spec)) {
    auto* scales = buffers.scales.get<float>(blocks);
    load_scales(in, first_block, blocks, scales);
    piece.scales = scales;
    return piece;
  }
  std::vector<float> of_blocks(blocks);
  load_scales(in, first_block, blocks, of_blocks.data());
  auto* scales = buffers.scales.get<float>(count);
  for (std::uint64_t i = 0; i < count; ++i) scales[i] = of_blocks[(first + i) / block - first_block];
  piece.group_size = 1;
  piece.scales = scales;
  return piece;
}

bool is_kind(const QuantizedSpec& spec) { return spec.scheme == kNf4Scheme.name || spec.scheme == kFp4Scheme.name; }

bool can_hold(const QuantizedSpec& spec) {
  return is_kind(spec) && spec.granularity == Granularity::kGroup && spec.group_rows == 1 && spec.group_size % 2 == 0 &&
         spec.shape.size() >= 2 && has_whole_rows(spec);
}

constexpr std::array kKinds{
    HeldKind{.scheme = "nf4", .name = "nf4", .group_size = 64, .symmetric = true, .scale_dtype = DType::kF32},
    HeldKind{.scheme = "fp4", .name = "fp4", .group_size = 64, .symmetric = true, .scale_dtype = DType::kF32},
};

// As Python's json writes it.
std::string state_text(const QuantizedSpec& spec) {
  const bool is_brain = spec.weight_dtype == DType::kBF16;
  std::string shape;
  for (const std::int64_t size : spec.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
  return formatted(R"({{"quant_type": "{}", "blocksize": {}, "dtype": "{}{}", "shape": [{}]}})", spec.scheme,
                   spec.group_size, is_brain ? "bfloat" : "float", dtype_bits(spec.weight_dtype), shape);
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  const auto count = static_cast<std::int64_t>(element_count(spec.shape));
  const bool is_normal = spec.scheme == kNf4Scheme.name;
  return {{"", DType::kU8, {count / 2, 1}},
          {".absmax", DType::kF32, {count / static_cast<std::int64_t>(spec.group_size)}},
          {is_normal ? ".quant_state.bitsandbytes__nf4" : ".quant_state.bitsandbytes__fp4",
           DType::kU8,
           {static_cast<std::int64_t>(state_text(spec).size())}},
          {".quant_map", DType::kF32, {kValues}}};
}

// What is said of the whole weight is stored with its first piece.
void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  const std::uint64_t first = first_element(spec, piece.place), size = piece.place.count() / 2;
  auto* stored = buffers.stored.get<std::uint8_t>(size);
  for (std::uint64_t i = 0; i < size; ++i) {
    stored[i] = static_cast<std::uint8_t>(piece.codes[2 * i] << 4 | piece.codes[2 * i + 1]);
  }
  out.write(kCodes, first / 2, stored, size);
  out.write(kScales, first / spec.group_size * sizeof(float), piece.scales, piece.scale_count() * sizeof(float));
  if (first != 0) return;
  const std::string state = state_text(spec);
  out.write(kState, 0, state.data(), state.size());
  out.write(kMap, 0, scheme_of(spec).book, kValues * sizeof(float));
}

ScaleTables load_tables(const QuantizedSpec&, const PartReader& in) {
  constexpr float kOneOf127 = 7.874015718698502e-3f;  // as bitsandbytes has it
  ScaleTables tables{.scales = load_floats(in, kScales)};
  for (float& scale : tables.scales) scale *= kOneOf127;
  return tables;
}

std::vector<StoredPart> no_parts(const QuantizedSpec&) { return {}; }

}  // namespace

constinit const Layout kBitsandbytes4Layout{
    .name = "bitsandbytes 4 bits",
    .holds = kKinds,
    .scales_text = "has a scale for each block of 64",
    .axis_text = "has its blocks on the last axis",
    .has_tables = false,
    .can_hold = can_hold,
    .unit = [](const QuantizedSpec& spec) { return spec.group_size; },
    .parts = parts,
    .store = store,
    .load = load,
};

constinit const Layout kBitsandbytes4FlatLayout{
    .name = "bitsandbytes 4 bits, across rows",
    .has_own_order = true,
    .has_tables = false,
    .can_hold = [](const QuantizedSpec&) { return false; },
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts = no_parts,
    .load = load,
};

constinit const Layout kBitsandbytes8Layout{
    .name = "bitsandbytes 8 bits",
    .has_tables = true,
    .can_hold = [](const QuantizedSpec&) { return false; },
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts = no_parts,
    .load =
        [](const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
          return CodedPiece{.place = place, .codes = load_byte_codes(spec, in, kCodes, place, buffers)};
        },
    .load_tables = load_tables,
};

}  // namespace mnq
