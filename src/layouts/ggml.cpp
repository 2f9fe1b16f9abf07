#include "layouts/ggml.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "layouts/packed_words.h"

namespace mnq {
namespace {

constexpr std::uint64_t kHalf = sizeof(std::uint16_t), kGroup = 32;

constexpr std::array kBlocks{
    GgmlBlock{.name = "Q8_0", .scheme = "qint8", .bytes = 34},
    GgmlBlock{.name = "Q4_0", .scheme = "qint4", .bytes = 18},
    GgmlBlock{.name = "Q4_1", .scheme = "q4_1", .symmetric = false, .bytes = 20},
    GgmlBlock{.name = "Q4_K", .scheme = "q4_k", .elements = 256, .bytes = 144},
};

// Those that weights are quantized into; super-blocks are only read and copied.
constexpr std::size_t kKindCount = 3;

constexpr auto kKinds = [] {
  std::array<HeldKind, kKindCount> kinds;
  std::ranges::transform(std::span(kBlocks).first<kKindCount>(), kinds.begin(), [](const GgmlBlock& block) {
    return HeldKind{.scheme = block.scheme,
                    .name = block.name,
                    .group_size = block.elements,
                    .symmetric = block.symmetric,
                    .scale_dtype = DType::kF16};
  });
  return kinds;
}();

// Nibbles of a block to codes, and back.
void unpack_halves(const std::uint8_t* from, std::int8_t* codes) {
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    codes[i] = static_cast<std::int8_t>((from[i] & 15) - 8);
    codes[i + kGroup / 2] = static_cast<std::int8_t>((from[i] >> 4) - 8);
  }
}

void pack_halves(const std::int8_t* codes, std::uint8_t* to) {
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    to[i] = static_cast<std::uint8_t>((codes[i] + 8) | (codes[i + kGroup / 2] + 8) << 4);
  }
}

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
  QuantizedSpec stored = ggml_spec(*block, spec.shape);
  stored.weight_dtype = spec.weight_dtype;
  stored.has_free_scales = spec.has_free_scales;
  return stored == spec;
}

std::vector<StoredPart> parts(const QuantizedSpec& spec) {
  return {{"", DType::kU8, ggml_stored_shape(*ggml_block_of(spec), spec.shape)}};
}

void store(const QuantizedSpec& spec, const CodedPiece& piece, const PartWriter& out, LayoutBuffers& buffers) {
  const GgmlBlock& block = *ggml_block_of(spec);
  const auto [first, count] = blocks_of(spec, block, piece.place);
  if (piece.blocks != nullptr) return out.write(0, first * block.bytes, piece.blocks, count * block.bytes);
  auto* blocks = buffers.stored.get<std::byte>(count * block.bytes);
  auto* halves = buffers.raw.get<std::uint16_t>(count);
  const std::uint64_t codes_at = piece.minima == nullptr ? kHalf : 2 * kHalf;
  const bool is_bytes = block.bytes - codes_at == kGroup;
  store_halves(piece.scales, count, block.bytes, 0, halves, blocks);
  if (piece.minima != nullptr) store_halves(piece.minima, count, block.bytes, kHalf, halves, blocks);
  for (std::uint64_t i = 0; i < count; ++i) {
    auto* to = reinterpret_cast<std::uint8_t*>(blocks + i * block.bytes + codes_at);
    const std::int8_t* codes = piece.codes + i * kGroup;
    is_bytes ? static_cast<void>(std::memcpy(to, codes, kGroup)) : pack_halves(codes, to);
  }
  out.write(0, first * block.bytes, blocks, count * block.bytes);
}

CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const GgmlBlock& block = *ggml_block_of(spec);
  const auto [first, count] = blocks_of(spec, block, place);
  const bool has_minima = scheme_of(spec).has_minima;
  const std::byte* blocks = in.fetch(0, first * block.bytes, count * block.bytes, buffers.raw);
  if (scheme_of(spec).blocks != nullptr) return {.place = place, .group_size = block.elements, .blocks = blocks};
  auto* scales = buffers.scales.get<float>(count * 2);
  auto* halves = buffers.stored.get<std::uint16_t>(count);
  auto* codes = buffers.codes.get<std::int8_t>(count * kGroup);
  load_halves(blocks, count, block.bytes, 0, halves, scales);
  if (has_minima) load_halves(blocks, count, block.bytes, kHalf, halves, scales + count);
  const std::uint64_t codes_at = has_minima ? 2 * kHalf : kHalf;
  const bool is_bytes = block.bytes - codes_at == kGroup;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(blocks + i * block.bytes + codes_at);
    std::int8_t* to = codes + i * kGroup;
    is_bytes ? static_cast<void>(std::memcpy(to, from, kGroup)) : unpack_halves(from, to);
  }
  return {.place = place,
          .group_size = kGroup,
          .codes = codes,
          .scales = scales,
          .zero_points = nullptr,
          .minima = has_minima ? scales + count : nullptr};
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
  spec.group_size = block.elements;
  spec.symmetric = block.symmetric;
  spec.weight_dtype = DType::kF32;
  spec.shape = std::move(shape);
  spec.scale_dtype = DType::kF16;
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
