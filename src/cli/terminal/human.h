// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "cli/json.h"
#include "cli/terminal/terminal.h"

namespace cli {

std::string bytes_text(double bytes);       ///< "1 B", "90.9 MB"
std::string count_text(double count);       ///< "512", "22.7 M"
std::string duration_text(double seconds);  ///< "12 ms", "3.4 s", "2 min 05 s"

/// A field of an object: its size, or three digits of it ("0.0123", "1.2e-05"); "" where it has no number.
std::string bytes_in(const Json& object, const char* field);
std::string small_number_in(const Json& object, const char* field);

/// "384×1536"; "scalar" for no dimension.
std::string shape_text(const Json& shape, const Screen& screen);

/// Of an object with "sqnr_db" and "exact": "41.2", "exact", or "".
std::string sqnr_text(const Json& object);

/// "1 tensor", "2 tensors", "12,345 tensors"
std::string counted(double count, const char* noun);

/// "3.97 times smaller", "3.97 times larger" or "the same size"
std::string size_change_text(double before, double after);

}  // namespace cli
