#include "layouts/ggml.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "layouts/packing/packed_words.h"
#include "layouts/tables.h"

namespace mnq {
namespace {

constexpr std::uint64_t kHalf = sizeof(std::uint16_t), kGroup = 32, kFifthBits = sizeof(std::uint32_t);

void unpack_bytes(const std::uint8_t* from, std::int8_t* codes) { std::memcpy(codes, from, kGroup); }
void pack_bytes(const std::int8_t* codes, std::uint8_t* to) { std::memcpy(to, codes, kGroup); }

// Nibbles of `size` codes to codes, each less by `zero`, and back: the first half is low.
template <std::uint64_t size, int zero>
void unpack_halves(const std::uint8_t* from, std::int8_t* codes) {
  for (std::uint64_t i = 0; i < size / 2; ++i) {
    codes[i] = static_cast<std::int8_t>((from[i] & 15) - zero);
    codes[i + size / 2] = static_cast<std::int8_t>((from[i] >> 4) - zero);
  }
}

template <std::uint64_t size, int zero>
void pack_halves(const std::int8_t* codes, std::uint8_t* to) {
  for (std::uint64_t i = 0; i < size / 2; ++i) {
    to[i] = static_cast<std::uint8_t>((codes[i] + zero) | (codes[i + size / 2] + zero) << 4);
  }
}

// As halves, with the fifth bits of all codes in front.
void unpack_fives(const std::uint8_t* from, std::int8_t* codes) {
  std::uint32_t fifth = 0;
  std::memcpy(&fifth, from, sizeof fifth);
  unpack_halves<kGroup, 0>(from + kFifthBits, codes);
  for (std::uint64_t i = 0; i < kGroup; ++i) {
    codes[i] = static_cast<std::int8_t>((codes[i] | static_cast<int>(fifth >> i & 1) << 4) - 16);
  }
}

void pack_fives(const std::int8_t* codes, std::uint8_t* to) {
  std::uint32_t fifth = 0;
  std::int8_t low[kGroup];
  for (std::uint64_t i = 0; i < kGroup; ++i) {
    const auto code = static_cast<std::uint32_t>(codes[i] + 16);
    fifth |= (code >> 4) << i;
    low[i] = static_cast<std::int8_t>(code & 15);
  }
  std::memcpy(to, &fifth, sizeof fifth);
  pack_halves<kGroup, 0>(low, to + kFifthBits);
}

constexpr std::uint64_t kSixteens = 4;

void unpack_sixteens(const std::uint8_t* from, std::int8_t* codes) {
  for (std::uint64_t i = 0; i < kSixteens; ++i) unpack_halves<16, 0>(from + 8 * i, codes + 16 * i);
}

void pack_sixteens(const std::int8_t* codes, std::uint8_t* to) {
  for (std::uint64_t i = 0; i < kSixteens; ++i) pack_halves<16, 0>(codes + 16 * i, to + 8 * i);
}

constexpr GgmlBlock of_scheme(std::string_view name, std::string_view scheme, std::uint64_t bytes,
                              std::uint64_t elements = 256) {
  return {.name = name, .scheme = scheme, .elements = elements, .bytes = bytes};
}

constexpr std::array kBlocks{
    GgmlBlock{.name = "Q8_0", .scheme = "qint8", .bytes = 34, .unpack = unpack_bytes, .pack = pack_bytes},
    GgmlBlock{.name = "Q4_0",
              .scheme = "qint4",
              .bytes = 18,
              .unpack = unpack_halves<kGroup, 8>,
              .pack = pack_halves<kGroup, 8>},
    GgmlBlock{.name = "Q4_1",
              .scheme = "q4_1",
              .symmetric = false,
              .bytes = 20,
              .unpack = unpack_halves<kGroup, 8>,
              .pack = pack_halves<kGroup, 8>},
    GgmlBlock{.name = "Q5_0", .scheme = "qint5", .bytes = 22, .unpack = unpack_fives, .pack = pack_fives},
    GgmlBlock{
        .name = "Q5_1", .scheme = "q5_1", .symmetric = false, .bytes = 24, .unpack = unpack_fives, .pack = pack_fives},
    GgmlBlock{.name = "MXFP4",
              .scheme = "mxfp4",
              .bytes = 17,
              .scale_dtype = DType::kF8E8M0,
              .unpack = unpack_halves<kGroup, 0>,
              .pack = pack_halves<kGroup, 0>},
    GgmlBlock{.name = "NVFP4",
              .scheme = "nvfp4",
              .elements = 64,
              .bytes = 36,
              .group = 16,
              .scale_dtype = DType::kF8E4M3,
              .unpack = unpack_sixteens,
              .pack = pack_sixteens},
    GgmlBlock{.name = "IQ4_NL",
              .scheme = "iq4_nl",
              .bytes = 18,
              .unpack = unpack_halves<kGroup, 0>,
              .pack = pack_halves<kGroup, 0>},
    of_scheme("Q1_0", "q1_0", 18, 128),
    of_scheme("Q2_0", "q2_0", 18, 64),
    of_scheme("Q2_K", "q2_k", 84),
    of_scheme("Q3_K", "q3_k", 110),
    of_scheme("Q4_K", "q4_k", 144),
    of_scheme("Q5_K", "q5_k", 176),
    of_scheme("Q6_K", "q6_k", 210),
    of_scheme("IQ1_S", "iq1_s", 50),
    of_scheme("IQ1_M", "iq1_m", 56),
    of_scheme("IQ2_XXS", "iq2_xxs", 66),
    of_scheme("IQ2_XS", "iq2_xs", 74),
    of_scheme("IQ2_S", "iq2_s", 82),
    of_scheme("IQ3_XXS", "iq3_xxs", 98),
    of_scheme("IQ3_S", "iq3_s", 110),
    of_scheme("IQ4_XS", "iq4_xs", 136),
    of_scheme("TQ1_0", "tq1_0", 54),
    of_scheme("TQ2_0", "tq2_0", 66),
};

// Those that weights are quantized into; all others are only read and copied.
constexpr std::size_t kKindCount = 7;

constexpr auto kKinds = [] {
  std::array<HeldKind, kKindCount> kinds;
  std::ranges::transform(std::span(kBlocks).first<kKindCount>(), kinds.begin(), [](const GgmlBlock& block) {
    return HeldKind{.scheme = block.scheme,
                    .name = block.name,
                    .group_size = block.group_size(),
                    .symmetric = block.symmetric,
                    .scale_dtype = block.scale_dtype};
  });
  return kinds;
}();

// Every block's number at `place`, as float32.
void load_halves(const std::byte* blocks, std::uint64_t count, std::uint64_t bytes, std::uint64_t place,
                 std::uint16_t* halves, float* values) {
  for (std::uint64_t i = 0; i < count; ++i) std::memcpy(&halves[i], blocks + i * bytes + place, kHalf);
  kernels::kernel_table().f16_to_f32(halves, count, values);
}

void store_halves(const float* values, std::uint64_t count, std::uint64_t bytes, std::uint64_t place,
                  std::uint16_t* halves, std::byte* blocks) {
  kernels::kernel_table().f32_to_f16(values, count, halves);
  for (std::uint64_t i = 0; i < count; ++i) std::memcpy(blocks + i * bytes + place, &halves[i], kHalf);
}

// Of a piece: its first block in the file, and how many it is.
struct BlockRange {
  std::uint64_t first;
  std::uint64_t count;
};
BlockRange blocks_of(const QuantizedSpec& spec, const GgmlBlock& block, const PiecePlace& place) {
  return {first_element(spec, place) / block.elements, place.count() / block.elements};
}

// Whether codes and scales of a weight can lie in blocks as they are.
bool can_hold(const QuantizedSpec& spec) {
  const GgmlBlock* block = ggml_block_of(spec);
  if (block == nullptr || spec.shape.size() < 2 ||
      spec.shape.back() % static_cast<std::int64_t>(block->elements) != 0) {
    return false;
  }
  if (spec.channel_axis != spec.stacked_axes) return false;
  QuantizedSpec stored = ggml_spec(*block, spec.shape);
  stored.channel_axis = stored.stacked_axes =
      spec.channel_axis;  // groups are of the last axis, whatever the others are
  stored.weight_dtype = spec.weight_dtype;
  stored.has_free_scales = spec.has_free_scales;
  return stored == spec;
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  return {{"", DType::kU8, ggml_stored_shape(*ggml_block_of(spec), spec.shape)}};
}

// Bytes of a block in front of its codes.
std::uint64_t codes_at(const GgmlBlock& block, bool has_minima) {
  const std::uint64_t scales = block.elements / block.group_size() * (dtype_bits(block.scale_dtype) / 8);
  return has_minima ? scales + kHalf : scales;
}

// ggml takes the code that is no number for 0, and has no signs.
float value_of_small_scale(DType dtype, std::uint8_t code) {
  if (dtype == DType::kF8E8M0) return value_of_e8m0(code);
  return (code & 0x7f) == 0x7f ? 0 : value_of_e4m3(code & 0x7f);
}

void load_scales(const GgmlBlock& block, const std::byte* blocks, std::uint64_t count, std::uint16_t* halves,
                 float* scales) {
  if (block.scale_dtype == DType::kF16) return load_halves(blocks, count, block.bytes, 0, halves, scales);
  const std::uint64_t groups = block.elements / block.group_size();
  for (std::uint64_t i = 0; i < count * groups; ++i) {
    const auto code = std::to_integer<std::uint8_t>(blocks[i / groups * block.bytes + i % groups]);
    scales[i] = value_of_small_scale(block.scale_dtype, code);
  }
}

void store_scales(const GgmlBlock& block, const float* scales, std::uint64_t count, std::uint16_t* halves,
                  std::byte* blocks) {
  if (block.scale_dtype == DType::kF16) return store_halves(scales, count, block.bytes, 0, halves, blocks);
  const std::uint64_t groups = block.elements / block.group_size();
  for (std::uint64_t i = 0; i < count * groups; ++i) {
    const std::uint8_t code = block.scale_dtype == DType::kF8E8M0 ? nearest_e8m0(scales[i]) : nearest_e4m3(scales[i]);
    blocks[i / groups * block.bytes + i % groups] = std::byte{code};
  }
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  const GgmlBlock& block = *ggml_block_of(spec);
  const auto [first, count] = blocks_of(spec, block, piece.place);
  if (piece.blocks != nullptr) return out.write(0, first * block.bytes, piece.blocks, count * block.bytes);
  auto* blocks = buffers.stored.get<std::byte>(count * block.bytes);
  auto* halves = buffers.raw.get<std::uint16_t>(count);
  store_scales(block, piece.scales, count, halves, blocks);
  if (piece.minima != nullptr) store_halves(piece.minima, count, block.bytes, kHalf, halves, blocks);
  auto* to = reinterpret_cast<std::uint8_t*>(blocks + codes_at(block, piece.minima != nullptr));
  for (std::uint64_t i = 0; i < count; ++i) block.pack(piece.codes + i * block.elements, to + i * block.bytes);
  out.write(0, first * block.bytes, blocks, count * block.bytes);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const GgmlBlock& block = *ggml_block_of(spec);
  const auto [first, count] = blocks_of(spec, block, place);
  const std::byte* blocks = in.fetch(0, first * block.bytes, count * block.bytes, buffers.raw);
  if (block.unpack == nullptr) return {.place = place, .group_size = block.elements, .blocks = blocks};
  const bool has_minima = scheme_of(spec).has_minima;
  const std::uint64_t scale_count = place.count() / block.group_size();
  auto* scales = buffers.scales.get<float>(scale_count * 2);
  auto* halves = buffers.stored.get<std::uint16_t>(count);
  auto* codes = buffers.codes.get<std::int8_t>(place.count());
  load_scales(block, blocks, count, halves, scales);
  if (has_minima) load_halves(blocks, count, block.bytes, kHalf, halves, scales + scale_count);
  const auto* from = reinterpret_cast<const std::uint8_t*>(blocks + codes_at(block, has_minima));
  for (std::uint64_t i = 0; i < count; ++i) block.unpack(from + i * block.bytes, codes + i * block.elements);
  return {.place = place,
          .group_size = block.group_size(),
          .codes = codes,
          .scales = scales,
          .zero_points = nullptr,
          .minima = has_minima ? scales + scale_count : nullptr};
}

}  // namespace

std::span<const GgmlBlock> all_ggml_blocks() { return kBlocks; }

const GgmlBlock* find_ggml_block(std::string_view name) {
  const auto found = std::ranges::find(kBlocks, name, &GgmlBlock::name);
  return found == kBlocks.end() ? nullptr : &*found;
}

const GgmlBlock* ggml_block_of(const QuantizedSpec& spec) {
  const auto found = std::ranges::find(kBlocks, spec.scheme, &GgmlBlock::scheme);
  return found == kBlocks.end() ? nullptr : &*found;
}

QuantizedSpec ggml_spec(const GgmlBlock& block, Shape shape) {
  QuantizedSpec spec;
  spec.scheme = block.scheme;
  spec.granularity = Granularity::kGroup;
  spec.group_size = block.group_size();
  spec.symmetric = block.symmetric;
  spec.weight_dtype = DType::kF32;
  spec.shape = std::move(shape);
  spec.scale_dtype = block.scale_dtype;
  spec.has_free_scales = true;
  return spec;
}

Shape ggml_stored_shape(const GgmlBlock& block, Shape shape) {
  shape.back() = shape.back() / static_cast<std::int64_t>(block.elements) * static_cast<std::int64_t>(block.bytes);
  return shape;
}

constinit const Layout kGgmlLayout{
    .name = "ggml",
    .holds = kKinds,
    .scales_text = "has a scale for each group of 32",
    .axis_text = "has its groups on the last axis",
    .kind_name = [](const QuantizedSpec& spec) { return ggml_block_of(spec)->name; },
    .has_tables = false,
    .can_hold = can_hold,
    .unit = [](const QuantizedSpec& spec) { return ggml_block_of(spec)->elements; },
    .parts = parts,
    .store = store,
    .store_tables = nullptr,
    .load = load,
    .load_tables = nullptr,
};

}  // namespace mnq
