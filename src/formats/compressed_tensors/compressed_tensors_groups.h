// The config_groups of a compressed-tensors folder: which layers they name, and how those are quantized.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/text/json.h"

namespace mnq {

struct CompressedGroup {
  std::int64_t width = 0;       ///< of a code that is an integer; 0: they are floats
  std::int64_t group_size = 0;  ///< 0: no groups
  bool is_symmetric = true;
  std::array<std::int64_t, 2> block{};  ///< rows and columns that share a scale; 0: not said
  bool is_ordered = false;              ///< columns have groups by their activations: actorder group
  bool runs_int8 = false;               ///< activations become 8 bits, symmetric, for each token, as the model runs
  std::vector<std::string> targets;

  bool has_floats() const { return width == 0; }
  bool is_asymmetric() const { return !is_symmetric; }
};

/// What cannot be kept of them is a remark. Errors: kUnsupported.
std::vector<CompressedGroup> read_groups(const std::string& title, const Json& config,
                                         std::vector<std::string>& remarks);

/// The target that matches a layer of this name; has_prefix: as a module it may have one, as "visual.proj" of Qwen2-VL
/// is "model.visual.proj".
std::string target_pattern(const std::string& layer, bool has_prefix);

/// The group that names the layer, or has its target_pattern, else that of all Linear layers; null where there is none.
const CompressedGroup* find_group(std::span<const CompressedGroup> groups, const std::string& layer);

/// Whether all groups that may name the layer are so, and one may. What names it for sure is alone.
bool all_groups_are(std::span<const CompressedGroup> groups, const std::string& layer,
                    const std::function<bool(const CompressedGroup&)>& predicate);

/// Whether a member is there and an object: "null" says that there is none.
bool has_object(const Json& json, std::string_view name);

[[noreturn]] void refuse_compressed(const std::string& title, const std::string& what);

}  // namespace mnq
