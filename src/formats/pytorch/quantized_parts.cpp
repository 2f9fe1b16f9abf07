#include "formats/pytorch/quantized_parts.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/text/format.h"
#include "kernels/float_conversions.h"
#include "layouts/layouts.h"
#include "layouts/stored_specs.h"

namespace mnq {
namespace {

template <class Number>
std::vector<Number> numbers_of(const std::vector<std::byte>& bytes) {
  std::vector<Number> numbers(bytes.size() / sizeof(Number));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(Number));
  return numbers;
}

template <class Number>
std::vector<std::byte> bytes_of(const std::vector<Number>& numbers) {
  std::vector<std::byte> bytes(numbers.size() * sizeof(Number));
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

std::vector<float> read_floats(const PytorchTensor& table, const ReadTable& read) {
  const std::vector<std::byte> bytes = read(table);
  std::vector<float> floats(element_count(table.shape));
  kernels::to_float32(kernels::kernel_table(), table.dtype, bytes.data(), floats.size(), floats.data());
  return floats;
}

std::vector<std::int64_t> read_integers(const PytorchTensor& table, const ReadTable& read) {
  const std::vector<std::byte> bytes = read(table);
  if (table.dtype == DType::kI64) return numbers_of<std::int64_t>(bytes);
  const auto small = numbers_of<std::int32_t>(bytes);
  return {small.begin(), small.end()};
}

// Scales and zero points as they are said.
struct Tables {
  std::vector<float> scales;
  std::vector<std::int64_t> zero_points;
  std::vector<float> float_zero_points;  // in place of those
  bool are_rounded = false;              // scales
};

Tables read_tables(const PytorchQuantizer& quantizer, const ReadTable& read) {
  if (!quantizer.axis) return {{static_cast<float>(quantizer.scale)}, {quantizer.zero_point}, {}};
  Tables tables{read_floats(quantizer.tables[0], read), {}, {}};
  tables.are_rounded = quantizer.tables[0].dtype == DType::kF64 &&
                       !std::ranges::equal(tables.scales, numbers_of<double>(read(quantizer.tables[0])));
  if (quantizer.has_float_zero_points()) {
    tables.float_zero_points = read_floats(quantizer.tables[1], read);
  } else {
    tables.zero_points = read_integers(quantizer.tables[1], read);
  }
  return tables;
}

void check_tables(const Tables& tables, const PytorchQuantizer& quantizer, const std::string& name,
                  const std::string& title) {
  const auto fail = [&](const std::string& what) {
    throw Error(Status::kFormat, formatted("{}: tensor {}: {}", title, name, what),
                "the file is damaged: fetch it again, or quantize the float model anew", name);
  };
  for (const auto& [floats, what] : {std::pair(&tables.scales, "scale"), {&tables.float_zero_points, "zero point"}}) {
    const auto bad = std::ranges::find_if(*floats, [](float value) { return !std::isfinite(value); });
    if (bad != floats->end()) fail(formatted("its {} {} is {}", what, bad - floats->begin(), *bad));
  }
  const auto [lowest, highest] = quantizer.code_range();
  const auto bad = std::ranges::find_if(
      tables.zero_points, [&](std::int64_t zero_point) { return zero_point < lowest || zero_point > highest; });
  if (bad == tables.zero_points.end()) return;
  fail(formatted("its zero point {} is {}, which is no {}", bad - tables.zero_points.begin(), *bad, quantizer.dtype));
}

QuantizedSpec start_spec(const Scheme& scheme, const PytorchQuantizer& quantizer, const Tables& tables) {
  QuantizedSpec spec;
  spec.scheme = scheme.name;
  spec.shape = quantizer.shape;
  spec.has_free_scales = std::ranges::any_of(tables.scales, [](float scale) { return scale <= 0; });
  return spec;
}

// Codes of a byte less an integer, times a scale.
QuantizedSpec spec_of_integers(const Scheme& scheme, const PytorchQuantizer& quantizer, const Tables& tables) {
  QuantizedSpec spec = start_spec(scheme, quantizer, tables);
  spec.granularity = quantizer.axis ? Granularity::kChannel : Granularity::kTensor;
  spec.channel_axis = quantizer.axis.value_or(0);
  spec.symmetric = !scheme.always_has_zero_points &&
                   std::ranges::all_of(tables.zero_points, [](std::int64_t zero_point) { return zero_point == 0; });
  return spec;
}

// Rows of codes less a float, times a scale.
QuantizedSpec spec_of_rows(const Scheme& scheme, const PytorchQuantizer& quantizer, const Tables& tables) {
  QuantizedSpec spec = start_spec(scheme, quantizer, tables);
  spec.granularity = Granularity::kGroup;
  spec.group_size = static_cast<std::uint64_t>(quantizer.shape.back());
  spec.symmetric = false;
  return spec;
}

std::vector<std::byte> bytes_of_zero_points(const Tables& tables, DType dtype) {
  if (dtype == DType::kF32) return bytes_of(tables.float_zero_points);
  if (dtype == DType::kI32)
    return bytes_of(std::vector<std::int32_t>(tables.zero_points.begin(), tables.zero_points.end()));
  std::vector<std::byte> bytes;
  for (const std::int64_t zero_point : tables.zero_points) bytes.push_back(static_cast<std::byte>(zero_point & 0xff));
  return bytes;
}

void add_made(QuantizedParts& parts, const std::string& name, DType dtype, Shape shape, std::vector<std::byte> bytes) {
  const std::uint64_t size = bytes.size();
  parts.made.push_back({{name, dtype, std::move(shape), size}, std::move(bytes)});
}

// The parts of a layout behind its codes are scales and, where there are some, zero points.
void add_stored(QuantizedParts& parts, const std::string& name, const Tables& tables) {
  const std::vector<StoredPart> stored = parts.layout->parts(*parts.spec);
  for (std::size_t i = 1; i < stored.size(); ++i) {
    add_made(parts, name + std::string(stored[i].suffix), stored[i].dtype, stored[i].shape,
             i == 1 ? bytes_of(tables.scales) : bytes_of_zero_points(tables, stored[i].dtype));
  }
}

// What is not read is shown with all that it says.
void add_unread(QuantizedParts& parts, const std::string& name, const Tables& tables) {
  const Shape shape{static_cast<std::int64_t>(tables.scales.size())};
  const DType dtype = tables.float_zero_points.empty() ? DType::kI32 : DType::kF32;
  add_made(parts, name + "_scale", DType::kF32, shape, bytes_of(tables.scales));
  add_made(parts, name + "_zero_point", dtype, shape, bytes_of_zero_points(tables, dtype));
}

}  // namespace

QuantizedParts make_quantized_parts(const TensorInfo& codes, const PytorchQuantizer& quantizer,
                                    const std::string& title, const ReadTable& read) {
  const Tables tables = read_tables(quantizer, read);
  check_tables(tables, quantizer, codes.name, title);
  QuantizedParts parts;
  parts.has_rounded_scales = tables.are_rounded;
  const bool has_floats = quantizer.has_float_zero_points();
  const bool is_matrix_by_rows = has_floats && quantizer.shape.size() == 2 && *quantizer.axis == 0;
  const Scheme* integers = has_floats || quantizer.code_bits != 8 ? nullptr : find_byte_scheme(codes.dtype);
  const Scheme* affine = is_matrix_by_rows ? find_affine_scheme(quantizer.code_bits) : nullptr;
  if (integers != nullptr) {
    parts.layout = &kRowsLayout;
    parts.spec = spec_of_integers(*integers, quantizer, tables);
  } else if (affine != nullptr && codes.dtype == DType::kU8 && quantizer.code_bits >= 4) {
    parts.layout = &kTorchRowsLayout;
    parts.spec = spec_of_rows(*affine, quantizer, tables);
  }
  parts.spec ? add_stored(parts, codes.name, tables) : add_unread(parts, codes.name, tables);
  return parts;
}

}  // namespace mnq
