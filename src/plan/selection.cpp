#include "plan/selection.h"

#include <algorithm>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/text.h"

namespace mnq {
namespace {

// The name that was most likely meant; empty for a pattern, which has no spelling to be near to.
std::string nearest_layer(const Plan& plan, const std::string& text) {
  if (text.find_first_of("*?[\\") != text.npos) return "";
  std::vector<std::string> names;
  for (const PlannedTensor& tensor : plan.tensors) {
    names.emplace_back(tensor.layer.name.name);
    names.emplace_back(tensor.layer.name.tensor);
  }
  return nearest_name(text, names);
}

// A pattern that matches nothing is a misspelling more often than not. Looking for what was meant takes long in a large
// model: that is done for a few.
class IdleGlobs {
 public:
  explicit IdleGlobs(Plan& plan) : plan_(plan) {}

  void check(std::string_view key, const NameList& list) {
    if (list.globs.empty()) return;
    std::vector<bool> matches(list.globs.size(), false);
    const auto mark = [&](std::size_t glob) { matches[glob] = true; };
    for (const PlannedTensor& tensor : plan_.tensors) {
      for (const std::string_view name : tensor.layer.name.all()) {
        if (!name.empty()) list.set.for_each_match(name, mark);
      }
    }
    for (std::size_t i = 0; i < matches.size(); ++i) {
      if (!matches[i]) warn(key, list.globs[i]);
    }
  }

 private:
  static constexpr int kMostSuggestions = 8;

  void warn(std::string_view key, const std::string& glob) {
    const std::string meant = ++suggestions_ > kMostSuggestions ? "" : nearest_layer(plan_, glob);
    plan_.warnings.push_back(formatted("{}: '{}' matches no tensor of this model{}", key, glob,
                                       meant.empty() ? "" : formatted("; did you mean '{}'?", meant)));
  }

  Plan& plan_;
  int suggestions_ = 0;
};

}  // namespace

NameList::NameList(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    if (set.find(text)) continue;
    set.insert(text, globs.size());
    globs.push_back(text);
  }
}

const std::string* NameList::find_match(const LayerName& layer) const {
  std::optional<std::size_t> first;
  for (const std::string_view name : layer.all()) {
    const auto found = name.empty() ? std::nullopt : set.first_match(name);
    if (found) first = std::min(first.value_or(*found), *found);
  }
  return first ? &globs[*first] : nullptr;
}

bool NameList::names_exactly(const LayerName& layer) const {
  return std::ranges::any_of(layer.all(), [&](std::string_view name) { return !name.empty() && set.find(name); });
}

Selection read_selection(const Config& config) {
  return {NameList(config.list("only")), NameList(config.list("skip")), config.list("layer_types")};
}

Choice choose_by_selection(const Selection& selection, const Layer& layer) {
  const bool is_named = selection.only.names_exactly(layer.name);
  const auto& types = selection.layer_types;
  if (!types.empty() && !is_named && std::ranges::find(types, layer.kind->name) == types.end()) {
    return leave(formatted("layer_types does not list {}", layer.kind->name));
  }
  const std::string* selected_by = selection.only.find_match(layer.name);
  if (!selection.only.globs.empty() && selected_by == nullptr) return leave("not matched by only");
  const std::string* skipped_by = selection.skip.find_match(layer.name);
  if (skipped_by != nullptr && !is_named) return leave(formatted("skip={}", *skipped_by));
  return {true, selected_by == nullptr ? "" : formatted("only={}", *selected_by)};
}

bool leaves_out(const Selection& selection, const LayerName& name) {
  if (!selection.only.globs.empty()) return selection.only.find_match(name) == nullptr;
  return !selection.layer_types.empty() || selection.skip.find_match(name) != nullptr;
}

bool is_selected(const Selection& selection, const Config& config, const Layer& layer) {
  const auto set_for_layer = [&](std::string_view key) {
    const ValueSource source = config.find(key, layer.name).source;
    return source == ValueSource::kConfigLayers || source == ValueSource::kCallLayers;
  };
  return selection.only.find_match(layer.name) != nullptr ||
         std::ranges::find(selection.layer_types, layer.kind->name) != selection.layer_types.end() ||
         set_for_layer("dtype") || set_for_layer("bits");
}

void adopt_kind(Layer& layer, const Config& config, const LogicalTensor& tensor) {
  const FoundValue found = config.find("kind", layer.name);
  if (found.value == "auto" || tensor.spec) return;
  const LayerKind& kind = *find_layer_kind(found.value);
  set_kind(layer, tensor, kind);
  if (layer.kind == nullptr || kind.rank == tensor.shape.size()) return;
  throw Error(Status::kConfig,
              formatted("layer {}: kind={}, whose weights have {} dimensions; this one has {}", layer.name.name,
                        kind.name, kind.rank, tensor.shape.size()),
              "set kind for the layers that are of it (--layer PATTERN kind=...)", std::string(layer.name.name));
}

void adopt_named(Layer& layer, const Selection& selection, const LogicalTensor& tensor) {
  if (layer.kind != nullptr || !selection.only.names_exactly(layer.name)) return;
  if (!is_weight_dtype(tensor.dtype) || element_count(tensor.shape) == 0) return;
  layer.kind = kind_for_rank(tensor.shape.size());
  if (layer.kind != nullptr) layer.channel_axis = layer.kind->channel_axis;
}

void warn_of_idle_globs(Plan& plan, const Config& config, const Selection& selection) {
  IdleGlobs idle(plan);
  idle.check("only", selection.only);
  idle.check("skip", selection.skip);
  idle.check("layers", NameList(config.layer_globs()));
}

}  // namespace mnq
