/* What may never change within ABI 1: the numbers, and the place of each function in the table. A failure here is not to be
 * mended here: it breaks programs that are out there. */
#include <stddef.h>
#include <stdio.h>

#include "mono_quant.h"

/* As programs ask that are to be compiled with several versions. */
#if MNQ_ABI_VERSION < 65537 || MNQ_ABI_VERSION != ((MNQ_ABI_VERSION_MAJOR << 16) | MNQ_ABI_VERSION_MINOR)
#error "MNQ_ABI_VERSION is no number of the preprocessor"
#endif

static int failures = 0;

static void expect(long actual, long expected, const char* what) {
  if (actual == expected) return;
  fprintf(stderr, "%s is %ld, but was %ld when ABI 1 was published\n", what, actual, expected);
  ++failures;
}

#define SAME(name, number) expect((long)(name), (number), #name)

static void check_numbers(void) {
  SAME(MNQ_OK, 0);
  SAME(MNQ_E_INVALID_ARG, 1);
  SAME(MNQ_E_CONFIG, 2);
  SAME(MNQ_E_NOT_FOUND, 3);
  SAME(MNQ_E_IO, 4);
  SAME(MNQ_E_FORMAT, 5);
  SAME(MNQ_E_UNSUPPORTED, 6);
  SAME(MNQ_E_SHAPE, 7);
  SAME(MNQ_E_DTYPE, 8);
  SAME(MNQ_E_CALIBRATION, 9);
  SAME(MNQ_E_VALIDATION, 10);
  SAME(MNQ_E_CANCELLED, 11);
  SAME(MNQ_E_BUFFER_TOO_SMALL, 12);
  SAME(MNQ_E_STATE, 13);
  SAME(MNQ_E_OUT_OF_MEMORY, 14);
  SAME(MNQ_E_TORCH, 15);
  SAME(MNQ_E_ABI, 16);
  SAME(MNQ_E_INTERNAL, 99);
  SAME(MNQ_DTYPE_BOOL, 1);
  SAME(MNQ_DTYPE_U8, 2);
  SAME(MNQ_DTYPE_I8, 3);
  SAME(MNQ_DTYPE_U16, 4);
  SAME(MNQ_DTYPE_I16, 5);
  SAME(MNQ_DTYPE_U32, 6);
  SAME(MNQ_DTYPE_I32, 7);
  SAME(MNQ_DTYPE_U64, 8);
  SAME(MNQ_DTYPE_I64, 9);
  SAME(MNQ_DTYPE_F16, 10);
  SAME(MNQ_DTYPE_BF16, 11);
  SAME(MNQ_DTYPE_F32, 12);
  SAME(MNQ_DTYPE_F64, 13);
  SAME(MNQ_DTYPE_C64, 14);
  SAME(MNQ_DTYPE_F8_E4M3, 15);
  SAME(MNQ_DTYPE_F8_E5M2, 16);
  SAME(MNQ_DTYPE_F8_E8M0, 17);
  SAME(MNQ_DTYPE_F6_E2M3, 18);
  SAME(MNQ_DTYPE_F6_E3M2, 19);
  SAME(MNQ_DTYPE_F4, 20);
  SAME(MNQ_DTYPE_F8_E4M3FNUZ, 21);
  SAME(MNQ_DTYPE_F8_E5M2FNUZ, 22);
  SAME(MNQ_LOG_WARNING, 1);
  SAME(MNQ_LOG_INFO, 2);
  SAME(MNQ_VALUE_NONE, 0);
  SAME(MNQ_VALUE_TENSOR, 1);
  SAME(MNQ_VALUE_INT, 2);
  SAME(MNQ_VALUE_FLOAT, 3);
  SAME(MNQ_VALUE_BOOL, 4);
  SAME(MNQ_VALUE_TEXT, 5);
}

/* The table is a size, a version, and one pointer for each line of functions.inc, in its order. */
static void check_table(void) {
  size_t place = offsetof(mnq_api, abi_version);
#define MNQ_FUNCTION(name, version, result, parameters)      \
  expect((long)offsetof(mnq_api, name), (long)place, #name); \
  place += sizeof(void*);
#include "functions.inc"
#undef MNQ_FUNCTION
  expect((long)sizeof(mnq_api), (long)place, "sizeof(mnq_api)");
  expect((long)offsetof(mnq_api, kernel_sqnr), (long)(16 + 88 * sizeof(void*)), "the last function of 1.0");
  expect((long)offsetof(mnq_api, layers_tie), (long)(16 + 108 * sizeof(void*)), "the last function of 1.1");
  expect((long)offsetof(mnq_api, model_from_layers), (long)(16 + 112 * sizeof(void*)), "the first function of 1.2");
}

/* Entries of programs that were compiled with 1.2 have these members at these places. */
static void check_layer_tensor(void) {
  const size_t pointer = sizeof(void*);
  expect((long)offsetof(mnq_layer_tensor, struct_size), 0, "struct_size");
  expect((long)offsetof(mnq_layer_tensor, name), (long)pointer, "name");
  expect((long)offsetof(mnq_layer_tensor, tensor), (long)(2 * pointer), "tensor");
  expect((long)offsetof(mnq_layer_tensor, kind), (long)(3 * pointer), "kind");
  expect((long)offsetof(mnq_layer_tensor, channel_axis), (long)(4 * pointer), "channel_axis");
  expect((long)offsetof(mnq_layer_tensor, tied_to), (long)(4 * pointer + 8), "tied_to");
}

int main(void) {
  check_numbers();
  check_layer_tensor();
  check_table();
  return failures == 0 ? 0 : 1;
}
