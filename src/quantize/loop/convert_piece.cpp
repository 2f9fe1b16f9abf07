#include "quantize/loop/convert_piece.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/not_finite.h"
#include "quantize/job_parts.h"

namespace mnq {
namespace {

using kernels::kernel_table;

// What a dtype that a weight gets back can hold.
float largest_finite(DType dtype) {
  if (dtype == DType::kF16) return 65504;
  if (dtype == DType::kBF16) return 0x1.fep127f;
  return std::numeric_limits<float>::max();
}

const float* load(const PieceOfTensor& piece, const WeightReader& reader, Scratch& scratch) {
  return reader.read(piece.first_element, piece.place.count(), scratch.in);
}

// How much further from zero a code may lie than the weight that it was made of.
float furthest_of(const QuantizedSpec& spec) {
  if (!has_integer_codes(spec)) return 2;
  return 1 + 1 / (std::exp2(static_cast<float>(code_bits(spec))) - 1);  // -8 of what 7.5 steps held
}

// Such a code becomes the most that the dtype holds. What lies further away never was of that dtype: it is remembered.
const float* clamp_to(float most, const PieceOfTensor& piece, const float* weights, Scratch& scratch) {
  const float furthest = furthest_of(piece.planned.spec);
  const std::uint64_t count = piece.place.count();
  if (kernel_table().range(weights, count).max_abs_bits <= std::bit_cast<std::uint32_t>(most)) return weights;
  auto* clamped = scratch.decoded.get<float>(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const bool is_finite = std::isfinite(weights[i]);
    clamped[i] = is_finite ? std::clamp(weights[i], -most, most) : weights[i];
    const bool is_lost = is_finite && std::abs(weights[i]) / furthest > most;
    if (is_lost && !scratch.bad_element) scratch.bad_element = piece.first_element + i;
  }
  return clamped;
}

// Remembers the first value that is not finite, if there is one.
bool is_finite(const PieceOfTensor& piece, const float* values, Scratch& scratch) {
  const auto bad = find_not_finite(values, piece.place.count());
  if (bad) scratch.bad_element = piece.first_element + *bad;
  return !bad;
}

// The accuracy of what readers get. Weights that are stored as doubles are measured as such, and not against what
// float32 leaves of them.
void measure(const PieceOfTensor& piece, const WeightReader& reader, const float* weights, const float* decoded,
             Scratch& scratch) {
  const std::uint64_t count = piece.place.count();
  if (!reader.is_double()) return scratch.sums.assign(1, kernel_table().error_sums(weights, decoded, count));
  const double* exact = reader.read_double(piece.first_element, count, scratch.in);
  auto* others = scratch.doubles.get<double>(count);
  kernel_table().f32_to_f64(decoded, count, others);
  scratch.sums.assign(1, error_sums_double(exact, others, count));
}

// Floats of 16 bits as they are stored, measured in the same walk; null where one is not finite.
const std::byte* cast_and_measure(DType dtype, const float* weights, std::uint64_t count, Scratch& scratch) {
  auto* halves = scratch.stored.get<std::uint16_t>(count);
  scratch.sums.resize(1);
  const bool is_finite =
      kernel_table().cast_to_halves(weights, count, dtype == DType::kBF16, halves, scratch.sums.data());
  return is_finite ? reinterpret_cast<const std::byte*>(halves) : nullptr;
}

// The same of weights that are stored as doubles, and of what is not finite.
const std::byte* cast_then_measure(const PieceOfTensor& piece, const WeightReader& reader, DType dtype,
                                   const float* weights, Scratch& scratch) {
  const std::uint64_t count = piece.place.count();
  const std::byte* stored = from_float32(kernel_table(), dtype, weights, count, scratch.stored);
  const float* rounded = to_float32(kernel_table(), dtype, stored, count, scratch.decoded);
  if (!is_finite(piece, rounded, scratch)) return nullptr;
  measure(piece, reader, weights, rounded, scratch);
  return stored;
}

// Where coding did not measure in passing, or could not.
void measure_codes(const PieceOfTensor& piece, const WeightReader& reader, const WeightWriter& writer,
                   const float* weights, CodedPiece coded, Scratch& scratch) {
  if (!scratch.sums.empty() && !reader.is_double()) return;
  writer.complete(coded, scratch);
  auto* decoded = scratch.decoded.get<float>(piece.place.count());
  decode(kernel_table(), scheme_of(piece.planned.spec), coded, decoded);
  measure(piece, reader, weights, decoded, scratch);
}

// The bad element of a piece becomes the tensor's.
bool is_refused(const PieceOfTensor& piece, Scratch& scratch) {
  if (scratch.bad_element) *scratch.bad_element += piece.first_element;
  return scratch.bad_element.has_value();
}

// Two bytes a weight, and floats of one row at a time.
void quantize_halves(const PieceOfTensor& piece, const WeightReader& reader, WeightWriter& writer, Scratch& scratch) {
  const std::uint16_t* weights = reader.read_halves(piece.first_element, piece.place.count(), scratch.in);
  const CodedPiece coded = writer.encode_halves(reader.dtype(), weights, piece.place, scratch);
  if (!is_refused(piece, scratch)) writer.store(coded, scratch.out);
}

}  // namespace

void recode_piece(const PieceOfTensor& piece, const WeightReader& reader, WeightWriter& writer, Scratch& scratch) {
  CodedPiece coded = reader.load(piece.place, scratch.in.layout);
  if (coded.group_size == 0) coded.group_size = group_size_in(piece.planned.spec, piece.place);
  if (!piece.planned.layout->has_tables && coded.scales == nullptr && coded.blocks == nullptr) {
    const std::uint64_t first = piece.first_element / coded.group_size;
    coded.scales = reader.tables().scales.data() + first;
    if (!reader.tables().minima.empty()) coded.minima = reader.tables().minima.data() + first;
  }
  writer.store(coded, scratch.out);
}

void cast_piece(const PieceOfTensor& piece, const WeightReader& reader, Scratch& scratch) {
  const std::uint64_t count = piece.place.count();
  const DType dtype = scheme_of(piece.planned.spec).cast_dtype;
  const float* weights = load(piece, reader, scratch);
  const std::byte* stored = reader.is_double() ? nullptr : cast_and_measure(dtype, weights, count, scratch);
  if (stored == nullptr) stored = cast_then_measure(piece, reader, dtype, weights, scratch);
  const std::uint64_t width = dtype_bits(dtype) / 8;
  if (stored != nullptr) piece.out.write(0, piece.first_element * width, stored, count * width);
}

void dequantize_piece(const PieceOfTensor& piece, const WeightReader& reader, Scratch& scratch) {
  const DType dtype = piece.planned.outputs.front().info.dtype;
  const std::uint64_t count = piece.place.count(), width = dtype_bits(dtype) / 8;
  const float* weights = load(piece, reader, scratch);
  if (const float most = largest_finite(dtype); most < std::numeric_limits<float>::max()) {
    weights = clamp_to(most, piece, weights, scratch);
    if (scratch.bad_element) return;
  }
  const std::byte* values = from_float32(kernel_table(), dtype, weights, count, scratch.stored);
  piece.out.write(0, piece.first_element * width, values, count * width);
}

void quantize_piece(const PieceOfTensor& piece, const WeightReader& reader, WeightWriter& writer, bool is_settled,
                    Scratch& scratch) {
  // Those of doubles are decoded again.
  scratch.coded.packs_nibbles = writer.takes_nibbles() && !reader.is_double();
  const bool is_narrow = reader.has_halves() && writer.encodes_halves();
  if (is_narrow && !is_settled) return quantize_halves(piece, reader, writer, scratch);
  const float* weights = load(piece, reader, scratch);
  const CodedPiece coded =
      is_settled ? writer.encode_settled(weights, piece.place, scratch) : writer.encode(weights, piece.place, scratch);
  if (is_refused(piece, scratch)) return;
  measure_codes(piece, reader, writer, weights, coded, scratch);
  writer.store(coded, scratch.out);
}

void rescale_piece(const PieceOfTensor& piece, const WeightReader& reader, WeightWriter& writer, Scratch& scratch) {
  scratch.bad_element = writer.element_out_of_range();
  if (scratch.bad_element) return;
  const CodedPiece coded = writer.encode_inherited(load(piece, reader, scratch), piece.place, scratch);
  if (!is_refused(piece, scratch)) writer.store(coded, scratch.out);
}

void survey_piece(const PieceOfTensor& piece, const WeightReader& reader, const WeightWriter& writer,
                  Scratch& scratch) {
  const float* weights = load(piece, reader, scratch);
  if (is_finite(piece, weights, scratch)) writer.survey(weights, piece.place, scratch);
}

}  // namespace mnq
