// The directory at the end of a ZIP archive, as zip_archive reads it.
#pragma once

#include "containers/zip/zip_archive.h"

namespace mnq {

/// All entries, checked against the file and one another but for their names being different. Errors: as ZipArchive's.
std::vector<ZipEntry> read_zip_directory(const ByteSource& bytes, const std::string& title);

}  // namespace mnq
