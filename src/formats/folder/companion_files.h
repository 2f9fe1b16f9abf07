// What lies in a Hugging Face folder besides its weights, and goes from it to the folder that is made of it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/files/input_folder.h"
#include "base/tensor_source.h"
#include "base/text/json.h"

namespace mnq {

inline constexpr std::uint64_t kMostSmallFileBytes = 64u << 20;

/// Its config.json, and the text of it; null where there is none. Errors: kFormat for what is no JSON object; as
/// InputFolder::open.
Json read_config(InputFolder& folder, std::string& text);

/// Fills in all but what is of GGUF, and says what is left out. read: the files with the weights, and their index.
/// Returns config.json. Errors: as read_config.
Json read_companion(InputFolder& folder, std::set<std::string> read, Companion& companion,
                    std::vector<std::string>& remarks);

}  // namespace mnq
