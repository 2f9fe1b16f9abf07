// The kernels on the caller's own buffers. Arguments are checked here; the rest is the kernels' own contract.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/shape.h"
#include "base/text/format.h"
#include "guard.h"
#include "kernels/kernel_table.h"
#include "kernels/not_finite.h"
#include "quantize/job_parts.h"
#include "quantize/report.h"
#include "schemes/scheme.h"

using namespace mnq;
using namespace mnq::capi;
using kernels::ErrorSums;
using kernels::kernel_table;

namespace {

constexpr std::size_t kRowsAtOnce = 64;  // whose sums fit on the stack

struct Matrix {
  std::size_t rows;
  std::size_t columns;
  std::size_t group_size;  // >= 1
  std::size_t groups;

  std::size_t elements() const { return rows * columns; }
  std::size_t scales() const { return rows * groups; }
};

std::size_t checked_product(std::size_t a, std::size_t b) {
  std::size_t product = 0;
  if (__builtin_mul_overflow(a, b, &product) || product > PTRDIFF_MAX / sizeof(float)) {
    throw Error(Status::kShape, formatted("{} x {} elements do not fit in memory", a, b), "", "row_count");
  }
  return product;
}

Matrix check_matrix(std::size_t rows, std::size_t columns, std::size_t group_size) {
  checked_product(rows, std::max<std::size_t>(columns, 1));
  const std::size_t size = group_size == 0 ? std::max<std::size_t>(columns, 1) : group_size;
  return {rows, columns, size, ceil_div(columns, size)};
}

[[noreturn]] void fail_not_finite(const char* what, std::size_t row, std::size_t column) {
  throw Error(Status::kValidation, formatted("{}: the value at [{}, {}] is not finite", what, row, column),
              "pass finite values only", what);
}

void require_finite(const char* what, const float* values, std::size_t count, std::size_t row) {
  const auto bad = find_not_finite(values, count);
  if (bad) fail_not_finite(what, row, *bad);
}

kernels::CodeRule rule_for(std::int32_t bits, std::int32_t symmetric) {
  if (bits != 8 && bits != 4) {
    throw Error(Status::kInvalidArg, formatted("{} bits", bits), "pass 8 or 4", "bits");
  }
  if (symmetric != 0 && symmetric != 1) {
    throw Error(Status::kInvalidArg, formatted("symmetric is {}", symmetric), "pass 0 or 1", "symmetric");
  }
  kernels::CodeRule rule = find_scheme_of_bits(bits)->rule;
  rule.symmetric = symmetric == 1;
  return rule;
}

}  // namespace

mnq_status mnq_kernel_ranges(const float* weights, size_t row_count, size_t row_length, float* minimum, float* maximum,
                             mnq_error** error) noexcept {
  return guarded(error, [&] {
    const Matrix matrix = check_matrix(row_count, row_length, 0);
    require_array(weights, matrix.elements(), "weights");
    require_array(minimum, row_count, "minimum");
    require_array(maximum, row_count, "maximum");
    for (std::size_t row = 0; row < row_count; ++row) {
      const float* values = weights + row * row_length;
      const kernels::Range range = kernel_table().range(values, row_length);
      if (range.max_abs_bits >= 0x7f800000) require_finite("weights", values, row_length, row);
      minimum[row] = range.minimum;
      maximum[row] = range.maximum;
    }
  });
}

mnq_status mnq_kernel_quantize(const float* weights, size_t row_count, size_t row_length, int32_t bits,
                               int32_t symmetric, size_t group_size, float* scales, int8_t* zero_points, int8_t* codes,
                               double* out_sqnr_db, mnq_error** error) noexcept {
  return guarded(error, [&] {
    const kernels::CodeRule rule = rule_for(bits, symmetric);
    const Matrix matrix = check_matrix(row_count, row_length, group_size);
    require_array(weights, matrix.elements(), "weights");
    require_array(scales, matrix.scales(), "scales");
    require_array(zero_points, rule.symmetric ? 0 : matrix.scales(), "zero_points");
    require_array(codes, matrix.elements(), "codes");
    std::array<ErrorSums, kRowsAtOnce> sums{};
    Accuracy accuracy;
    for (std::size_t row = 0; row < row_count && row_length != 0; row += kRowsAtOnce) {
      const std::size_t count = std::min(kRowsAtOnce, row_count - row);
      const std::size_t scale = row * matrix.groups, element = row * row_length;
      const std::size_t done =
          kernel_table().quantize_rows(weights + element, count, row_length, matrix.group_size, rule, scales + scale,
                                       rule.symmetric ? nullptr : zero_points + scale, codes + element,
                                       out_sqnr_db == nullptr ? nullptr : sums.data());
      if (done < count) {
        require_finite("weights", weights + (row + done) * row_length, row_length, row + done);
      }
      for (std::size_t i = 0; i < count; ++i) accuracy.add(sums[i]);
    }
    if (rule.symmetric && zero_points != nullptr) std::memset(zero_points, 0, matrix.scales());
    if (out_sqnr_db != nullptr) *out_sqnr_db = accuracy.sqnr_db();
  });
}

mnq_status mnq_kernel_dequantize(const int8_t* codes, size_t row_count, size_t row_length, size_t group_size,
                                 const float* scales, const int8_t* zero_points, float* weights,
                                 mnq_error** error) noexcept {
  return guarded(error, [&] {
    const Matrix matrix = check_matrix(row_count, row_length, group_size);
    require_array(codes, matrix.elements(), "codes");
    require_array(scales, matrix.scales(), "scales");
    require_array(weights, matrix.elements(), "weights");
    if (matrix.elements() == 0) return;
    kernel_table().dequantize_rows(codes, row_count, row_length, matrix.group_size, 0, scales, zero_points, weights);
  });
}

mnq_status mnq_kernel_pack_int4(const int8_t* codes, size_t count, uint8_t* packed, mnq_error** error) noexcept {
  return guarded(error, [&] {
    require_array(codes, count, "codes");
    require_array(packed, count, "packed");
    const int8_t* bad = std::find_if(codes, codes + count, [](int8_t code) { return code < -8 || code > 7; });
    if (bad != codes + count) {
      throw Error(Status::kInvalidArg, formatted("codes: {} at {} does not fit in 4 bits", *bad, bad - codes),
                  "codes are -8 to 7", "codes");
    }
    kernel_table().pack_int4(codes, count, packed);
  });
}

mnq_status mnq_kernel_unpack_int4(const uint8_t* packed, size_t count, int8_t* codes, mnq_error** error) noexcept {
  return guarded(error, [&] {
    require_array(packed, count, "packed");
    require_array(codes, count, "codes");
    kernel_table().unpack_int4(packed, count, codes);
  });
}

mnq_status mnq_kernel_sqnr(const float* reference, const float* other, size_t count, double* out_sqnr_db,
                           mnq_error** error) noexcept {
  return guarded(error, [&] {
    require_array(reference, count, "reference");
    require_array(other, count, "other");
    require(out_sqnr_db, "sqnr_db");
    require_finite("reference", reference, count, 0);
    require_finite("other", other, count, 0);
    Accuracy accuracy;
    accuracy.add(kernel_table().error_sums(reference, other, count));
    *out_sqnr_db = accuracy.sqnr_db();
  });
}
