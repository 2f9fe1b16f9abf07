// What becomes of one piece of a tensor, from its reader to its writer or its sink: one function for each action of a
// plan.
#pragma once

#include "plan/plan.h"
#include "quantize/loop/blocks.h"
#include "quantize/loop/scratch.h"
#include "quantize/loop/weight_reader.h"
#include "quantize/loop/weight_writer.h"

namespace mnq {

/// A piece of a tensor of a plan.
struct PieceOfTensor {
  const PlannedTensor& planned;
  const LogicalTensor& tensor;
  PiecePlace place;             ///< of the rows that it is cut by
  std::uint64_t first_element;  ///< of the tensor, flat
  PartWriter out;
};

/// All set scratch.bad_element where a value cannot become what it should, and then write nothing; cast and quantize
/// set scratch.sums. From several threads. Errors: kIo.
void recode_piece(const PieceOfTensor& piece, const WeightReader& reader, WeightWriter& writer, Scratch& scratch);
void cast_piece(const PieceOfTensor& piece, const WeightReader& reader, Scratch& scratch);
void dequantize_piece(const PieceOfTensor& piece, const WeightReader& reader, Scratch& scratch);
void quantize_piece(const PieceOfTensor& piece, const WeightReader& reader, WeightWriter& writer, bool is_settled,
                    Scratch& scratch);

/// A piece of a weight that keeps its scales. Sets what quantize_piece does.
void rescale_piece(const PieceOfTensor& piece, const WeightReader& reader, WeightWriter& writer, Scratch& scratch);

/// Ranges of a piece, into scratch.ranges.
void survey_piece(const PieceOfTensor& piece, const WeightReader& reader, const WeightWriter& writer, Scratch& scratch);

}  // namespace mnq
