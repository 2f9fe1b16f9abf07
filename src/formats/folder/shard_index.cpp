#include "formats/folder/shard_index.h"

#include <set>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "containers/archive_error.h"
#include "containers/read_text.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostIndexBytes = 256u << 20;

Json read_json(const ByteSource& bytes) {
  try {
    return parse_json(read_text_within(bytes, kMostIndexBytes));
  } catch (const Error& error) {
    if (error.status() != Status::kFormat) throw;
    throw Error(Status::kFormat, formatted("{}: {}", title_of(bytes.path()), error.message()),
                "the file is damaged: fetch or save it again", title_of(bytes.path()));
  }
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.find('/') == name.npos && name.find('\\') == name.npos && name.find('\0') == name.npos &&
         name != "." && name != "..";
}

}  // namespace

bool recognises_index(std::span<const std::byte> start, const std::shared_ptr<const ByteSource>& bytes) {
  if (start.empty() || start[0] != std::byte{'{'} || bytes->size() > kMostIndexBytes) return false;
  return read_text_within(*bytes, kMostIndexBytes).find("\"weight_map\"") != std::string::npos;
}

ShardIndex read_index(const ByteSource& bytes) {
  const std::string title = title_of(bytes.path());
  const Json json = read_json(bytes);
  const Json* map = json.is_object() ? json.find("weight_map") : nullptr;
  if (map == nullptr || !map->is_object()) fail_record(title, "", "has no weight_map");
  ShardIndex index;
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->members()) {
    if (!file.is_string()) fail_record(title, tensor, "is given a file that is no text");
    const std::string& name = file.text();
    if (!is_plain_name(name)) {
      throw Error(Status::kFormat,
                  formatted("{}: tensor {} is said to be in {}, outside the folder of the index", title, shown(tensor),
                            shown(name)),
                  "shards lie beside their index: repair it", shown(name));
    }
    files.insert(name);
    index.tensors.emplace_back(tensor, name);
  }
  if (files.empty()) fail_record(title, "", "names no tensor");
  index.files.assign(files.begin(), files.end());
  return index;
}

}  // namespace mnq
