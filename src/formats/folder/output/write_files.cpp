#include "formats/folder/output/write_files.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/files/byte_stream.h"
#include "base/text/format.h"

namespace mnq {

void write_text(const std::string& path, const std::string& text) {
  const auto sink = file_bytes(
      path, true, [] { return false; }, Claim::kHeld)(text.size());
  sink->write(0, std::as_bytes(std::span(text)));
  sink->commit();
}

void write_text(const std::string& path, const std::function<void(const WriteText&)>& hand_over) {
  constexpr std::uint64_t kPiece = 1u << 20;
  const auto sink = file_bytes(
      path, true, [] { return false; }, Claim::kHeld)(0);
  std::string pending;
  std::uint64_t at = 0;
  const auto flush = [&] {
    sink->write(at, std::as_bytes(std::span(pending)));
    at += pending.size();
    pending.clear();
  };
  hand_over([&](std::string_view piece) {
    pending += piece;
    if (pending.size() >= kPiece) flush();
  });
  flush();
  sink->commit();
}

void copy_file(const ByteSource& from, const std::string& to, const std::function<bool()>& is_cancelled) {
  constexpr std::uint64_t kPiece = 1u << 20;
  const auto sink = file_bytes(to, true, is_cancelled, Claim::kHeld)(from.size());
  std::vector<std::byte> piece(std::min(from.size(), kPiece));
  for (std::uint64_t offset = 0; offset < from.size(); offset += kPiece) {
    if (is_cancelled()) throw Error(Status::kCancelled, formatted("cancelled while {} was copied", from.path()));
    const auto part = std::span(piece).first(std::min(kPiece, from.size() - offset));
    from.read(offset, part);
    sink->write(offset, part);
  }
  from.require_unchanged();
  sink->commit();
}

}  // namespace mnq
