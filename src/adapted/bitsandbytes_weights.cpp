// bitsandbytes' weights: of 4 bits, whose state is JSON in a tensor, and of 8 bits.
#include <algorithm>
#include <vector>

#include "adapted/weight_finders.h"
#include "adapted/weight_in_making.h"
#include "base/error.h"
#include "base/text/format.h"
#include "layouts/layouts.h"
#include "layouts/stored_specs.h"

namespace mnq {
namespace {

constexpr std::uint64_t kMostStateBytes = 1u << 16;

// The tensor with the state of a weight; empty: there is none. What it is called says the kind of codes.
std::string find_state(const NamedTensors& tensors, const std::string& weight) {
  const std::string prefix = weight + ".quant_state.bitsandbytes__";
  const auto found = tensors.by_name().lower_bound(prefix);
  return found != tensors.by_name().end() && found->first.starts_with(prefix) ? found->first : std::string();
}

Json read_state(const NamedTensors& tensors, const std::string& name) {
  const std::size_t index = tensors.require(name);
  const TensorInfo& info = tensors.source().tensors()[index];
  if (info.size_bytes > kMostStateBytes) tensors.fail(name, "is too large for a state");
  std::string text(info.size_bytes, '\0');
  tensors.source().read(index, 0, std::as_writable_bytes(std::span(text)));
  try {
    Json state = parse_json(text);
    if (state.is_object()) return state;
  } catch (const Error& error) {
    if (error.status() != Status::kFormat) throw;
  }
  tensors.fail(name, "is no JSON object");
}

Shape shape_in(const NamedTensors& tensors, const std::string& name, const Json& state) {
  const Json* sizes = state.find("shape");
  Shape shape;
  for (std::size_t i = 0; sizes != nullptr && sizes->is_array() && i < sizes->size(); ++i) {
    const Json& size = (*sizes)[i];
    shape.push_back(size.is_integer() ? size.get<std::int64_t>() : -1);
  }
  const auto count = checked_element_count(shape);
  if (shape.size() < 2 || !count || *count == 0) tensors.fail(name, "says no shape of a weight");
  return shape;
}

void check_book(const NamedTensors& tensors, const std::string& name, const Scheme& scheme) {
  std::vector<float> values(std::size_t{1} << 4);
  tensors.source().read(tensors.require(name), 0, std::as_writable_bytes(std::span(values)));
  if (!has_book(scheme, values)) tensors.refuse(name, formatted("has other values than {}", scheme.text));
}

void add_nested(WeightInMaking& weight, const std::string& name, const std::string& state_name, const Json& state,
                std::uint64_t blocks) {
  const std::int64_t outer = number_in(state, "nested_blocksize", 0);
  const Json* offset = state.find("nested_offset");
  if (outer <= 0 || offset == nullptr || !offset->is_number())
    weight.tensors().fail(state_name, "says nothing of nesting");
  const auto count = static_cast<std::int64_t>(ceil_div(blocks, static_cast<std::uint64_t>(outer)));
  weight.add_part(name + ".nested_absmax", {DType::kF32}, {count});
  weight.add_part(name + ".nested_quant_map", {DType::kF32}, {256});
}

LogicalTensor make_4_bits(const FinderInput& input, const TensorInfo& codes, const std::string& state_name) {
  const NamedTensors& tensors = input.tensors;
  const Json state = read_state(tensors, state_name);
  const Scheme* scheme = find_bitsandbytes_scheme(text_in(state, "quant_type"));
  if (scheme == nullptr) {
    tensors.refuse(codes.name, formatted("bitsandbytes' {} is not read", text_in(state, "quant_type")));
  }
  const std::int64_t block = number_in(state, "blocksize", 0);
  if (block <= 0) tensors.fail(state_name, "says no blocksize");
  WeightInMaking weight(tensors);
  weight.set_matrix(*scheme, shape_in(tensors, state_name, state),
                    find_float_dtype(text_in(state, "dtype")).value_or(input.weight_dtype));
  const std::uint64_t count = element_count(weight.spec.shape);
  const std::uint64_t blocks = ceil_div(count, static_cast<std::uint64_t>(block));
  weight.add_part(codes.name, {DType::kU8});
  if (codes.size_bytes != ceil_div(count, 2)) {
    tensors.fail(codes.name, formatted("has {} bytes, but {} needs {}", codes.size_bytes, shape_text(weight.spec.shape),
                                       ceil_div(count, 2)));
  }
  const TensorInfo& scales =
      weight.add_part(codes.name + ".absmax", {DType::kF32, DType::kU8}, {static_cast<std::int64_t>(blocks)});
  weight.add_part(state_name, {DType::kU8});
  weight.add_part(codes.name + ".quant_map", {DType::kF32}, {16});
  check_book(tensors, codes.name + ".quant_map", *scheme);
  if (scales.dtype == DType::kU8) add_nested(weight, codes.name, state_name, state, blocks);
  weight.spec.granularity = Granularity::kGroup;
  weight.spec.group_size = static_cast<std::uint64_t>(block);
  weight.spec.has_free_scales = true;
  const bool has_whole_rows = weight.spec.shape.back() % block == 0;
  return weight.finish(codes.name, has_whole_rows ? kBitsandbytes4Layout : kBitsandbytes4FlatLayout);
}

// Other orders are those of kernels of old: what is loaded now is of rows.
void require_rows(const NamedTensors& tensors, const std::string& name) {
  const TensorInfo* info = tensors.find_info(name);
  if (info == nullptr || info->size_bytes == 0) return;
  std::vector<std::byte> stored(std::min<std::uint64_t>(info->size_bytes, sizeof(std::int64_t)));
  tensors.source().read(tensors.require(name), 0, stored);
  const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
  if (!std::ranges::all_of(stored, is_zero)) tensors.refuse(name, "bitsandbytes' codes are not in the order of rows");
}

LogicalTensor make_8_bits(const FinderInput& input, const TensorInfo& codes) {
  constexpr std::int64_t kWidth = 8;
  WeightInMaking weight(input.tensors);
  weight.set_matrix(*find_integer_scheme(kWidth), codes.shape, input.weight_dtype);
  weight.add_part(codes.name, {DType::kI8});
  weight.add_part(stem_of(codes.name) + ".SCB", {DType::kF32}, {codes.shape[0]});
  weight.spec.granularity = Granularity::kChannel;
  weight.spec.has_free_scales = true;
  require_rows(input.tensors, stem_of(codes.name) + ".weight_format");
  for (const char* extra : {".weight_format", ".threshold"}) {
    if (const auto index = input.tensors.find(stem_of(codes.name) + extra)) input.dropped.insert(*index);
  }
  return weight.finish(codes.name, kBitsandbytes8Layout);
}

}  // namespace

std::optional<LogicalTensor> find_bitsandbytes_weight(const FinderInput& input, const TensorInfo& codes) {
  const NamedTensors& tensors = input.tensors;
  if (codes.dtype == DType::kI8 && codes.shape.size() == 2 && codes.size_bytes > 0 &&
      tensors.find(stem_of(codes.name) + ".SCB")) {
    return make_8_bits(input, codes);
  }
  if (codes.dtype != DType::kU8 || !tensors.find(codes.name + ".absmax")) return std::nullopt;
  const std::string state = find_state(tensors, codes.name);
  if (state.empty()) tensors.fail(codes.name, "has no quant_state");
  return make_4_bits(input, codes, state);
}

}  // namespace mnq
