// What the ZIP archives of torch.save and torch.jit.save have in common: records that are read whole, and storages.
#pragma once

#include <string>

#include "containers/zip/zip_archive.h"
#include "formats/pytorch/pytorch_source.h"

namespace mnq {

inline constexpr std::uint64_t kMostPickleBytes = 256u << 20;

/// Of a record that is read whole. Errors: kFormat; kUnsupported for one that inflates without end.
std::string read_whole_record(const ZipArchive& archive, const ZipEntry& entry);

/// What ROOT/byteorder says; without it they are not. Errors: kFormat.
bool read_is_big_endian(const ZipArchive& archive, const std::string& root);

/// FOLDER/KEY for each storage. Errors: kFormat for one that is missing or of another size than the pickle says.
StoragePlaces find_places(const ZipArchive& archive, const std::shared_ptr<const ByteSource>& bytes,
                          const std::string& folder, const PytorchObjects& objects);

}  // namespace mnq
