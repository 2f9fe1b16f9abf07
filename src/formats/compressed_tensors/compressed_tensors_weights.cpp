#include "formats/compressed_tensors/compressed_tensors_weights.h"

#include <algorithm>

#include "adapted/group_order.h"
#include "adapted/left_layers.h"
#include "adapted/weight_finders.h"
#include "base/error.h"
#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors_layout.h"
#include "layouts/layouts.h"
#include "layouts/stored_specs.h"
#include "plan/layer_kinds.h"

namespace mnq {

namespace {

using namespace compressed_tensors;

// A weight as far as its parts were read.
struct WeightInMaking {
  const NamedTensors& tensors;
  std::span<const CompressedGroup> groups;
  bool is_part = false;  // of a checkpoint
  QuantizedSpec spec;
  std::vector<std::size_t> parts;

  [[noreturn]] void refuse(const std::string& what) const { refuse_compressed(tensors.source().title(), what); }

  const TensorInfo& add_part(const std::string& name) {
    parts.push_back(tensors.require(name));
    return tensors.source().tensors()[parts.back()];
  }
};

LogicalTensor finish(WeightInMaking weight, const std::string& name, const Layout& layout) {
  LogicalTensor made;
  made.name = name;
  made.dtype = weight.spec.weight_dtype;
  made.shape = weight.spec.shape;
  made.spec = weight.spec;
  made.layout = &layout;
  made.parts = std::move(weight.parts);
  return made;
}

// Of the groups that fit a weight the first one, but where they say different things the one that names its layer.
template <class Fits>
const CompressedGroup* fitting_group(std::span<const CompressedGroup> groups, const std::string& weight,
                                     const Fits& fits) {
  std::vector<const CompressedGroup*> fitting;
  for (const CompressedGroup& group : groups) {
    if (fits(group)) fitting.push_back(&group);
  }
  const auto is_alike = [&](const CompressedGroup* group) {
    return group->width == fitting.front()->width && group->block == fitting.front()->block;
  };
  if (fitting.empty() || std::ranges::all_of(fitting, is_alike)) return fitting.empty() ? nullptr : fitting.front();
  const std::string layer(layer_name_from(weight).name);
  const CompressedGroup* own = find_group(groups, layer);
  if (std::ranges::find(fitting, own) != fitting.end()) return own;
  const auto found = std::ranges::find_if(fitting, [&](const CompressedGroup* group) {
    return std::ranges::any_of(group->targets, [&](const std::string& target) { return may_mean(target, layer); });
  });
  return found == fitting.end() ? fitting.front() : *found;
}

std::int64_t group_size(const WeightInMaking& weight, const std::string& base, const std::string& name,
                        std::int64_t groups) {
  const std::int64_t columns = weight.spec.shape[1];
  const CompressedGroup* found = fitting_group(weight.groups, base, [&](const CompressedGroup& group) {
    return group.group_size > 0 && (columns - 1) / group.group_size + 1 == groups;
  });
  if (found != nullptr) return found->group_size;
  if (columns % groups != 0) weight.tensors.fail(name, formatted("{} groups do not fit {} columns", groups, columns));
  return columns / groups;
}

// Scales are one a row, or one a group of a row.
void set_groups(WeightInMaking& weight, const std::string& base, const std::string& name, std::int64_t groups) {
  QuantizedSpec& spec = weight.spec;
  const std::int64_t columns = spec.shape[1];
  const bool has_groups =
      !weight.groups.empty() && std::ranges::all_of(weight.groups, [&](const CompressedGroup& group) {
        return group.group_size > 0 && (columns - 1) / group.group_size + 1 != groups;
      });
  if (has_groups) weight.tensors.fail(name, formatted("has {} groups a row, unlike what config.json says", groups));
  spec.has_free_scales = weight.tensors.source().metadata().contains(std::string(kFreeScalesKey));
  // A block of ggml's is a group, also where it is all of a row.
  const bool is_block = spec.has_free_scales && columns == kGgmlBlockColumns;
  spec.granularity = groups > 1 || is_block ? Granularity::kGroup : Granularity::kChannel;
  if (spec.granularity == Granularity::kGroup) {
    spec.group_size = static_cast<std::uint64_t>(groups > 1 ? group_size(weight, base, name, groups) : columns);
  }
}

// The scale, and what its shape says of the weight.
void add_scale(WeightInMaking& weight, const std::string& base) {
  QuantizedSpec& spec = weight.spec;
  const std::string name = base + std::string(kScaleSuffix);
  const TensorInfo& scale = weight.add_part(name);
  if (!is_weight_dtype(scale.dtype)) {
    weight.tensors.fail(name, formatted("{} is no dtype of scales", dtype_name(scale.dtype)));
  }
  spec.weight_dtype = spec.scale_dtype = scale.dtype;
  if (spec.scale_dtype == DType::kF64) spec.scale_dtype = DType::kF32;
  const std::int64_t rows = spec.shape[0], columns = spec.shape[1];
  if (element_count(scale.shape) == 1 && rows != 1) {
    spec.granularity = Granularity::kTensor;
  } else if (scale.shape.size() == 2 && scale.shape[0] == rows && scale.shape[1] >= 1 && scale.shape[1] <= columns) {
    set_groups(weight, base, name, scale.shape[1]);
  } else {
    weight.tensors.fail(
        name, formatted("its shape {} does not fit a weight of {}", shape_text(scale.shape), shape_text(spec.shape)));
  }
}

Shape read_shape(const NamedTensors& tensors, const std::string& name) {
  const std::size_t index = tensors.require(name);
  const TensorInfo& info = tensors.source().tensors()[index];
  if (info.dtype != DType::kI64 || info.shape != Shape{2}) tensors.fail(info.name, "is no I64 [2]");
  Shape shape(2);
  tensors.source().read(index, 0, std::as_writable_bytes(std::span(shape)));
  const auto count = checked_element_count(shape);
  if (!count || *count == 0) tensors.fail(info.name, formatted("{} is impossible", shape_text(shape)));
  return shape;
}

// Of a code, by what the groups name and how many words a row has.
std::int64_t find_width(const WeightInMaking& weight, const std::string& base, const std::string& name,
                        std::int64_t words) {
  const auto columns = static_cast<std::uint64_t>(weight.spec.shape[1]);
  const CompressedGroup* found = fitting_group(weight.groups, base, [&](const CompressedGroup& group) {
    if (group.width != 0 && find_integer_scheme(group.width) == nullptr) {
      weight.refuse(formatted("weights of {} bits are not supported", group.width));
    }
    const std::uint64_t bits = columns * static_cast<std::uint64_t>(group.width);
    return group.width != 0 && static_cast<std::uint64_t>(words) == ceil_div(bits, 32);
  });
  if (found == nullptr) weight.tensors.fail(name, "has no number of bits that config.json names");
  return found->width;
}

bool is_said_to_be(const WeightInMaking& weight, const std::string& base, bool (CompressedGroup::*what)() const) {
  return all_groups_are(weight.groups, std::string(layer_name_from(base).name), what);
}

// Whether there is one. Errors: kFormat where config.json says so, and there is none.
bool has_zero_point(const WeightInMaking& weight, const std::string& base) {
  const std::string name = base + std::string(kZeroPointSuffix);
  if (weight.tensors.find(name)) return true;
  if (weight.is_part || !is_said_to_be(weight, base, &CompressedGroup::is_asymmetric)) return false;
  weight.tensors.fail(name, "is missing, though config.json says that codes are not symmetric");
}

// Only zero points of channels and groups are packed.
void add_packed_zero_point(WeightInMaking& weight, const std::string& base, std::int64_t width) {
  QuantizedSpec& spec = weight.spec;
  if (!has_zero_point(weight, base)) return;
  const std::string name = base + std::string(kZeroPointSuffix);
  const TensorInfo& info = weight.add_part(name);
  spec.symmetric = false;
  const bool is_plain = spec.granularity == Granularity::kTensor && info.dtype == DType::kI8;
  if (is_plain && element_count(info.shape) == 1) return;
  const ScaleShape scales = scale_shape(spec);
  const Shape packed{static_cast<std::int64_t>(ceil_div(scales.row_count * static_cast<std::uint64_t>(width), 32)),
                     static_cast<std::int64_t>(scales.groups)};
  if (info.dtype != DType::kI32 || info.shape != packed) {
    weight.tensors.fail(name, formatted("is {} {}, but must be I32 {}", dtype_name(info.dtype), shape_text(info.shape),
                                        shape_text(packed)));
  }
}

// Codes of a pack-quantized weight; their width.
std::int64_t add_packed_codes(WeightInMaking& weight, const std::string& base) {
  const std::string name = base + std::string(kPackedSuffix);
  const TensorInfo& codes = weight.add_part(name);
  const Shape& shape = weight.spec.shape = read_shape(weight.tensors, base + std::string(kShapeSuffix));
  const std::int64_t words = codes.shape.size() == 2 ? codes.shape[1] : 0;
  if (codes.dtype != DType::kI32 || words == 0 || codes.shape[0] != shape[0]) {
    weight.tensors.fail(name, formatted("{} {} does not fit a weight of {}", dtype_name(codes.dtype),
                                        shape_text(codes.shape), shape_text(shape)));
  }
  return find_width(weight, base, name, words);
}

void add_order(WeightInMaking& weight, const std::string& base) {
  const std::string list = base + std::string(kOrderSuffix);
  if (!weight.tensors.find(list)) return;
  weight.add_part(list);
  QuantizedSpec& spec = weight.spec;
  const auto groups = static_cast<std::int64_t>(scale_shape(spec).groups);
  const std::uint64_t size = spec.group_size == 0 ? static_cast<std::uint64_t>(spec.shape[1]) : spec.group_size;
  spec.has_group_order = !has_groups_in_order(weight.tensors, list, spec.shape[1], groups, size);
}

LogicalTensor read_packed(WeightInMaking weight, const std::string& base) {
  const std::int64_t width = add_packed_codes(weight, base);
  weight.spec.scheme = find_integer_scheme(width)->name;
  add_scale(weight, base);
  add_packed_zero_point(weight, base, width);
  weight.add_part(base + std::string(kShapeSuffix));
  if (weight.spec.granularity == Granularity::kTensor && !scheme_of(weight.spec).may_be_per_tensor) {
    weight.refuse(formatted("{}: {} bits per tensor", base, width));
  }
  add_order(weight, base);
  return finish(std::move(weight), base, kPackQuantizedLayout);
}

void add_plain_zero_point(WeightInMaking& weight, const std::string& base) {
  if (!has_zero_point(weight, base)) return;
  const std::string name = base + std::string(kZeroPointSuffix);
  weight.spec.symmetric = false;
  const TensorInfo& info = weight.add_part(name);
  const Shape wanted = scale_matrix(weight.spec);
  const bool is_turned = info.shape.size() == 2 && info.shape != wanted;
  if (info.dtype != DType::kI8 || is_turned || element_count(info.shape) != element_count(wanted)) {
    weight.tensors.fail(name, formatted("is {} {}, but must be I8 {}", dtype_name(info.dtype), shape_text(info.shape),
                                        shape_text(wanted)));
  }
}

bool runs_int8(std::span<const CompressedGroup> groups, const std::string& layer) {
  const CompressedGroup* group = find_group(groups, layer);
  if (group != nullptr) return group->runs_int8;
  return !groups.empty() && std::ranges::all_of(groups, [](const CompressedGroup& each) { return each.runs_int8; });
}

// int-quantized: codes and zero points are bytes already.
LogicalTensor read_bytes(WeightInMaking weight, const std::string& name) {
  const TensorInfo& codes = weight.add_part(name);
  QuantizedSpec& spec = weight.spec;
  spec.scheme = find_integer_scheme(8)->name;
  spec.shape = codes.shape;
  if (is_said_to_be(weight, name, &CompressedGroup::has_floats)) {
    weight.tensors.fail(name, "is I8, but config.json says that its codes are floats");
  }
  if (codes.shape.size() != 2 || codes.size_bytes == 0) weight.tensors.fail(name, "is quantized, but no matrix");
  add_scale(weight, name);
  add_plain_zero_point(weight, name);
  if (may_run_in_integers(spec) && runs_int8(weight.groups, std::string(layer_name_from(name).name)))
    spec.activation_bits = 8;
  add_order(weight, name);
  return finish(std::move(weight), name, kIntQuantizedLayout);
}

// Columns of floats are read as they lie.
void require_order_of_floats(const WeightInMaking& weight, LogicalTensor& floats) {
  const std::string list = floats.name + std::string(kOrderSuffix);
  if (!weight.tensors.find(list)) return;
  const QuantizedSpec& spec = *floats.spec;
  const std::int64_t columns = spec.shape.back();
  const std::uint64_t size = spec.group_size == 0 ? static_cast<std::uint64_t>(columns) : spec.group_size;
  const auto groups = static_cast<std::int64_t>(ceil_div(static_cast<std::uint64_t>(columns), size));
  if (!has_groups_in_order(weight.tensors, list, columns, groups, size)) {
    weight.refuse(formatted("{}: floats whose columns lie in an order of their own are not read", list));
  }
  floats.parts.push_back(weight.tensors.require(list));
}

// The blocks of a group that make as many scales as there are, as other tools' config.json has them; null: none does.
Json blocks_said(const NamedTensors& tensors, std::span<const CompressedGroup> groups, const TensorInfo& codes) {
  const TensorInfo* scale = tensors.find_info(codes.name + std::string(kScaleSuffix));
  if (scale == nullptr || scale->shape.size() != 2 || codes.shape.size() != 2) return {};
  const CompressedGroup* found = fitting_group(groups, codes.name, [&](const CompressedGroup& group) {
    const auto fits = [&](std::size_t axis) {
      const std::int64_t size = group.block[axis];
      return size > 0 && (codes.shape[axis] - 1) / size + 1 == scale->shape[axis];
    };
    return fits(0) && fits(1);
  });
  if (found == nullptr) return {};
  return Json{{"weight_block_size", std::vector<std::int64_t>{found->block[0], found->block[1]}}};
}

// Weights whose codes are floats are as other tools have them.
std::optional<LogicalTensor> find_float_weight(const NamedTensors& tensors, std::span<const CompressedGroup> groups,
                                               const TensorInfo& codes, DType dtype) {
  const Json said = find_float8_scheme(codes.dtype) == nullptr ? Json() : blocks_said(tensors, groups, codes);
  std::vector<std::string> remarks;
  std::set<std::size_t> dropped;
  const FinderInput input{tensors, said, dtype, remarks, dropped};
  auto found = find_float8_weight(input, codes);
  return found ? std::move(found) : find_small_float_weight(input, codes);
}

}  // namespace

std::vector<LogicalTensor> find_compressed_weights(const NamedTensors& tensors, std::span<const CompressedGroup> groups,
                                                   bool is_part) {
  std::vector<LogicalTensor> weights;
  const DType dtype = model_dtype_of(tensors.source());
  for (const TensorInfo& tensor : tensors.source().tensors()) {
    const std::string& name = tensor.name;
    const WeightInMaking weight{tensors, groups, is_part, {}, {}};
    if (auto floats = find_float_weight(tensors, groups, tensor, dtype)) {
      require_order_of_floats(weight, *floats);
      weights.push_back(std::move(*floats));
    } else if (name.ends_with(kPackedSuffix)) {
      weights.push_back(read_packed(weight, name.substr(0, name.size() - kPackedSuffix.size())));
    } else if (tensor.dtype == DType::kI8 && tensors.find(name + std::string(kScaleSuffix))) {
      weights.push_back(read_bytes(weight, name));
    }
  }
  return weights;
}

}  // namespace mnq
