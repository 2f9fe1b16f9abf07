// The JSON header of safetensors: parsed as it streams by, so that a header of 100 MB costs little more than the list
// it describes, and checked as the format's own loader does: it reads over fields that it does not know, and takes a
// __metadata__ of null for none. Names that are there twice are refused here.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_source.h"
#include "base/text/json_text.h"

namespace mnq {

inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

struct HeaderTensor {
  TensorInfo info;
  std::uint64_t begin = 0;  ///< data_offsets, from the end of the header
};

struct SafetensorsHeader {
  std::vector<HeaderTensor> tensors;  ///< by their place in the data
  Metadata metadata;
  std::set<std::string> unknown_fields;  ///< of tensors, besides dtype, shape and data_offsets: some of them
};

/// title: the file, for messages; data_bytes: what follows the header. Errors: kFormat naming the tensor and the field.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes, const std::string& title);

/// A tensor that is written.
struct PlacedTensor {
  const TensorInfo* info = nullptr;
  std::uint64_t begin = 0;  ///< as above
};

/// Hands over the header of these tensors in this order, unpadded, piece by piece: with 100,000 tensors it has 50 MB.
/// write_metadata: hands over a JSON object of texts; null: there is none.
void write_safetensors_header(const std::vector<PlacedTensor>& tensors,
                              const std::function<void(const WriteText&)>& write_metadata, const WriteText& write);

}  // namespace mnq
