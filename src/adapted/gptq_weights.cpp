// GPTQ's and AWQ's weights: L.qweight, L.qzeros, L.scales and, of GPTQ, L.g_idx.
#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "adapted/group_order.h"
#include "adapted/weight_finders.h"
#include "adapted/weight_in_making.h"
#include "base/text/format.h"
#include "layouts/layouts.h"
#include "layouts/packing/packed_bits.h"

namespace mnq {
namespace {

constexpr std::string_view kCodes = ".qweight", kSecondForm = "gptq_v2";

// One layer's tensors.
struct Layer {
  std::string name;
  const TensorInfo& codes;
  const TensorInfo& zero_points;
  const TensorInfo& scales;
};

const TensorInfo& require_matrix(const NamedTensors& tensors, const std::string& name) {
  const TensorInfo& info = tensors.source().tensors()[tensors.require(name)];
  if (info.shape.size() != 2 || info.size_bytes == 0) tensors.fail(name, "is no matrix");
  return info;
}

std::uint64_t group_size_of(const FinderInput& input, const Layer& layer, std::int64_t inputs) {
  const std::int64_t groups = layer.scales.shape[0], said = number_in(input.config, "group_size", 0);
  if (groups == 1) return static_cast<std::uint64_t>(inputs);
  if (said > 0 && (inputs - 1) / said + 1 == groups) return static_cast<std::uint64_t>(said);
  if (inputs % groups != 0) {
    input.tensors.fail(layer.scales.name, formatted("{} groups do not fit {} inputs", groups, inputs));
  }
  return static_cast<std::uint64_t>(inputs / groups);
}

// Zero points have a number of bits for each output.
std::int64_t width_of(const FinderInput& input, const Layer& layer) {
  const std::int64_t outputs = layer.scales.shape[1], width = layer.zero_points.shape[1] * 32 / outputs;
  const bool is_whole = layer.zero_points.shape[1] * 32 == width * outputs && width > 0;
  if (!is_whole || layer.codes.shape[0] * 32 % width != 0) {
    input.tensors.fail(layer.zero_points.name,
                       formatted("its shape {} does not fit {} outputs", shape_text(layer.zero_points.shape), outputs));
  }
  const Scheme* scheme = find_integer_scheme(width);
  if (scheme == nullptr || width == 5 || width == 6 || width == 7) {
    input.tensors.refuse(layer.codes.name, formatted("GPTQ of {} bits is not read", width));
  }
  return width;
}

// gptqmodel goes by `format` where there are both.
std::string form_said(const Json& config) {
  const std::string format = text_in(config, "format");
  return format.empty() ? text_in(config, "checkpoint_format") : format;
}

// Zero points in the middle as they are stored, less by `moved_by`: they repeat after as many words as a code has bits.
std::vector<std::uint32_t> middle_words(int bits, int moved_by) {
  std::array<std::int8_t, 32> zero_points;
  zero_points.fill(static_cast<std::int8_t>(-moved_by));
  std::vector<std::uint32_t> words(static_cast<std::size_t>(bits));
  pack_bits(zero_points.data(), bits, zero_points.size(), 1 << (bits - 1),
            reinterpret_cast<std::uint8_t*>(words.data()));
  return words;
}

// A weight whose zero points are all in the middle is symmetric. They are read to tell: what config.json says of it is
// not always so. Of other weights the first words show it.
bool is_symmetric(const NamedTensors& tensors, const TensorInfo& zero_points, int bits, int moved_by) {
  constexpr std::size_t kRepeats = 4096;
  const std::vector<std::uint32_t> middle = middle_words(bits, moved_by);
  const std::size_t index = tensors.require(zero_points.name);
  std::vector<std::uint32_t> words(kRepeats * middle.size());
  for (std::uint64_t at = 0; at < zero_points.size_bytes; at += words.size() * sizeof words[0]) {
    const std::uint64_t size = std::min(zero_points.size_bytes - at, words.size() * sizeof words[0]);
    words.resize(size / sizeof words[0]);
    tensors.source().read(index, at, std::as_writable_bytes(std::span(words)));
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] != middle[i % middle.size()]) return false;
    }
  }
  return true;
}

// auto-round has words of its own for what gptqmodel runs: there zero points are as they are, but maybe in the middle.
bool is_of_second_form(const FinderInput& input, const TensorInfo& zero_points, int bits) {
  const std::string packing = text_in(input.config, "packing_format");
  const bool is_said = packing == "auto_round" || packing == "auto_round:gptqmodel";
  if (!is_said || !form_said(input.config).empty()) return form_said(input.config) == kSecondForm;
  return !is_symmetric(input.tensors, zero_points, bits, 1);
}

void remark_on_format(const FinderInput& input) {
  if (!input.config.is_null()) return;
  const std::string remark = "no config.json says of which form GPTQ's zero points are: taken for its first one";
  if (std::ranges::find(input.remarks, remark) == input.remarks.end()) input.remarks.push_back(remark);
}

// Whether columns of a group need not follow each other. static_groups: they do, whatever their order was.
bool is_ordered_by_activations(const Json& config) {
  return is_true_in(config, "desc_act", false) && !is_true_in(config, "static_groups", false);
}

void add_group_order(WeightInMaking& weight, const FinderInput& input, const Layer& layer) {
  const std::string name = layer.name + ".g_idx";
  if (input.tensors.find(name)) {
    weight.add_part(name, {DType::kI32});
  } else if (!input.is_part && layer.scales.shape[0] > 1 && is_ordered_by_activations(input.config)) {
    input.tensors.fail(name, "is missing, though config.json says desc_act");
  }
}

LogicalTensor make_weight(const FinderInput& input, const Layer& layer, const Scheme& scheme, std::int64_t inputs,
                          const Shape& zero_points, bool is_gptq) {
  WeightInMaking weight(input.tensors);
  weight.add_part(layer.codes.name, {DType::kI32});
  weight.add_part(layer.zero_points.name, {DType::kI32}, zero_points);
  weight.add_part(layer.scales.name, {DType::kF16, DType::kBF16, DType::kF32});
  weight.set_matrix(scheme, {layer.scales.shape[1], inputs}, layer.scales.dtype);
  const std::uint64_t group_size = group_size_of(input, layer, inputs);
  weight.set_groups(group_size, layer.scales.dtype);
  const bool is_second = is_gptq && is_of_second_form(input, layer.zero_points, code_bits(weight.spec));
  const int moved_by = is_gptq && !is_second ? 1 : 0;
  weight.spec.symmetric = is_symmetric(input.tensors, layer.zero_points, code_bits(weight.spec), moved_by);
  weight.spec.has_free_scales = true;
  if (!is_gptq) return weight.finish(layer.name + ".weight", kAwqLayout);
  weight.spec.has_group_order =
      !has_groups_in_order(input.tensors, layer.name + ".g_idx", inputs, layer.scales.shape[0], group_size);
  add_group_order(weight, input, layer);
  remark_on_format(input);
  return weight.finish(layer.name + ".weight", is_second ? kGptqV2Layout : kGptqLayout);
}

LogicalTensor make_gptq(const FinderInput& input, const Layer& layer) {
  const std::string format = form_said(input.config);
  if (!format.empty() && format != "gptq" && format != kSecondForm) {
    input.tensors.refuse(layer.codes.name, formatted("GPTQ's format {} is not read", format));
  }
  const std::int64_t width = width_of(input, layer), inputs = layer.codes.shape[0] * 32 / width;
  const Shape zero_points{layer.scales.shape[0], layer.scales.shape[1] * width / 32};
  return make_weight(input, layer, *find_integer_scheme(width), inputs, zero_points, true);
}

LogicalTensor make_awq(const FinderInput& input, const Layer& layer) {
  constexpr std::int64_t kWidth = 4;
  const Shape zero_points{layer.scales.shape[0], layer.codes.shape[1]};
  return make_weight(input, layer, *find_integer_scheme(kWidth), layer.codes.shape[0], zero_points, false);
}

}  // namespace

std::optional<LogicalTensor> find_gptq_weight(const FinderInput& input, const TensorInfo& codes) {
  const NamedTensors& tensors = input.tensors;
  if (!codes.name.ends_with(kCodes)) return std::nullopt;
  const std::string name = codes.name.substr(0, codes.name.size() - kCodes.size());
  if (codes.dtype != DType::kI32) {
    const bool is_said = input.config.is_object() && tensors.find(name + ".scales");
    if (is_said) tensors.refuse(codes.name, formatted("{} is no dtype of codes", dtype_name(codes.dtype)));
    return std::nullopt;
  }
  if (input.config.is_object() && !input.is_part) tensors.require(name + ".scales");
  if (!tensors.find(name + ".scales")) return std::nullopt;
  if (!tensors.find(name + ".qzeros")) tensors.refuse(codes.name, "is quantized by GPTQ without zero points");
  const Layer layer{name, require_matrix(tensors, codes.name), require_matrix(tensors, name + ".qzeros"),
                    require_matrix(tensors, name + ".scales")};
  const std::int64_t outputs = layer.scales.shape[1];
  if (codes.shape[1] == outputs) return make_gptq(input, layer);
  if (codes.shape[1] * 8 == outputs) return make_awq(input, layer);
  tensors.refuse(codes.name, formatted("its shape {} is that of no layout of GPTQ or AWQ that is read for scales of {}",
                                       shape_text(codes.shape), shape_text(layer.scales.shape)));
}

}  // namespace mnq
