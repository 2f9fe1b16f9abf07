#include "formats/open_source.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/files/folder.h"
#include "base/text/format.h"
#include "formats/folder/open_folder.h"
#include "formats/folder/shard_names.h"
#include "formats/format_table.h"
#include "formats/safetensors/safetensors.h"
#include "formats/unknown_file.h"

namespace mnq {
namespace {

// Null where no format recognises it. Throws kUnsupported for one that is not read.
const Format* recognise(const std::shared_ptr<const ByteSource>& bytes) {
  refuse_part(*bytes);
  std::array<std::byte, 16> buffer{};
  const std::span<std::byte> start = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes->size()));
  bytes->read(0, start);
  const auto formats = all_formats();
  const auto match = std::ranges::find_if(
      formats, [&](const Format* format) { return format->recognises != nullptr && format->recognises(start, bytes); });
  if (match == formats.end()) return nullptr;
  const Format* found = *match;
  if (found->open_source == nullptr) {
    const std::string title = title_of(bytes->path());
    throw Error(Status::kUnsupported, formatted("{}: is a {} file, which cannot be read", title, found->name),
                std::string(found->advice), title);
  }
  return found;
}

std::string readable_formats() {
  std::string names;
  for (const Format* format : all_formats()) {
    if (format->open_source != nullptr) names += (names.empty() ? "" : ", ") + std::string(format->name);
  }
  return names;
}

[[noreturn]] void refuse_format(const ByteSource& bytes) {
  refuse_unknown(bytes, "the formats that can be read are: " + readable_formats());
}

// What can only be safetensors goes to its reader, which tells what is damaged.
std::unique_ptr<TensorSource> open_detected(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  const Format* found = recognise(bytes);
  if (found == nullptr && !may_be_safetensors(*bytes)) refuse_format(*bytes);
  const Format& format = found == nullptr ? kSafetensorsFormat : *found;
  check_settings(settings, format, bytes->path());
  return format.open_source(std::move(bytes), settings);
}

// A file that was named by itself may be a part of a checkpoint, unless its source has found the other parts.
void remark_on_shard(TensorSource& source, const std::string& name) {
  const auto shard = parse_shard_name(name);
  if (!shard || shard->count == 1) return;
  const auto is_beside = [&](const std::shared_ptr<const ByteSource>& bytes) {
    const std::string other = file_name_of(bytes->path());
    const auto parsed = parse_shard_name(other);
    return parsed && parsed->is_beside(*shard);
  };
  if (std::ranges::count_if(source.inputs(), is_beside) == static_cast<std::ptrdiff_t>(shard->count)) return;
  source.add_remark(
      formatted("by its name it is shard {} of {}: the others were not read", shard->number, shard->count));
}

}  // namespace

void check_settings(const OpenSettings& settings, const Format& format, const std::string& path) {
  if (settings.tensors_key.empty() || format.has_dicts) return;
  throw Error(Status::kConfig, formatted("{}: tensors_key has no meaning for {}", title_of(path), format.name),
              "leave it unset: only what torch.save wrote has dicts to choose from", "tensors_key");
}

const Format& detect_format(const std::string& path) {
  if (is_folder(path)) return *find_format(open_folder_source(path, {})->format());
  const auto bytes = open_bytes(path);
  if (const Format* format = recognise(bytes)) return *format;
  refuse_format(*bytes);
}

std::shared_ptr<const TensorSource> open_source(const std::string& path, const OpenSettings& settings) {
  std::unique_ptr<TensorSource> source;
  if (is_folder(path)) {
    source = open_folder_source(path, settings);
  } else {
    source = adapt_to_config_beside(open_detected(open_bytes(path), settings));
    remark_on_shard(*source, file_name_of(path));
  }
  source->require_unchanged();
  return source;
}

SourcePair open_sources(const std::string& first, const char* second, const OpenSettings& settings) {
  if (second == nullptr) return {open_source(first, settings), nullptr};
  std::optional<Error> without_dicts;
  const auto open = [&](const std::string& path) {
    try {
      return open_source(path, settings);
    } catch (const Error& error) {
      if (without_dicts || error.status() != Status::kConfig || error.subject() != "tensors_key") throw;
      without_dicts = error;
    }
    return open_source(path);
  };
  SourcePair pair;
  pair.first = open(first);
  pair.second = open(second);
  return pair;
}

std::shared_ptr<const TensorSource> open_source(std::shared_ptr<const ByteSource> bytes, const OpenSettings& settings) {
  return adapt_to_config_beside(open_detected(std::move(bytes), settings));
}

std::shared_ptr<const TensorSource> open_memory(std::span<const std::byte> bytes, const OpenSettings& settings) {
  return open_source(memory_bytes(bytes), settings);
}

}  // namespace mnq
