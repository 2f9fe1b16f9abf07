/* Every function of the header with NULL for each pointer, with values that cannot be, and with indices out of range: the
 * status, the message and what becomes of the outputs. At the end: that no function was forgotten. */
#include <string.h>

#include "check.h"
#include "mono_quant.h"

/* Marks a function as called. */
enum {
#define MNQ_FUNCTION(name, version, result, parameters) FUNCTION_##name,
#include "functions.inc"
#undef MNQ_FUNCTION
  FUNCTION_COUNT
};
static const char* const function_names[] = {
#define MNQ_FUNCTION(name, version, result, parameters) "mnq_" #name,
#include "functions.inc"
#undef MNQ_FUNCTION
};
static int was_called[FUNCTION_COUNT];
#define CALL(name) (was_called[FUNCTION_##name] = 1, mnq_##name)

static mnq_error* error = NULL;

static void check_refusal(mnq_status status, mnq_status wanted, int line) {
  if (status != wanted || mnq_error_code(error) != wanted || mnq_error_message(error)[0] == '\0') {
    fprintf(stderr, "%s:%d: %s instead of %s: %s\n", __FILE__, line, mnq_status_name(status), mnq_status_name(wanted),
            mnq_error_message(error));
    ++failure_count;
  }
  mnq_error_free(error);
  error = NULL;
}

/* Calls with and without an error object. */
#define REFUSED(wanted, name, ...)                                    \
  do {                                                                \
    check_refusal(CALL(name)(__VA_ARGS__, &error), wanted, __LINE__); \
    CHECK(mnq_##name(__VA_ARGS__, NULL) == (wanted));                 \
  } while (0)

#define ACCEPTED(name, ...)                           \
  do {                                                \
    CHECK(CALL(name)(__VA_ARGS__, &error) == MNQ_OK); \
    CHECK(error == NULL);                             \
  } while (0)

/* As REFUSED, for a call with &out: whatever out was, it is NULL after it. */
static char poison;
#define REFUSED_OUT(wanted, out, name, ...) \
  do {                                      \
    (out) = (void*)&poison;                 \
    REFUSED(wanted, name, __VA_ARGS__);     \
    CHECK((out) == NULL);                   \
  } while (0)

static void test_library(void) {
  mnq_buffer* info = NULL;
  CHECK(CALL(abi_version)() == MNQ_ABI_VERSION);
  CHECK(strlen(CALL(version)()) >= strlen("1.0.0"));
  REFUSED(MNQ_E_INVALID_ARG, build_info, NULL);
  ACCEPTED(build_info, &info);
  CALL(buffer_free)(info);
  REFUSED(MNQ_E_INVALID_ARG, list_capabilities, NULL);
  ACCEPTED(list_capabilities, &info);
  mnq_buffer_free(info);
  CHECK(strcmp(CALL(status_name)(MNQ_E_SHAPE), "SHAPE") == 0);
  CHECK(strcmp(CALL(status_name)(-1), "UNKNOWN") == 0);
  CHECK(strcmp(CALL(status_name)(17), "UNKNOWN") == 0);
  CHECK(strcmp(CALL(dtype_name)(MNQ_DTYPE_BF16), "BF16") == 0);
  CHECK(strcmp(CALL(dtype_name)(0), "UNKNOWN") == 0);
  CHECK(strcmp(CALL(dtype_name)(INT32_MIN), "UNKNOWN") == 0);
  ACCEPTED(set_log_callback, NULL, NULL);
  REFUSED(MNQ_E_INVALID_ARG, set_threads, UINT32_MAX);
  ACCEPTED(set_threads, 0);
  CHECK(CALL(threads)() >= 1);
  CHECK(CALL(get_api)(0) == NULL);
  CHECK(CALL(get_api)(UINT32_MAX) == NULL);
}

static void test_errors_and_buffers(void) {
  CHECK(CALL(error_code)(NULL) == MNQ_OK);
  CHECK(strcmp(CALL(error_message)(NULL), "") == 0);
  CHECK(strcmp(CALL(error_suggestion)(NULL), "") == 0);
  CHECK(strcmp(CALL(error_subject)(NULL), "") == 0);
  CALL(error_free)(NULL);
  CHECK(CALL(buffer_data)(NULL) == NULL);
  CHECK(CALL(buffer_size)(NULL) == 0);
  CALL(buffer_free)(NULL);
}

static void test_config(mnq_config* config) {
  mnq_config* out = NULL;
  mnq_buffer* buffer = NULL;
  REFUSED(MNQ_E_INVALID_ARG, config_create, "{}", NULL);
  REFUSED_OUT(MNQ_E_CONFIG, out, config_create, "", &out);
  REFUSED_OUT(MNQ_E_CONFIG, out, config_create, "[]", &out);
  REFUSED_OUT(MNQ_E_CONFIG, out, config_create, "{\"bitz\": 8}", &out);
  REFUSED_OUT(MNQ_E_CONFIG, out, config_create, "{\"bits\": 9}", &out);
  REFUSED(MNQ_E_INVALID_ARG, config_set, NULL, "bits", "8");
  REFUSED(MNQ_E_INVALID_ARG, config_set, config, NULL, "8");
  REFUSED(MNQ_E_INVALID_ARG, config_set, config, "bits", NULL);
  REFUSED(MNQ_E_CONFIG, config_set, config, "", "8");
  REFUSED(MNQ_E_CONFIG, config_set, config, "bits", "9");
  REFUSED(MNQ_E_INVALID_ARG, config_set_for_layers, NULL, "*", "bits", "8");
  REFUSED(MNQ_E_INVALID_ARG, config_set_for_layers, config, NULL, "bits", "8");
  REFUSED(MNQ_E_INVALID_ARG, config_set_for_layers, config, "*", NULL, "8");
  REFUSED(MNQ_E_INVALID_ARG, config_set_for_layers, config, "*", "bits", NULL);
  REFUSED(MNQ_E_CONFIG, config_set_for_layers, config, "*", "threads", "2");
  REFUSED(MNQ_E_INVALID_ARG, config_list_keys, NULL);
  ACCEPTED(config_list_keys, &buffer);
  mnq_buffer_free(buffer);
  REFUSED(MNQ_E_INVALID_ARG, config_to_json, config, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, buffer, config_to_json, NULL, &buffer);
  REFUSED(MNQ_E_INVALID_ARG, config_validate, NULL);
  CALL(config_free)(NULL);
}

static void test_resolve(const mnq_config* config, const mnq_run* run) {
  mnq_buffer* buffer = NULL;
  const char* source = "untouched";
  REFUSED_OUT(MNQ_E_INVALID_ARG, buffer, config_resolve, config, run, NULL, NULL, &buffer, &source);
  REFUSED(MNQ_E_INVALID_ARG, config_resolve, config, run, NULL, "bits", NULL, &source);
  REFUSED_OUT(MNQ_E_CONFIG, buffer, config_resolve, config, run, NULL, "bitz", &buffer, &source);
  CHECK(strcmp(source, "untouched") == 0);
  ACCEPTED(config_resolve, config, NULL, NULL, "bits", &buffer, NULL);
  mnq_buffer_free(buffer);
}

static void test_run(mnq_run* run) {
  REFUSED(MNQ_E_INVALID_ARG, run_create, NULL);
  REFUSED(MNQ_E_INVALID_ARG, run_set, NULL, "bits", "8");
  REFUSED(MNQ_E_INVALID_ARG, run_set, run, NULL, "8");
  REFUSED(MNQ_E_INVALID_ARG, run_set, run, "bits", NULL);
  REFUSED(MNQ_E_CONFIG, run_set, run, "threads", "-1");
  REFUSED(MNQ_E_INVALID_ARG, run_set_for_layers, NULL, "*", "bits", "8");
  REFUSED(MNQ_E_INVALID_ARG, run_set_for_layers, run, NULL, "bits", "8");
  REFUSED(MNQ_E_INVALID_ARG, run_set_for_layers, run, "*", NULL, "8");
  REFUSED(MNQ_E_INVALID_ARG, run_set_for_layers, run, "*", "bits", NULL);
  REFUSED(MNQ_E_INVALID_ARG, run_set_progress, NULL, NULL, NULL);
  ACCEPTED(run_set_progress, run, NULL, NULL);
  CALL(run_cancel)(NULL);
  CHECK(CALL(run_is_cancelled)(NULL) == 0);
  CHECK(CALL(run_is_cancelled)(run) == 0);
  REFUSED(MNQ_E_INVALID_ARG, run_set_observer, NULL, NULL, NULL);
  ACCEPTED(run_set_observer, run, NULL, NULL);
  REFUSED(MNQ_E_INVALID_ARG, run_set_log_callback, NULL, NULL, NULL);
  ACCEPTED(run_set_log_callback, run, NULL, NULL);
  CALL(run_reset)(NULL);
  CALL(run_reset)(run);
  CALL(run_free)(NULL);
}

static void test_tensor_create(void) {
  const float data[4] = {0, 0, 0, 0};
  const int64_t shape[2] = {2, 2}, negative[2] = {2, -2}, huge[2] = {INT64_MAX, INT64_MAX}, empty[1] = {0};
  const mnq_dtype f32 = MNQ_DTYPE_F32;
  mnq_tensor* out = NULL;
  REFUSED(MNQ_E_INVALID_ARG, tensor_create, f32, shape, 2, data, 16, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, tensor_create, f32, NULL, 2, data, 16, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, tensor_create, f32, shape, 2, NULL, 16, &out);
  REFUSED_OUT(MNQ_E_DTYPE, out, tensor_create, 0, shape, 2, data, 16, &out);
  REFUSED_OUT(MNQ_E_DTYPE, out, tensor_create, 23, shape, 2, data, 16, &out);
  REFUSED_OUT(MNQ_E_DTYPE, out, tensor_create, -1, shape, 2, data, 16, &out);
  REFUSED_OUT(MNQ_E_SHAPE, out, tensor_create, f32, shape, 2, data, 15, &out);
  REFUSED_OUT(MNQ_E_SHAPE, out, tensor_create, f32, negative, 2, data, 16, &out);
  REFUSED_OUT(MNQ_E_SHAPE, out, tensor_create, f32, huge, 2, data, 16, &out);
  ACCEPTED(tensor_create, f32, empty, 1, NULL, 0, &out);
  mnq_tensor_free(out);
  ACCEPTED(tensor_create, f32, NULL, 0, data, 4, &out);
  mnq_tensor_free(out);
}

static void count_release(void* user) { ++*(int*)user; }

static void test_tensor_wrap(void) {
  const float data[4] = {0, 0, 0, 0};
  const int64_t shape[2] = {2, 2};
  const mnq_dtype f32 = MNQ_DTYPE_F32;
  int count = 0;
  mnq_tensor* out = NULL;
  REFUSED(MNQ_E_INVALID_ARG, tensor_wrap, f32, shape, 2, data, 16, count_release, &count, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, tensor_wrap, f32, NULL, 2, data, 16, count_release, &count, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, tensor_wrap, f32, shape, 2, NULL, 16, count_release, &count, &out);
  REFUSED_OUT(MNQ_E_DTYPE, out, tensor_wrap, 99, shape, 2, data, 16, count_release, &count, &out);
  REFUSED_OUT(MNQ_E_SHAPE, out, tensor_wrap, f32, shape, 2, data, 17, count_release, &count, &out);
  CHECK(count == 0);
  ACCEPTED(tensor_wrap, f32, shape, 2, data, 16, NULL, NULL, &out);
  mnq_tensor_free(out);
}

static void test_tensors(const mnq_tensor* tensor) {
  mnq_tensor* out = NULL;
  struct DLManagedTensorVersioned* managed = NULL;
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, tensor_from_dlpack, NULL, &out);
  REFUSED(MNQ_E_INVALID_ARG, tensor_from_dlpack, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, managed, tensor_to_dlpack, NULL, &managed);
  REFUSED(MNQ_E_INVALID_ARG, tensor_to_dlpack, tensor, NULL);
  CHECK(CALL(tensor_dtype)(NULL) == 0);
  CHECK(CALL(tensor_rank)(NULL) == 0);
  CHECK(CALL(tensor_shape)(NULL) == NULL);
  CHECK(CALL(tensor_data)(NULL) == NULL);
  CHECK(CALL(tensor_size_bytes)(NULL) == 0);
  CALL(tensor_free)(NULL);
}

static void test_opening(void) {
  const char* format = "untouched";
  mnq_model* out = NULL;
  REFUSED(MNQ_E_INVALID_ARG, detect_format, NULL, &format);
  REFUSED(MNQ_E_INVALID_ARG, detect_format, "no such file", NULL);
  REFUSED(MNQ_E_NOT_FOUND, detect_format, "no such file", &format);
  CHECK(strcmp(format, "untouched") == 0);
  REFUSED(MNQ_E_INVALID_ARG, model_open, "no such file", NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_open, NULL, &out);
  REFUSED_OUT(MNQ_E_NOT_FOUND, out, model_open, "", &out);
  REFUSED_OUT(MNQ_E_UNSUPPORTED, out, model_open, "/", &out);
  REFUSED(MNQ_E_INVALID_ARG, model_open_with, "no such file", NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_open_with, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_NOT_FOUND, out, model_open_with, "no such file", NULL, &out);
  REFUSED(MNQ_E_INVALID_ARG, model_open_memory, "12345678{}", 10, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_open_memory, NULL, 10, &out);
  REFUSED_OUT(MNQ_E_FORMAT, out, model_open_memory, "", 0, &out);
  REFUSED_OUT(MNQ_E_FORMAT, out, model_open_memory, "12345678{}", 10, &out);
}

static void test_from_tensors(const mnq_tensor* tensor) {
  const char* const names[2] = {"a", NULL};
  const char* const two_names[2] = {"a", "b"};
  const mnq_tensor* tensors[2] = {NULL, NULL};
  mnq_model* out = NULL;
  tensors[0] = tensor;
  REFUSED(MNQ_E_INVALID_ARG, model_from_tensors, names, tensors, 1, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_tensors, NULL, tensors, 1, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_tensors, names, NULL, 1, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_tensors, names, tensors, 2, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_tensors, two_names, tensors, 2, &out);
  ACCEPTED(model_from_tensors, NULL, NULL, 0, &out);
  mnq_model_free(out);
}

static void test_from_layers(const mnq_tensor* tensor) {
  mnq_layer_tensor entries[2] = {MNQ_LAYER_TENSOR_INIT, MNQ_LAYER_TENSOR_INIT};
  mnq_model* out = NULL;
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, entries, 1, &out); /* no name */
  entries[0].name = "a";
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, entries, 1, &out); /* no tensor */
  entries[0].tensor = tensor;
  REFUSED(MNQ_E_INVALID_ARG, model_from_layers, entries, 1, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, NULL, 1, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, entries, 2, &out);
  entries[1] = entries[0];
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, entries, 2, &out); /* the same name */
  entries[1].struct_size = 0;
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, entries, 2, &out);
  entries[0].struct_size = 0;
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, entries, 1, &out);
  entries[0].struct_size = sizeof *entries - 8;
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_from_layers, entries, 1, &out);
  ACCEPTED(model_from_layers, NULL, 0, &out);
  mnq_model_free(out);
}

static void test_models(const mnq_model* model, mnq_run* run) {
  mnq_model* out = NULL;
  mnq_buffer* buffer = NULL;
  mnq_tensor* tensor = NULL;
  REFUSED(MNQ_E_INVALID_ARG, model_clone, model, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_clone, NULL, &out);
  REFUSED(MNQ_E_INVALID_ARG, model_save, NULL, "out.safetensors", run);
  REFUSED(MNQ_E_INVALID_ARG, model_save, model, NULL, run);
  REFUSED(MNQ_E_INVALID_ARG, model_save_memory, model, run, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, buffer, model_save_memory, NULL, run, &buffer);
  CHECK(CALL(model_tensor_count)(NULL) == 0);
  CHECK(CALL(model_tensor_name)(NULL, 0) == NULL);
  CHECK(CALL(model_tensor_name)(model, 1) == NULL);
  CHECK(CALL(model_tensor_name)(model, SIZE_MAX) == NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, tensor, model_get_tensor, NULL, "fc.weight", &tensor);
  REFUSED_OUT(MNQ_E_INVALID_ARG, tensor, model_get_tensor, model, NULL, &tensor);
  REFUSED(MNQ_E_INVALID_ARG, model_get_tensor, model, "fc.weight", NULL);
  REFUSED_OUT(MNQ_E_NOT_FOUND, tensor, model_get_tensor, model, "", &tensor);
  REFUSED(MNQ_E_INVALID_ARG, model_describe, model, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, buffer, model_describe, NULL, &buffer);
  CALL(model_free)(NULL);
}

static void check_no_layer(const mnq_layers* layers, size_t index) {
  CHECK(CALL(layers_name)(layers, index) == NULL);
  CHECK(CALL(layers_tensor)(layers, index) == NULL);
  CHECK(CALL(layers_kind)(layers, index) == NULL);
  CHECK(CALL(layers_action)(layers, index) == NULL);
  CHECK(CALL(layers_scheme)(layers, index) == NULL);
  CHECK(CALL(layers_reason)(layers, index) == NULL);
  CHECK(CALL(layers_rank)(layers, index) == 0);
  CHECK(CALL(layers_shape)(layers, index) == NULL);
  CHECK(CALL(layers_dtype)(layers, index) == 0);
  CHECK(CALL(layers_tie_count)(layers, index) == 0);
  CHECK(CALL(layers_tie)(layers, index, 0) == NULL);
}

static void test_layers(const mnq_model* model) {
  mnq_layers* layers = NULL;
  REFUSED_OUT(MNQ_E_INVALID_ARG, layers, model_list_layers, NULL, NULL, NULL, &layers);
  REFUSED(MNQ_E_INVALID_ARG, model_list_layers, model, NULL, NULL, NULL);
  ACCEPTED(model_list_layers, model, NULL, NULL, &layers);
  CHECK(CALL(layers_count)(layers) == 1);
  CHECK(CALL(layers_count)(NULL) == 0);
  check_no_layer(layers, 1);
  check_no_layer(layers, SIZE_MAX);
  check_no_layer(NULL, 0);
  CALL(layers_free)(layers);
  CALL(layers_free)(NULL);
}

static void check_no_value(const mnq_values* values, size_t index) {
  CHECK(CALL(values_name)(values, index) == NULL);
  CHECK(CALL(values_kind)(values, index) == MNQ_VALUE_NONE);
  CHECK(CALL(values_get_text)(values, index) == NULL);
}

static void test_values(const mnq_tensor* tensor) {
  mnq_values* values = NULL;
  mnq_tensor* out = NULL;
  int64_t integer = 7;
  double number = 7;
  REFUSED(MNQ_E_INVALID_ARG, values_create, NULL);
  ACCEPTED(values_create, &values);
  REFUSED(MNQ_E_INVALID_ARG, values_add_tensor, NULL, "x", tensor);
  REFUSED(MNQ_E_INVALID_ARG, values_add_tensor, values, "x", NULL);
  REFUSED(MNQ_E_INVALID_ARG, values_add_tensor, values, "\xff", tensor);
  REFUSED(MNQ_E_INVALID_ARG, values_add_int, NULL, "x", 1);
  REFUSED(MNQ_E_INVALID_ARG, values_add_float, NULL, "x", 1);
  REFUSED(MNQ_E_INVALID_ARG, values_add_bool, NULL, "x", 1);
  REFUSED(MNQ_E_INVALID_ARG, values_add_text, NULL, "x", "text");
  REFUSED(MNQ_E_INVALID_ARG, values_add_text, values, "x", NULL);
  REFUSED(MNQ_E_INVALID_ARG, values_add_none, NULL, "x");
  CHECK(CALL(values_count)(NULL) == 0);
  CHECK(CALL(values_count)(values) == 0);
  ACCEPTED(values_add_text, values, NULL, "text");
  check_no_value(values, 1);
  check_no_value(values, SIZE_MAX);
  check_no_value(NULL, 0);
  REFUSED_OUT(MNQ_E_NOT_FOUND, out, values_get_tensor, values, 1, &out);
  REFUSED_OUT(MNQ_E_DTYPE, out, values_get_tensor, values, 0, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, values_get_tensor, NULL, 0, &out);
  REFUSED(MNQ_E_INVALID_ARG, values_get_tensor, values, 0, NULL);
  REFUSED(MNQ_E_DTYPE, values_get_int, values, 0, &integer);
  REFUSED(MNQ_E_INVALID_ARG, values_get_int, values, 0, NULL);
  REFUSED(MNQ_E_NOT_FOUND, values_get_float, values, SIZE_MAX, &number);
  REFUSED(MNQ_E_INVALID_ARG, values_get_float, values, 0, NULL);
  CHECK(integer == 7 && number == 7);
  CALL(values_free)(values);
  CALL(values_free)(NULL);
}

static void test_modules(const mnq_model* model, mnq_run* run) {
  mnq_values* out = NULL;
  mnq_report* report = NULL;
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_forward, NULL, NULL, NULL, run, &out);
  REFUSED_OUT(MNQ_E_UNSUPPORTED, out, model_forward, model, NULL, NULL, NULL, &out); /* tensors, no code */
  REFUSED(MNQ_E_INVALID_ARG, model_forward, model, NULL, NULL, run, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, model_validate, NULL, model, NULL, run, &report);
  REFUSED(MNQ_E_INVALID_ARG, model_validate, model, NULL, NULL, run, NULL);
}

static void test_quantize(const mnq_model* model, const mnq_config* config, mnq_run* run) {
  mnq_model* out = (void*)&poison;
  mnq_report* report = NULL;
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, quantize, NULL, config, run, &out, &report);
  CHECK(out == NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, quantize, model, config, run, NULL, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, quantize_file, NULL, "out.safetensors", config, run, &report);
  REFUSED_OUT(MNQ_E_NOT_FOUND, report, quantize_file, "no such file", "out.safetensors", config, run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, quantize_to_file, NULL, "out.safetensors", config, run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, quantize_to_file, model, NULL, config, run, &report);
  REFUSED_OUT(MNQ_E_IO, report, quantize_to_file, model, "no/such/folder.safetensors", config, run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, plan, NULL, config, run, &report);
  REFUSED(MNQ_E_INVALID_ARG, plan, model, config, run, NULL);
}

static void test_other_jobs(const mnq_model* model, mnq_run* run) {
  mnq_model* out = (void*)&poison;
  mnq_report* report = NULL;
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, dequantize, NULL, run, &out, &report);
  CHECK(out == NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, dequantize, model, run, NULL, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, dequantize_file, NULL, "out.safetensors", run, &report);
  REFUSED_OUT(MNQ_E_NOT_FOUND, report, dequantize_file, "no such file", "out.safetensors", run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, convert_file, NULL, "out.safetensors", run, &report);
  REFUSED_OUT(MNQ_E_NOT_FOUND, report, convert_file, "no such file", "out.safetensors", run, &report);
  REFUSED(MNQ_E_INVALID_ARG, merge_folder, NULL, run);
  REFUSED(MNQ_E_NOT_FOUND, merge_folder, "no such folder", run);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, compare, NULL, model, run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, compare, model, NULL, run, &report);
  REFUSED(MNQ_E_INVALID_ARG, compare, model, model, run, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, compare_file, NULL, "b", run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, compare_file, "a", NULL, run, &report);
  REFUSED_OUT(MNQ_E_NOT_FOUND, report, compare_file, "no such file", "b", run, &report);
  REFUSED(MNQ_E_INVALID_ARG, compare_file, "a", "b", run, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, validate_file, NULL, NULL, run, &report);
  REFUSED_OUT(MNQ_E_NOT_FOUND, report, validate_file, "no such file", NULL, run, &report);
  REFUSED(MNQ_E_INVALID_ARG, validate_file, "no such file", NULL, run, NULL);
}

static int32_t fail_to_read(void* user, uint64_t offset, void* into, size_t size) {
  (void)user, (void)offset, (void)into, (void)size;
  return 7;
}
static int32_t fail_to_write(void* user, uint64_t offset, const void* data, size_t size) {
  (void)user, (void)offset, (void)data, (void)size;
  return 7;
}

static void test_readers(const mnq_run* run) {
  mnq_reader* reader = NULL;
  mnq_model* model = NULL;
  REFUSED(MNQ_E_INVALID_ARG, reader_create, 8, fail_to_read, NULL, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, reader, reader_create, 8, NULL, NULL, NULL, &reader);
  ACCEPTED(reader_create, 8, fail_to_read, NULL, NULL, &reader);
  REFUSED_OUT(MNQ_E_INVALID_ARG, model, model_open_reader, NULL, run, &model);
  REFUSED(MNQ_E_INVALID_ARG, model_open_reader, reader, run, NULL);
  REFUSED_OUT(MNQ_E_IO, model, model_open_reader, reader, NULL, &model);
  CALL(reader_free)(reader);
  CALL(reader_free)(NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, model, model_wrap_memory, NULL, 8, NULL, NULL, run, &model);
  REFUSED_OUT(MNQ_E_FORMAT, model, model_wrap_memory, "nothing", 7, NULL, NULL, NULL, &model);
  REFUSED(MNQ_E_INVALID_ARG, model_wrap_memory, "nothing", 7, NULL, NULL, NULL, NULL);
}

static void test_writers(const mnq_model* model, mnq_run* run) {
  mnq_writer* writer = NULL;
  mnq_report* report = NULL;
  REFUSED(MNQ_E_INVALID_ARG, writer_create, fail_to_write, NULL, NULL, NULL, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, writer, writer_create, NULL, NULL, NULL, NULL, NULL, &writer);
  ACCEPTED(writer_create, fail_to_write, NULL, NULL, NULL, NULL, &writer);
  REFUSED(MNQ_E_INVALID_ARG, model_save_to_writer, NULL, writer, run);
  REFUSED(MNQ_E_INVALID_ARG, model_save_to_writer, model, NULL, run);
  REFUSED(MNQ_E_IO, model_save_to_writer, model, writer, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, quantize_to_writer, NULL, writer, NULL, run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, quantize_to_writer, model, NULL, NULL, run, &report);
  REFUSED(MNQ_E_IO, quantize_to_writer, model, writer, NULL, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, dequantize_to_writer, NULL, writer, run, &report);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, dequantize_to_writer, model, NULL, run, &report);
  REFUSED(MNQ_E_IO, dequantize_to_writer, model, writer, NULL, NULL);
  CALL(writer_free)(writer);
  CALL(writer_free)(NULL);
}

static void test_one_tensor(const mnq_tensor* tensor, const mnq_model* model, mnq_run* run) {
  mnq_values* parts = NULL;
  mnq_tensor* out = NULL;
  mnq_report* report = NULL;
  REFUSED_OUT(MNQ_E_INVALID_ARG, parts, tensor_quantize, NULL, NULL, NULL, NULL, run, &parts, NULL);
  REFUSED(MNQ_E_INVALID_ARG, tensor_quantize, tensor, NULL, NULL, NULL, run, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, parts, tensor_quantize, tensor, NULL, "no such kind", NULL, run, &parts, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, report, tensor_quantize, NULL, NULL, NULL, NULL, run, &parts, &report);
  ACCEPTED(tensor_quantize, tensor, NULL, NULL, NULL, NULL, &parts, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, tensor_dequantize, NULL, run, &out);
  REFUSED(MNQ_E_INVALID_ARG, tensor_dequantize, parts, run, NULL);
  ACCEPTED(tensor_dequantize, parts, NULL, &out);
  mnq_tensor_free(out);
  mnq_values_free(parts);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_get_float, NULL, "fc.weight", run, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, model_get_float, model, NULL, run, &out);
  REFUSED_OUT(MNQ_E_NOT_FOUND, out, model_get_float, model, "no such", run, &out);
  REFUSED(MNQ_E_INVALID_ARG, model_get_float, model, "fc.weight", run, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, tensor_from_dlpack_unversioned, NULL, &out);
}

static void test_report_numbers(const mnq_report* report) {
  double value = 123;
  REFUSED(MNQ_E_INVALID_ARG, report_number, NULL, "bytes_before", &value);
  REFUSED(MNQ_E_INVALID_ARG, report_number, report, NULL, &value);
  REFUSED(MNQ_E_INVALID_ARG, report_number, report, "bytes_before", NULL);
  REFUSED(MNQ_E_NOT_FOUND, report_number, report, "", &value);
  REFUSED(MNQ_E_NOT_FOUND, report_number, report, "sqnr_db", &value); /* nothing was read */
  REFUSED(MNQ_E_INVALID_ARG, report_layer_number, NULL, 0, "bits", &value);
  REFUSED(MNQ_E_INVALID_ARG, report_layer_number, report, 1, "bits", &value);
  REFUSED(MNQ_E_INVALID_ARG, report_layer_number, report, 0, NULL, &value);
  REFUSED(MNQ_E_INVALID_ARG, report_layer_number, report, 0, "bits", NULL);
  REFUSED(MNQ_E_NOT_FOUND, report_layer_number, report, 0, "name", &value); /* a text */
  CHECK(value == 123);
}

static void test_report(const mnq_model* model) {
  mnq_report* report = NULL;
  ACCEPTED(plan, model, NULL, NULL, &report);
  test_report_numbers(report);
  CHECK(strcmp(CALL(report_json)(NULL), "") == 0);
  CHECK(CALL(report_layer_count)(NULL) == 0);
  CHECK(CALL(report_layer_text)(NULL, 0, "name") == NULL);
  CHECK(CALL(report_layer_text)(report, 1, "name") == NULL);
  CHECK(CALL(report_layer_text)(report, 0, NULL) == NULL);
  CHECK(CALL(report_layer_text)(report, 0, "no such text") == NULL);
  CHECK(CALL(report_layer_text)(report, 0, "bits") == NULL); /* a number */
  CHECK(CALL(report_warning_count)(NULL) == 0);
  CHECK(CALL(report_warning)(NULL, 0) == NULL);
  CHECK(CALL(report_warning)(report, SIZE_MAX) == NULL);
  CHECK(CALL(report_problem_count)(NULL) == 0);
  CHECK(CALL(report_problem)(NULL, 0) == NULL);
  CHECK(CALL(report_problem)(report, 0) == NULL);
  CALL(report_free)(report);
  CALL(report_free)(NULL);
}

static void test_quantize_kernels(void) {
  const float weights[2] = {1, -2};
  const size_t many = SIZE_MAX / 2;
  float out[2] = {0, 0}, scale = 0;
  int8_t codes[2] = {0, 0}, zero_point = 0;
  REFUSED(MNQ_E_INVALID_ARG, kernel_ranges, NULL, 1, 2, out, out);
  REFUSED(MNQ_E_INVALID_ARG, kernel_ranges, weights, 1, 2, NULL, out);
  REFUSED(MNQ_E_INVALID_ARG, kernel_ranges, weights, 1, 2, out, NULL);
  REFUSED(MNQ_E_SHAPE, kernel_ranges, weights, many, 4, out, out);
  REFUSED(MNQ_E_INVALID_ARG, kernel_quantize, NULL, 1, 2, 8, 1, 0, &scale, NULL, codes, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_quantize, weights, 1, 2, 8, 1, 0, NULL, NULL, codes, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_quantize, weights, 1, 2, 8, 0, 0, &scale, NULL, codes, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_quantize, weights, 1, 2, 8, 1, 0, &scale, NULL, NULL, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_quantize, weights, 1, 2, 5, 1, 0, &scale, NULL, codes, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_quantize, weights, 1, 2, 8, 2, 0, &scale, NULL, codes, NULL);
  REFUSED(MNQ_E_SHAPE, kernel_quantize, weights, many, 4, 8, 1, 0, &scale, NULL, codes, NULL);
  ACCEPTED(kernel_quantize, weights, 1, 2, 8, 1, SIZE_MAX, &scale, NULL, codes, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_dequantize, NULL, 1, 2, 0, &scale, &zero_point, out);
  REFUSED(MNQ_E_INVALID_ARG, kernel_dequantize, codes, 1, 2, 0, NULL, &zero_point, out);
  REFUSED(MNQ_E_INVALID_ARG, kernel_dequantize, codes, 1, 2, 0, &scale, &zero_point, NULL);
  REFUSED(MNQ_E_SHAPE, kernel_dequantize, codes, many, 4, 0, &scale, &zero_point, out);
}

static void test_other_kernels(void) {
  const float weights[2] = {1, -2};
  int8_t codes[2] = {0, 8};
  uint8_t packed[1] = {0};
  double sqnr_db = 0;
  REFUSED(MNQ_E_INVALID_ARG, kernel_pack_int4, NULL, 2, packed);
  REFUSED(MNQ_E_INVALID_ARG, kernel_pack_int4, codes, 1, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_pack_int4, codes, 2, packed); /* 8 is too large */
  ACCEPTED(kernel_pack_int4, NULL, 0, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_unpack_int4, NULL, 2, codes);
  REFUSED(MNQ_E_INVALID_ARG, kernel_unpack_int4, packed, 2, NULL);
  ACCEPTED(kernel_unpack_int4, NULL, 0, NULL);
  REFUSED(MNQ_E_INVALID_ARG, kernel_sqnr, NULL, weights, 2, &sqnr_db);
  REFUSED(MNQ_E_INVALID_ARG, kernel_sqnr, weights, NULL, 2, &sqnr_db);
  REFUSED(MNQ_E_INVALID_ARG, kernel_sqnr, weights, weights, 2, NULL);
}

static void test_making_linears(const mnq_model* model, const mnq_tensor* tensor) {
  const int8_t codes[4] = {1, 2, 3, 8};
  const float scales[2] = {1, 2};
  mnq_linear* out = NULL;
  REFUSED(MNQ_E_INVALID_ARG, linear_create, model, "fc", NULL, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, linear_create, NULL, "fc", NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, linear_create, model, NULL, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_NOT_FOUND, out, linear_create, model, "", NULL, NULL, &out);
  REFUSED(MNQ_E_INVALID_ARG, linear_from_floats, tensor, NULL, NULL, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, linear_from_floats, NULL, NULL, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_SHAPE, out, linear_from_floats, tensor, tensor, NULL, NULL, &out);
  REFUSED(MNQ_E_INVALID_ARG, linear_from_codes, codes, 2, 2, 8, 0, scales, NULL, NULL, NULL, NULL, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, linear_from_codes, NULL, 2, 2, 8, 0, scales, NULL, NULL, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, linear_from_codes, codes, 2, 2, 8, 0, NULL, NULL, NULL, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, linear_from_codes, codes, 2, 2, 5, 0, scales, NULL, NULL, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_INVALID_ARG, out, linear_from_codes, codes, 2, 2, 4, 0, scales, NULL, NULL, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_UNSUPPORTED, out, linear_from_codes, codes, 1, 4, 8, 3, scales, NULL, NULL, NULL, NULL, &out);
  REFUSED_OUT(MNQ_E_SHAPE, out, linear_from_codes, codes, SIZE_MAX, SIZE_MAX, 8, 0, scales, NULL, NULL, NULL, NULL,
              &out);
  ACCEPTED(linear_from_codes, NULL, 0, 0, 8, 0, NULL, NULL, NULL, NULL, NULL, &out);
  CALL(linear_free)(out);
  CALL(linear_free)(NULL);
}

static void test_running_linears(const mnq_tensor* tensor) {
  const float rows[4] = {1, 2, 3, 4};
  const mnq_dtype f32 = MNQ_DTYPE_F32;
  float out[4] = {0, 0, 0, 0};
  char scratch[1];
  size_t size = 7;
  mnq_linear* linear = NULL;
  mnq_tensor* made = NULL;
  mnq_buffer* buffer = NULL;
  ACCEPTED(linear_from_floats, tensor, NULL, NULL, NULL, &linear);
  REFUSED(MNQ_E_INVALID_ARG, linear_scratch_size, NULL, 2, &size);
  REFUSED(MNQ_E_INVALID_ARG, linear_scratch_size, linear, 2, NULL);
  REFUSED(MNQ_E_SHAPE, linear_scratch_size, linear, SIZE_MAX, &size);
  CHECK(size == 7);
  REFUSED(MNQ_E_INVALID_ARG, linear_run, NULL, rows, 2, f32, out, f32, NULL, 0);
  REFUSED(MNQ_E_INVALID_ARG, linear_run, linear, NULL, 2, f32, out, f32, NULL, 0);
  REFUSED(MNQ_E_INVALID_ARG, linear_run, linear, rows, 2, f32, NULL, f32, NULL, 0);
  REFUSED(MNQ_E_DTYPE, linear_run, linear, rows, 2, 0, out, f32, NULL, 0);
  REFUSED(MNQ_E_DTYPE, linear_run, linear, rows, 2, f32, out, MNQ_DTYPE_I8, NULL, 0);
  REFUSED(MNQ_E_BUFFER_TOO_SMALL, linear_run, linear, rows, 2, f32, out, f32, scratch, sizeof scratch);
  ACCEPTED(linear_run, linear, NULL, 0, f32, NULL, f32, NULL, 0);
  REFUSED(MNQ_E_INVALID_ARG, linear_run_tensor, linear, tensor, f32, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, made, linear_run_tensor, NULL, tensor, f32, &made);
  REFUSED_OUT(MNQ_E_INVALID_ARG, made, linear_run_tensor, linear, NULL, f32, &made);
  REFUSED_OUT(MNQ_E_DTYPE, made, linear_run_tensor, linear, tensor, -1, &made);
  REFUSED(MNQ_E_INVALID_ARG, linear_describe, linear, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, buffer, linear_describe, NULL, &buffer);
  mnq_linear_free(linear);
}

static void test_embeddings(const mnq_model* model, const mnq_tensor* tensor) {
  const int64_t indices[2] = {0, 2};
  const mnq_dtype f32 = MNQ_DTYPE_F32;
  float out[4] = {0, 0, 0, 0};
  mnq_embedding* embedding = NULL;
  mnq_tensor* made = NULL;
  mnq_buffer* buffer = NULL;
  REFUSED(MNQ_E_INVALID_ARG, embedding_create, model, "fc", NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, embedding, embedding_create, NULL, "fc", &embedding);
  REFUSED_OUT(MNQ_E_INVALID_ARG, embedding, embedding_create, model, NULL, &embedding);
  REFUSED_OUT(MNQ_E_NOT_FOUND, embedding, embedding_create, model, "fd", &embedding);
  ACCEPTED(embedding_create, model, "fc", &embedding);
  REFUSED(MNQ_E_INVALID_ARG, embedding_run, NULL, indices, 1, out, f32);
  REFUSED(MNQ_E_INVALID_ARG, embedding_run, embedding, NULL, 1, out, f32);
  REFUSED(MNQ_E_INVALID_ARG, embedding_run, embedding, indices, 1, NULL, f32);
  REFUSED(MNQ_E_INVALID_ARG, embedding_run, embedding, indices, 2, out, f32); /* there is no row 2 */
  REFUSED(MNQ_E_DTYPE, embedding_run, embedding, indices, 1, out, MNQ_DTYPE_I8);
  ACCEPTED(embedding_run, embedding, NULL, 0, NULL, f32);
  REFUSED(MNQ_E_INVALID_ARG, embedding_run_tensor, embedding, tensor, f32, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, made, embedding_run_tensor, NULL, tensor, f32, &made);
  REFUSED_OUT(MNQ_E_INVALID_ARG, made, embedding_run_tensor, embedding, NULL, f32, &made);
  REFUSED_OUT(MNQ_E_DTYPE, made, embedding_run_tensor, embedding, tensor, f32, &made);
  REFUSED(MNQ_E_INVALID_ARG, embedding_describe, embedding, NULL);
  REFUSED_OUT(MNQ_E_INVALID_ARG, buffer, embedding_describe, NULL, &buffer);
  CALL(embedding_free)(embedding);
  CALL(embedding_free)(NULL);
}

static void test_none_was_forgotten(void) {
  int i;
  for (i = 0; i < FUNCTION_COUNT; ++i) check(was_called[i], __FILE__, __LINE__, function_names[i]);
}

int main(void) {
  const float weights[4] = {1, 2, 3, 4};
  const int64_t shape[2] = {2, 2};
  const char* const name = "fc.weight";
  mnq_config* config = NULL;
  mnq_run* run = NULL;
  mnq_tensor* tensor = NULL;
  mnq_model* model = NULL;
  ACCEPTED(config_create, NULL, &config);
  ACCEPTED(run_create, &run);
  ACCEPTED(tensor_create, MNQ_DTYPE_F32, shape, 2, weights, sizeof weights, &tensor);
  ACCEPTED(model_from_tensors, &name, (const mnq_tensor* const*)&tensor, 1, &model);
  test_library();
  test_errors_and_buffers();
  test_config(config);
  test_resolve(config, run);
  test_run(run);
  test_tensor_create();
  test_tensor_wrap();
  test_tensors(tensor);
  test_opening();
  test_from_tensors(tensor);
  test_from_layers(tensor);
  test_models(model, run);
  test_layers(model);
  test_values(tensor);
  test_modules(model, run);
  test_quantize(model, config, run);
  test_other_jobs(model, run);
  test_readers(run);
  test_writers(model, run);
  test_one_tensor(tensor, model, run);
  test_report(model);
  test_quantize_kernels();
  test_other_kernels();
  test_making_linears(model, tensor);
  test_running_linears(tensor);
  test_embeddings(model, tensor);
  test_none_was_forgotten();
  mnq_model_free(model);
  mnq_tensor_free(tensor);
  mnq_run_free(run);
  mnq_config_free(config);
  return exit_code();
}
