#include "formats/gguf/gguf_parts.h"

#include "base/error.h"
#include "base/files/folder.h"
#include "base/files/input_folder.h"
#include "base/text/format.h"
#include "containers/archive_error.h"
#include "formats/folder/shard_names.h"

namespace mnq {
namespace {

std::string ending_of(std::uint64_t number, std::uint64_t count) {
  return formatted("-{:05}-of-{:05}.gguf", number + 1, count);
}

[[noreturn]] void refuse_unnamed(const std::string& title, const GgufPartNumber& part) {
  throw Error(Status::kUnsupported,
              formatted("{}: is one of the {} parts of a model (split.no = {}), and its name does not say where the "
                        "others are",
                        title, part.count, part.number),
              formatted("call it NAME{}, and put the other parts beside it", ending_of(part.number, part.count)),
              title);
}

// The name that all parts have in front of their numbers.
std::string start_of(const std::string& path, const GgufPartNumber& part) {
  const std::string name = file_name_of(path);
  const auto shard = parse_shard_name(name);
  if (!shard || shard->count != part.count || shard->number != part.number + 1) refuse_unnamed(title_of(path), part);
  return std::string(shard->start);
}

GgufPart open_part(InputFolder& folder, const std::string& name, const std::string& of, std::uint64_t number,
                   std::uint64_t count) {
  auto bytes = folder.open_if_there(name);
  if (bytes == nullptr) {
    throw Error(Status::kNotFound, formatted("{}: part {} is missing", of, shown(name)),
                "fetch the part, or the whole model again", shown(name));
  }
  GgufHeader header = read_gguf_header(*bytes);
  if (header.part.number != number || header.part.count != count) {
    throw Error(Status::kFormat,
                formatted("{}: is part {} of {} by its name, and part {} of {} by its keys", title_of(bytes->path()),
                          number + 1, count, header.part.number + 1, header.part.count),
                "the parts are of different models: fetch them again", shown(name));
  }
  return {std::move(bytes), std::move(header)};
}

void require_all_tensors(const std::string& title, const std::vector<GgufPart>& parts) {
  std::uint64_t count = 0;
  for (const GgufPart& part : parts) count += part.header.tensors.size();
  const std::uint64_t expected = parts.front().header.part.tensor_count;
  if (expected == 0 || count == expected) return;
  throw Error(Status::kFormat, formatted("{}: its parts have {} tensors, but must have {}", title, count, expected),
              "the parts are of different models: fetch them again", title);
}

}  // namespace

std::vector<GgufPart> open_gguf_parts(std::shared_ptr<const ByteSource> bytes) {
  std::vector<GgufPart> parts;
  GgufHeader header = read_gguf_header(*bytes);
  const GgufPartNumber part = header.part;
  const std::string path = bytes->path();
  if (part.count == 1) {
    parts.push_back({std::move(bytes), std::move(header)});
    return parts;
  }
  const std::string start = start_of(path, part);
  InputFolder folder(folder_of(path));
  for (std::uint64_t i = 0; i < part.count; ++i) {
    const std::string name = start + ending_of(i, part.count);
    parts.push_back(i == part.number ? GgufPart{bytes, std::move(header)}
                                     : open_part(folder, name, path, i, part.count));
  }
  require_all_tensors(title_of(path), parts);
  return parts;
}

}  // namespace mnq
