// Opens what people have: a file, a folder or bytes in memory, by its content.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "formats/format.h"

namespace mnq {

/// Errors: kConfig for settings that have no meaning for a format; path: for the message.
void check_settings(const OpenSettings& settings, const Format& format, const std::string& path);

/// The format of a file or folder by its content. Errors: kNotFound, kIo, kUnsupported for one that is not read,
/// kFormat for anything else.
const Format& detect_format(const std::string& path);

/// Opens a checkpoint by its content: a file or a folder. Errors as detect_format; kFormat says what is damaged;
/// kConfig for settings that have no meaning for it.
std::shared_ptr<const TensorSource> open_source(const std::string& path, const OpenSettings& settings = {});

/// The two files of one job, the second none where its path is null. tensors_key is for whichever has dicts to choose
/// from. Errors: as open_source; kConfig where neither has.
struct SourcePair {
  std::shared_ptr<const TensorSource> first;
  std::shared_ptr<const TensorSource> second;
};
SourcePair open_sources(const std::string& first, const char* second, const OpenSettings& settings);

/// As open_source, of the bytes of one file.
std::shared_ptr<const TensorSource> open_source(std::shared_ptr<const ByteSource> bytes,
                                                const OpenSettings& settings = {});

/// The same; the memory must outlive the source and all that is made from it.
std::shared_ptr<const TensorSource> open_memory(std::span<const std::byte> bytes, const OpenSettings& settings = {});

}  // namespace mnq
