#include "quantize/write/input_identity.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/files/folder.h"
#include "base/hash.h"
#include "base/text/format.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostWholeBytes = 64u << 20;  // 20 ms
constexpr std::uint64_t kPiece = 1u << 20;

// read: fills a piece from an offset
template <class Read>
void add_all(Hash& hash, std::uint64_t size, const Read& read) {
  std::vector<std::byte> buffer(std::min(size, kPiece));
  for (std::uint64_t offset = 0; offset < size; offset += kPiece) {
    const auto piece = std::span(buffer).first(std::min(kPiece, size - offset));
    read(offset, piece);
    hash.add(piece);
  }
}

// Of a model that is in memory as its tensors.
std::string identify_tensors(const TensorSource& source) {
  Hash hash;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    add_all(hash, source.tensors()[i].size_bytes,
            [&](std::uint64_t offset, std::span<std::byte> into) { source.read(i, offset, into); });
  }
  return hash.text() + "\n";
}

std::string identify_content(const ByteSource& bytes) {
  Hash hash;
  add_all(hash, bytes.size(), [&](std::uint64_t offset, std::span<std::byte> into) { bytes.read(offset, into); });
  return formatted("{}: {} bytes, {}\n", file_name_of(bytes.path()), bytes.size(), hash.text());
}

std::string identify_file(const ByteSource& bytes) {
  return formatted("{}: {} bytes of {}\n", file_name_of(bytes.path()), bytes.size(), bytes.stamp()->modified_ns);
}

std::string sample_tensors(const TensorSource& source) {
  constexpr std::uint64_t kEdge = 64, kMiddle = 4096, kAlignment = 16;
  constexpr std::size_t kMostMiddles = 1024;
  const std::size_t count = source.tensors().size(), stride = (count + kMostMiddles - 1) / kMostMiddles;
  std::array<std::byte, kMiddle> buffer{};
  Hash hash;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t size = source.tensors()[i].size_bytes;
    if (size == 0) continue;
    const auto add = [&](std::uint64_t at, std::uint64_t most) {
      const std::uint64_t offset = at / kAlignment * kAlignment;
      const auto piece = std::span(buffer).first(std::min(most, size - offset));
      source.read(i, offset, piece);
      hash.add(piece);
    };
    add(0, kEdge);
    add(size - std::min(size, kEdge), kEdge + kAlignment);
    if (i % stride == 0) add((size - std::min(size, kMiddle)) / 2, kMiddle);
  }
  return hash.text() + "\n";
}

}  // namespace

std::string identify_input(const TensorSource& source) {
  if (source.inputs().empty()) return identify_tensors(source);
  std::uint64_t total = 0;
  for (const auto& bytes : source.inputs()) total += bytes->size();
  const bool is_whole = total <= kMostWholeBytes || std::ranges::any_of(source.inputs(), [](const auto& bytes) {
                          return bytes->stamp() == nullptr;
                        });
  std::string text;
  for (const auto& bytes : source.inputs()) text += is_whole ? identify_content(*bytes) : identify_file(*bytes);
  return is_whole ? text : text + sample_tensors(source);
}

}  // namespace mnq
