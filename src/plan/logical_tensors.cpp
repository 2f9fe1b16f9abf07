#include "plan/logical_tensors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/format.h"
#include "base/json.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

using IndexByName = std::map<std::string_view, std::size_t>;

constexpr std::array<std::pair<Granularity, const char*>, 3> kGranularities{{
    {Granularity::kTensor, "tensor"},
    {Granularity::kChannel, "channel"},
    {Granularity::kGroup, "group"},
}};

Json entry_json(const QuantizedEntry& entry) {
  const QuantizedSpec& spec = entry.spec;
  Json json{{"scheme", spec.scheme}, {"dtype", dtype_name(spec.weight_dtype)}, {"shape", spec.shape}};
  if (!scheme_of(spec).is_cast) {
    for (const auto& [granularity, name] : kGranularities) {
      if (granularity == spec.granularity) json["granularity"] = name;
    }
    json["symmetric"] = spec.symmetric;
    json["channel_axis"] = spec.channel_axis;
    if (spec.stacked_axes != 0) json["stacked_axes"] = spec.stacked_axes;
    if (spec.granularity == Granularity::kGroup) json["group_size"] = spec.group_size;
    if (spec.activation_bits != 0) json["activation_bits"] = spec.activation_bits;
    if (spec.is_ggml) json["ggml"] = true;
    if (spec.scale_dtype != DType::kF32) json["scale_dtype"] = dtype_name(spec.scale_dtype);
  }
  if (entry.sqnr_db) {
    json["sqnr_db"] = std::isfinite(*entry.sqnr_db) ? Json(std::round(*entry.sqnr_db * 1e4) / 1e4) : Json(nullptr);
  }
  return json;
}

// Throws kFormat for a field that is missing or wrong.
QuantizedSpec parse_spec(const Json& json) {
  QuantizedSpec spec;
  spec.scheme = json["scheme"].text();
  const Scheme* scheme = find_scheme(spec.scheme);
  if (scheme == nullptr) throw Error(Status::kFormat, formatted("scheme {} is unknown", spec.scheme));
  const auto dtype = find_dtype(std::string_view(json["dtype"].text()));
  if (!dtype || !is_weight_dtype(*dtype)) throw Error(Status::kFormat, "its dtype is no float");
  spec.weight_dtype = *dtype;
  spec.shape = json["shape"].get<Shape>();
  const auto count = checked_element_count(spec.shape);
  if (!count || *count == 0 || spec.shape.empty()) throw Error(Status::kFormat, "its shape is impossible");
  if (scheme->is_cast) return spec;
  const auto granularity = json["granularity"].text();
  const auto found =
      std::ranges::find(kGranularities, granularity, [](const auto& row) { return std::string_view(row.second); });
  if (found == kGranularities.end()) throw Error(Status::kFormat, formatted("granularity {} is unknown", granularity));
  spec.granularity = found->first;
  spec.symmetric = json["symmetric"].get<bool>();
  spec.channel_axis = json["channel_axis"].get<std::int64_t>();
  if (spec.channel_axis < 0 || spec.channel_axis >= static_cast<std::int64_t>(spec.shape.size())) {
    throw Error(Status::kFormat, "its channel axis lies outside its shape");
  }
  if (const Json* stacked = json.find("stacked_axes"); stacked != nullptr) {
    spec.stacked_axes = stacked->get<std::int64_t>();
    if (spec.stacked_axes < 0 || spec.stacked_axes > spec.channel_axis) {
      throw Error(Status::kFormat, "its stacked axes are not before its channel axis");
    }
  }
  if (spec.granularity == Granularity::kGroup) {
    spec.group_size = json["group_size"].get<std::uint64_t>();
    if (spec.group_size == 0) throw Error(Status::kFormat, "its group size is 0");
  }
  if (const Json* bits = json.find("activation_bits"); bits != nullptr) {
    spec.activation_bits = bits->get<std::int32_t>();
    if (spec.activation_bits != 8) throw Error(Status::kFormat, "its activation_bits are not 8");
  }
  if (const Json* ggml = json.find("ggml"); ggml != nullptr) spec.is_ggml = ggml->get<bool>();
  if (const Json* scale_dtype = json.find("scale_dtype"); scale_dtype != nullptr) {
    const auto found_dtype = find_dtype(std::string_view(scale_dtype->text()));
    if (!found_dtype || !is_weight_dtype(*found_dtype)) throw Error(Status::kFormat, "its scale's dtype is no float");
    spec.scale_dtype = *found_dtype;
  }
  if (spec.granularity == Granularity::kTensor && !scheme->may_be_per_tensor) {
    throw Error(Status::kFormat, formatted("{} has no single scale for a tensor", scheme->name));
  }
  if (spec.channel_axis != spec.stacked_axes && (spec.granularity == Granularity::kGroup || scheme->pack != nullptr)) {
    throw Error(Status::kFormat, formatted("{} has its channels on axis {}", scheme_text(spec), spec.stacked_axes));
  }
  return spec;
}

// The stored tensors a weight consists of. Throws kFormat for one that is missing or does not fit.
std::vector<std::size_t> find_parts(const TensorSource& source, const IndexByName& index, const std::string& name,
                                    const QuantizedSpec& spec) {
  std::vector<std::size_t> parts;
  for (const StoredPart& part : scheme_of(spec).parts(spec)) {
    const std::string part_name = name + std::string(part.suffix);
    const auto found = index.find(part_name);
    if (found == index.end()) throw Error(Status::kFormat, formatted("{} is missing", part_name));
    const TensorInfo& info = source.tensors()[found->second];
    const bool fits = info.shape == part.shape || (!part.former_shape.empty() && info.shape == part.former_shape);
    if (info.dtype != part.dtype || !fits) {
      throw Error(Status::kFormat, formatted("{} is {} {}, but must be {} {}", part_name, dtype_name(info.dtype),
                                             shape_text(info.shape), dtype_name(part.dtype), shape_text(part.shape)));
    }
    parts.push_back(found->second);
  }
  return parts;
}

QuantizedSpec require_spec(const Json& json) {
  try {
    return parse_spec(json);
  } catch (const Error& error) {
    throw Error(Status::kFormat, formatted("its entry in the metadata is wrong: {}", error.message()));
  }
}

// What the metadata says of one weight, or a problem.
void add_quantized(LogicalTensors& result, const TensorSource& source, const IndexByName& index,
                   const std::string& name, const Json& json) {
  try {
    LogicalTensor tensor;
    tensor.spec = require_spec(json);
    tensor.name = name;
    tensor.dtype = tensor.spec->weight_dtype;
    tensor.shape = tensor.spec->shape;
    tensor.parts = find_parts(source, index, name, *tensor.spec);
    if (const Json* sqnr = json.find("sqnr_db"); sqnr != nullptr) {
      tensor.sqnr_db = sqnr->is_null() ? INFINITY : sqnr->get<double>();
    }
    result.tensors.push_back(std::move(tensor));
  } catch (const Error& error) {
    result.problems.push_back({name, error.message()});
  }
}

// Null for what is no JSON.
Json parse_metadata(const std::string& text) {
  try {
    return parse_json(text);
  } catch (const Error&) {
    return nullptr;
  }
}

void add_all_quantized(LogicalTensors& result, const TensorSource& source) {
  const auto text = source.metadata().find(std::string(kMetadataKey));
  if (text == source.metadata().end()) return;
  IndexByName index;
  for (std::size_t i = 0; i < source.tensors().size(); ++i) index.emplace(source.tensors()[i].name, i);
  const Json json = parse_metadata(text->second);
  if (!json.contains("version") || !json.contains("tensors") || !json["tensors"].is_object()) {
    result.problems.push_back({"", formatted("the metadata key {} is not what we write", kMetadataKey)});
    return;
  }
  if (json["version"] != 1) {
    result.problems.push_back({"", formatted("the metadata key {} has version {}; this library knows 1", kMetadataKey,
                                             json["version"].dump())});
    return;
  }
  for (const auto& [name, entry] : json["tensors"].members()) add_quantized(result, source, index, name, entry);
}

// A weight's other names are those of its codes without their suffix.
std::vector<std::string> ties_of(const LogicalTensor& tensor, std::vector<std::string> ties) {
  if (!tensor.spec) return ties;
  const std::string_view suffix = scheme_of(*tensor.spec).parts(*tensor.spec).front().suffix;
  std::erase_if(ties, [&](const std::string& tie) { return tie.size() <= suffix.size() || !tie.ends_with(suffix); });
  for (std::string& tie : ties) tie.resize(tie.size() - suffix.size());
  return ties;
}

// What the source knows, and what the metadata says.
std::vector<std::vector<std::string>> find_ties(const TensorSource& source) {
  std::vector<std::vector<std::string>> ties(source.tensors().size());
  std::map<std::string_view, std::size_t> index;
  std::set<std::pair<std::size_t, std::string>> known;
  for (std::size_t i = 0; i < ties.size(); ++i) {
    ties[i] = source.ties(i);
    for (const std::string& tie : ties[i]) known.emplace(i, tie);
    index.emplace(source.tensors()[i].name, i);
  }
  for (auto& [name, target] : tied_names(source.metadata(), source.tensors())) {
    const std::size_t tensor = index.at(target);
    if (known.emplace(tensor, name).second) ties[tensor].push_back(std::move(name));
  }
  return ties;
}

}  // namespace

LogicalTensors find_logical_tensors(const TensorSource& source) {
  LogicalTensors result;
  result.tensors.reserve(source.tensors().size());
  add_all_quantized(result, source);
  std::vector<bool> used(source.tensors().size(), false);
  std::erase_if(result.tensors, [&](const LogicalTensor& tensor) {
    const bool shares = std::ranges::any_of(tensor.parts, [&](std::size_t part) { return used[part]; });
    if (shares) result.problems.push_back({tensor.name, "a part of it is a part of another weight too"});
    for (const std::size_t part : tensor.parts) used[part] = used[part] || !shares;
    return shares;
  });
  for (std::size_t i = 0; i < used.size(); ++i) {
    const TensorInfo& info = source.tensors()[i];
    if (!used[i]) result.tensors.push_back({info.name, info.dtype, info.shape, {i}, {}, {}, {}, {}});
  }
  std::ranges::sort(result.tensors, {}, [](const LogicalTensor& tensor) { return tensor.parts.front(); });
  std::vector<std::vector<std::string>> ties = find_ties(source);
  for (LogicalTensor& tensor : result.tensors) {
    if (const LayerHint* hint = source.hint(tensor.parts.front())) tensor.hint = *hint;
    tensor.ties = ties_of(tensor, std::move(ties[tensor.parts.front()]));
  }
  return result;
}

std::vector<LogicalTensor> require_logical_tensors(const TensorSource& source) {
  LogicalTensors found = find_logical_tensors(source);
  if (found.problems.empty()) return std::move(found.tensors);
  const Problem& problem = found.problems.front();
  const std::string subject = problem.tensor.empty() ? source.title() : problem.tensor;
  throw Error(Status::kFormat,
              formatted("{}: {}{}{}", source.title(), problem.tensor, problem.tensor.empty() ? "" : ": ", problem.text),
              "the file was changed after it was quantized: quantize the original again", subject);
}

std::string write_quantized_metadata(const std::vector<QuantizedEntry>& entries) {
  std::string text = R"({"version":1,"tensors":{)";
  const char* before = "";
  for (const QuantizedEntry& entry : entries) {
    text += before + Json(entry.name).dump() + ":" + entry_json(entry).dump();
    before = ",";
  }
  text += "}}";
  return text;
}

}  // namespace mnq
