// The JSON header of safetensors: parsed as it streams by, so that a header of 100 MB costs little more than the list
// it describes, and checked as the format's own loader does: it reads over fields that it does not know, and takes a
// __metadata__ of null for none. Names that are there twice are refused here.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/files/byte_stream.h"
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

/// Where the JSON of a header is, and what follows it.
struct HeaderPlace {
  std::uint64_t start = 0, size = 0;
  std::uint64_t data_bytes = 0;
};

/// title: the file, for messages. Errors: kFormat naming the tensor and the field; kIo.
SafetensorsHeader read_safetensors_header(const ByteSource& bytes, const HeaderPlace& place, const std::string& title);

using TakeTensor = std::function<void(HeaderTensor tensor)>;

/// Of a file that we wrote, whose tensors are listed in the order of their data and under names of their own: hands
/// them over as they go by, none of which it keeps, and returns what the metadata has under the key. Errors: as above.
std::optional<std::string> list_safetensors_header(const ByteSource& bytes, const HeaderPlace& place,
                                                   const std::string& title, std::string_view key,
                                                   const TakeTensor& take);

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
