#include "plan/own_metadata.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "base/text/format.h"
#include "base/text/json.h"
#include "schemes/scheme.h"

namespace mnq {
namespace {

using IndexByName = std::unordered_map<std::string_view, std::size_t>;

constexpr std::array<std::pair<Granularity, const char*>, 3> kGranularities{{
    {Granularity::kTensor, "tensor"},
    {Granularity::kChannel, "channel"},
    {Granularity::kGroup, "group"},
}};

double four_digits(double sqnr_db) { return std::isfinite(sqnr_db) ? std::round(sqnr_db * 1e4) / 1e4 : sqnr_db; }

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
    if (spec.group_rows != 1) json["group_rows"] = spec.group_rows;
    if (spec.activation_bits != 0) json["activation_bits"] = spec.activation_bits;
    if (spec.has_free_scales) json["ggml"] = true;  // so called since only ggml's were
    if (spec.scale_dtype != DType::kF32) json["scale_dtype"] = dtype_name(spec.scale_dtype);
  }
  if (entry.sqnr_db) {
    json["sqnr_db"] = std::isfinite(*entry.sqnr_db) ? Json(four_digits(*entry.sqnr_db)) : Json(nullptr);
  }
  return json;
}

// Scales are stored as float32, and have the values of narrower floats.
bool is_scale_dtype(DType dtype) {
  return is_weight_dtype(dtype) || dtype == DType::kF8E8M0 || dtype == DType::kF8E4M3;
}

void parse_groups(const Json& json, QuantizedSpec& spec) {
  spec.group_size = json["group_size"].get<std::uint64_t>();
  if (spec.group_size == 0) throw Error(Status::kFormat, "its group size is 0");
  if (const Json* rows = json.find("group_rows"); rows != nullptr) spec.group_rows = rows->get<std::uint64_t>();
  if (spec.group_rows == 0) throw Error(Status::kFormat, "its groups have no rows");
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
  if (spec.granularity == Granularity::kGroup) parse_groups(json, spec);
  if (const Json* bits = json.find("activation_bits"); bits != nullptr) {
    spec.activation_bits = bits->get<std::int32_t>();
    if (spec.activation_bits != 8) throw Error(Status::kFormat, "its activation_bits are not 8");
  }
  if (const Json* free = json.find("ggml"); free != nullptr) spec.has_free_scales = free->get<bool>();
  if (const Json* scale_dtype = json.find("scale_dtype"); scale_dtype != nullptr) {
    const auto found_dtype = find_dtype(std::string_view(scale_dtype->text()));
    if (!found_dtype || !is_scale_dtype(*found_dtype)) throw Error(Status::kFormat, "its scale's dtype is no float");
    spec.scale_dtype = *found_dtype;
  }
  if (spec.granularity == Granularity::kTensor && !scheme->may_be_per_tensor) {
    throw Error(Status::kFormat, formatted("{} has no single scale for a tensor", scheme->name));
  }
  if (spec.channel_axis != spec.stacked_axes && (spec.granularity == Granularity::kGroup || scheme->needs_first_axis)) {
    throw Error(Status::kFormat, formatted("{} has its channels on axis {}", scheme_text(spec), spec.stacked_axes));
  }
  return spec;
}

// The stored tensors a weight consists of. Throws kFormat for one that is missing or does not fit.
std::vector<std::size_t> find_parts(const TensorSource& source, const IndexByName& index, const std::string& name,
                                    const QuantizedSpec& spec, const Layout& layout) {
  if (!layout.can_hold(spec)) throw Error(Status::kFormat, formatted("{} is not stored like this", scheme_text(spec)));
  std::vector<std::size_t> parts;
  for (const StoredPart& part : layout.parts(spec)) {
    const std::string stored = part_name(name, part);
    const auto found = index.find(stored);
    if (found == index.end()) throw Error(Status::kFormat, formatted("{} is missing", stored));
    const TensorInfo& info = source.tensors()[found->second];
    const bool fits = info.shape == part.shape || (!part.former_shape.empty() && info.shape == part.former_shape);
    if (info.dtype != part.dtype || !fits) {
      throw Error(Status::kFormat, formatted("{} is {} {}, but must be {} {}", stored, dtype_name(info.dtype),
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
void add_entry(OwnMetadata& own, const std::string& name, const Json& json) {
  try {
    QuantizedEntry entry{name, require_spec(json), std::nullopt};
    if (const Json* sqnr = json.find("sqnr_db"); sqnr != nullptr) {
      entry.sqnr_db = sqnr->is_null() ? INFINITY : sqnr->get<double>();
    }
    own.entries.push_back(std::move(entry));
  } catch (const Error& error) {
    own.problems.push_back({name, error.message()});
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

OwnMetadata parse_own_metadata(const std::string& text) {
  OwnMetadata own;
  const Json json = parse_metadata(text);
  if (!json.contains("version") || !json.contains("tensors") || !json["tensors"].is_object()) {
    own.problems.push_back({"", formatted("the metadata key {} is not what we write", kMetadataKey)});
  } else if (json["version"] != 1) {
    own.problems.push_back({"", formatted("the metadata key {} has version {}; this library knows 1", kMetadataKey,
                                          json["version"].dump())});
  } else {
    for (const auto& [name, entry] : json["tensors"].members()) add_entry(own, name, entry);
  }
  return own;
}

// What a weight of the plan is in the output; empty for floats. sqnr_db: where the plan quantizes it.
std::optional<QuantizedEntry> entry_of(const PlannedTensor& planned, const LogicalTensor& tensor, double sqnr_db) {
  if (planned.action == Action::kQuantize || planned.action == Action::kCast) {
    return QuantizedEntry{tensor.name, planned.spec, sqnr_db};
  }
  if (planned.action != Action::kCopy || !tensor.spec) return std::nullopt;
  return QuantizedEntry{tensor.name, *tensor.spec, tensor.sqnr_db};
}

template <class SqnrOf>
void write_entries(const PlanSlice& plan, const SqnrOf& sqnr_of, const WriteText& write) {
  write(R"({"version":1,"tensors":{)");
  const char* before = "";
  for (std::size_t item = 0; item < plan.size(); ++item) {
    const auto entry = entry_of(plan.tensor(item), plan.logical(item), sqnr_of(item));
    if (!entry) continue;
    write(before + Json(entry->name).dump() + ":" + entry_json(*entry).dump());
    before = ",";
  }
  write("}}");
}

}  // namespace

std::optional<OwnMetadata> take_own_metadata(Metadata& metadata) {
  const auto found = metadata.find(std::string(kMetadataKey));
  if (found == metadata.end()) return std::nullopt;
  OwnMetadata own = parse_own_metadata(found->second);
  metadata.erase(found);
  return own;
}

bool has_own_metadata(const PlanSlice& plan) {
  for (std::size_t item = 0; item < plan.size(); ++item) {
    if (entry_of(plan.tensor(item), plan.logical(item), 0)) return true;
  }
  return false;
}

void write_own_metadata(const PlanSlice& plan, std::span<const double> sqnr_db, const WriteText& write) {
  write_entries(
      plan, [&](std::size_t item) { return sqnr_db[item]; }, write);
}

// No SQNR has more digits before the point, and where JSON does not find the shortest form of a number, it is shorter
// than this by a few digits.
void reserve_own_metadata(const PlanSlice& plan, const WriteText& write) {
  constexpr double kWidestSqnr = -9999.9999;
  constexpr std::size_t kSqnrSlack = 10;
  write_entries(
      plan, [](std::size_t) { return kWidestSqnr; }, write);
  const std::string slack(kSqnrSlack, ' ');
  for (std::size_t item = 0; item < plan.size(); ++item) write(slack);
}

void write_metadata_json(const Metadata& metadata, const std::function<void(const WriteText&)>& write_own,
                         const WriteText& write) {
  const char* before = "{";
  const auto write_key = [&](std::string_view key) {
    write(before);
    write_quoted(key, write);
    write(":");
    before = ",";
  };
  bool is_own_due = write_own != nullptr;
  const auto write_ours = [&] {
    write_key(kMetadataKey);
    write("\"");
    write_own([&](std::string_view piece) { write_escaped(piece, write); });
    write("\"");
    is_own_due = false;
  };
  for (const auto& [key, value] : metadata) {
    if (is_own_due && key > kMetadataKey) write_ours();
    write_key(key);
    write_quoted(value, write);
  }
  if (is_own_due) write_ours();
  write(before[0] == '{' ? "{}" : "}");
}

std::optional<OwnMetadata> own_metadata_of(const PlanSlice& plan, std::span<const double> sqnr_db) {
  OwnMetadata own;
  for (std::size_t item = 0; item < plan.size(); ++item) {
    auto entry = entry_of(plan.tensor(item), plan.logical(item), sqnr_db[item]);
    if (!entry) continue;
    if (entry->sqnr_db) entry->sqnr_db = four_digits(*entry->sqnr_db);
    own.entries.push_back(std::move(*entry));
  }
  if (own.entries.empty()) return std::nullopt;
  return own;
}

void DescribedSource::set_metadata(Metadata metadata) {
  metadata_ = std::move(metadata);
  own_ = take_own_metadata(metadata_);
}

LogicalTensors DescribedSource::find_own_weights() const {
  LogicalTensors found;
  if (!own_) return found;
  found.problems = own_->problems;
  IndexByName index;
  for (std::size_t i = 0; i < tensors_.size(); ++i) index.emplace(tensors_[i].name, i);
  for (const QuantizedEntry& entry : own_->entries) {
    try {
      std::vector<std::size_t> parts = find_parts(*this, index, entry.name, entry.spec, *layout_);
      found.tensors.push_back({entry.name,
                               entry.spec.weight_dtype,
                               entry.spec.shape,
                               std::move(parts),
                               entry.spec,
                               layout_,
                               entry.sqnr_db,
                               nullptr,
                               {}});
    } catch (const Error& error) {
      found.problems.push_back({entry.name, error.message()});
    }
  }
  return found;
}

}  // namespace mnq
