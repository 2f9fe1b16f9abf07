// gpt-oss's experts: floats of 4 bits of weights [experts, in, out], stored the other way round. They are only read.
//   X_blocks  U8 [experts, out, in / 32, 16], the code of the even input low
//   X_scales  U8 [experts, out, in / 32], E8M0
// Source: transformers/integrations/mxfp4.py
#include <algorithm>
#include <span>

#include "layouts/layouts.h"
#include "layouts/tables.h"

namespace mnq {
namespace {

constexpr std::size_t kCodes = 0, kScales = 1;
constexpr std::uint64_t kGroup = 32;

// Rows of a piece that are inputs of one expert.
struct Inputs {
  std::uint64_t expert, first, count, row_of_piece;
};

// The codes of one output, from a whole byte on.
void load_output(const PartReader& in, std::uint64_t output, std::uint64_t input_count, const Inputs& inputs,
                 std::vector<std::uint8_t>& bytes, std::vector<std::uint8_t>& exponents) {
  const std::uint64_t first_byte = inputs.first / 2, first_group = inputs.first / kGroup;
  bytes.resize(ceil_div(inputs.first + inputs.count, 2) - first_byte);
  exponents.resize(ceil_div(inputs.first + inputs.count, kGroup) - first_group);
  in.read(kCodes, output * input_count / 2 + first_byte, std::as_writable_bytes(std::span(bytes)));
  in.read(kScales, output * input_count / kGroup + first_group, std::as_writable_bytes(std::span(exponents)));
}

struct Turned {
  std::int8_t* codes;
  float* scales;
};

void turn_inputs(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, const Inputs& inputs,
                 const Turned& to) {
  const auto input_count = static_cast<std::uint64_t>(spec.shape[1]);
  const auto output_count = static_cast<std::uint64_t>(spec.shape[2]);
  std::vector<std::uint8_t> bytes, exponents;
  for (std::uint64_t column = 0; column < place.column_count; ++column) {
    const std::uint64_t output = inputs.expert * output_count + place.first_column + column;
    load_output(in, output, input_count, inputs, bytes, exponents);
    for (std::uint64_t i = 0; i < inputs.count; ++i) {
      const std::uint64_t input = inputs.first + i, at = (inputs.row_of_piece + i) * place.column_count + column;
      const std::uint8_t both = bytes[input / 2 - inputs.first / 2];
      to.codes[at] = static_cast<std::int8_t>(input % 2 == 0 ? both & 15 : both >> 4);
      to.scales[at] = value_of_e8m0(exponents[input / kGroup - inputs.first / kGroup]);
    }
  }
}

// Every element has its scale with it.
CodedPiece load(const QuantizedSpec& spec, const PartReader& in, const PiecePlace& place, LayoutBuffers& buffers) {
  const auto input_count = static_cast<std::uint64_t>(spec.shape[1]);
  const Turned turned{buffers.codes.get<std::int8_t>(place.count()), buffers.scales.get<float>(place.count())};
  for (std::uint64_t done = 0; done < place.row_count;) {
    const std::uint64_t row = place.first_row + done, first = row % input_count;
    const std::uint64_t count = std::min(input_count - first, place.row_count - done);
    turn_inputs(spec, in, place, {row / input_count, first, count, done}, turned);
    done += count;
  }
  return {.place = place, .group_size = 1, .codes = turned.codes, .scales = turned.scales};
}

}  // namespace

constinit const Layout kGptOssLayout{
    .name = "gpt-oss mxfp4",
    .has_own_order = true,
    .has_tables = false,
    .can_hold = [](const QuantizedSpec&) { return false; },
    .unit = [](const QuantizedSpec&) { return std::uint64_t{1}; },
    .parts = [](const QuantizedSpec&) { return std::vector<StoredPart>(); },
    .load = load,
};

}  // namespace mnq
