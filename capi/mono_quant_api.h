/*
 * mono_quant_api.h - the function table, for hosts that load the library by themselves;
 * made from functions.inc by make_lists.py.
 *
 * It has every function of mono_quant.h, which says what each does, under its name without mnq_. It starts with its
 * size and version and only ever grows at its end: a host may use a member where
 * offsetof(mnq_api, member) < table_size.
 */
#ifndef MONO_QUANT_API_H
#define MONO_QUANT_API_H

#include "mono_quant.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mnq_api {
  size_t table_size;      /* of this structure in the library that is loaded */
  uint32_t table_version; /* MNQ_ABI_VERSION of the library that is loaded */
  uint32_t (*abi_version)(void);
  const char* (*version)(void);
  mnq_status (*build_info)(mnq_buffer** out, mnq_error** error);
  const char* (*status_name)(mnq_status status);
  const char* (*dtype_name)(mnq_dtype dtype);
  mnq_status (*set_log_callback)(mnq_log_fn callback, void* user, mnq_error** error);
  uint32_t (*threads)(void);
  mnq_status (*set_threads)(uint32_t count, mnq_error** error);
  const mnq_api* (*get_api)(uint32_t version);
  mnq_status (*error_code)(const mnq_error* error);
  const char* (*error_message)(const mnq_error* error);
  const char* (*error_suggestion)(const mnq_error* error);
  const char* (*error_subject)(const mnq_error* error);
  void (*error_free)(mnq_error* error);
  const char* (*buffer_data)(const mnq_buffer* buffer);
  size_t (*buffer_size)(const mnq_buffer* buffer);
  void (*buffer_free)(mnq_buffer* buffer);
  mnq_status (*config_create)(const char* json, mnq_config** out, mnq_error** error);
  mnq_status (*config_set)(mnq_config* config, const char* key, const char* value, mnq_error** error);
  mnq_status (*config_set_for_layers)(mnq_config* config, const char* glob, const char* key, const char* value,
                                      mnq_error** error);
  mnq_status (*config_resolve)(const mnq_config* config, const mnq_run* run, const char* layer, const char* key,
                               mnq_buffer** value, const char** source, mnq_error** error);
  mnq_status (*config_list_keys)(mnq_buffer** out, mnq_error** error);
  mnq_status (*config_to_json)(const mnq_config* config, mnq_buffer** out, mnq_error** error);
  mnq_status (*config_validate)(const mnq_config* config, mnq_error** error);
  void (*config_free)(mnq_config* config);
  mnq_status (*run_create)(mnq_run** out, mnq_error** error);
  mnq_status (*run_set)(mnq_run* run, const char* key, const char* value, mnq_error** error);
  mnq_status (*run_set_for_layers)(mnq_run* run, const char* glob, const char* key, const char* value,
                                   mnq_error** error);
  mnq_status (*run_set_progress)(mnq_run* run, mnq_progress_fn callback, void* user, mnq_error** error);
  void (*run_cancel)(mnq_run* run);
  int32_t (*run_is_cancelled)(const mnq_run* run);
  void (*run_free)(mnq_run* run);
  mnq_status (*tensor_create)(mnq_dtype dtype, const int64_t* shape, size_t rank, const void* data, size_t size_bytes,
                              mnq_tensor** out, mnq_error** error);
  mnq_status (*tensor_wrap)(mnq_dtype dtype, const int64_t* shape, size_t rank, const void* data, size_t size_bytes,
                            mnq_release_fn release, void* user, mnq_tensor** out, mnq_error** error);
  mnq_status (*tensor_from_dlpack)(struct DLManagedTensorVersioned* managed, mnq_tensor** out, mnq_error** error);
  mnq_status (*tensor_to_dlpack)(const mnq_tensor* tensor, struct DLManagedTensorVersioned** out, mnq_error** error);
  mnq_dtype (*tensor_dtype)(const mnq_tensor* tensor);
  size_t (*tensor_rank)(const mnq_tensor* tensor);
  const int64_t* (*tensor_shape)(const mnq_tensor* tensor);
  const void* (*tensor_data)(const mnq_tensor* tensor);
  size_t (*tensor_size_bytes)(const mnq_tensor* tensor);
  void (*tensor_free)(mnq_tensor* tensor);
  mnq_status (*detect_format)(const char* path, const char** format, mnq_error** error);
  mnq_status (*model_open)(const char* path, mnq_model** out, mnq_error** error);
  mnq_status (*model_open_memory)(const void* data, size_t size_bytes, mnq_model** out, mnq_error** error);
  mnq_status (*model_from_tensors)(const char* const* names, const mnq_tensor* const* tensors, size_t count,
                                   mnq_model** out, mnq_error** error);
  mnq_status (*model_clone)(const mnq_model* model, mnq_model** out, mnq_error** error);
  mnq_status (*model_save)(const mnq_model* model, const char* path, mnq_run* run, mnq_error** error);
  mnq_status (*model_save_memory)(const mnq_model* model, mnq_run* run, mnq_buffer** out, mnq_error** error);
  size_t (*model_tensor_count)(const mnq_model* model);
  const char* (*model_tensor_name)(const mnq_model* model, size_t index);
  mnq_status (*model_get_tensor)(const mnq_model* model, const char* name, mnq_tensor** out, mnq_error** error);
  mnq_status (*model_describe)(const mnq_model* model, mnq_buffer** out, mnq_error** error);
  mnq_status (*model_list_layers)(const mnq_model* model, const mnq_config* config, const mnq_run* run,
                                  mnq_layers** out, mnq_error** error);
  size_t (*layers_count)(const mnq_layers* layers);
  const char* (*layers_name)(const mnq_layers* layers, size_t index);
  const char* (*layers_tensor)(const mnq_layers* layers, size_t index);
  const char* (*layers_kind)(const mnq_layers* layers, size_t index);
  const char* (*layers_action)(const mnq_layers* layers, size_t index);
  const char* (*layers_scheme)(const mnq_layers* layers, size_t index);
  const char* (*layers_reason)(const mnq_layers* layers, size_t index);
  size_t (*layers_rank)(const mnq_layers* layers, size_t index);
  const int64_t* (*layers_shape)(const mnq_layers* layers, size_t index);
  void (*layers_free)(mnq_layers* layers);
  void (*model_free)(mnq_model* model);
  mnq_status (*quantize)(const mnq_model* model, const mnq_config* config, mnq_run* run, mnq_model** out,
                         mnq_report** report, mnq_error** error);
  mnq_status (*quantize_file)(const char* input_path, const char* output_path, const mnq_config* config, mnq_run* run,
                              mnq_report** report, mnq_error** error);
  mnq_status (*quantize_to_file)(const mnq_model* model, const char* output_path, const mnq_config* config,
                                 mnq_run* run, mnq_report** report, mnq_error** error);
  mnq_status (*plan)(const mnq_model* model, const mnq_config* config, const mnq_run* run, mnq_report** report,
                     mnq_error** error);
  mnq_status (*dequantize)(const mnq_model* model, mnq_run* run, mnq_model** out, mnq_report** report,
                           mnq_error** error);
  mnq_status (*dequantize_file)(const char* input_path, const char* output_path, mnq_run* run, mnq_report** report,
                                mnq_error** error);
  mnq_status (*compare)(const mnq_model* reference, const mnq_model* other, mnq_run* run, mnq_report** report,
                        mnq_error** error);
  mnq_status (*validate_file)(const char* path, const char* original_path, mnq_run* run, mnq_report** report,
                              mnq_error** error);
  const char* (*report_json)(const mnq_report* report);
  mnq_status (*report_number)(const mnq_report* report, const char* name, double* value, mnq_error** error);
  size_t (*report_layer_count)(const mnq_report* report);
  const char* (*report_layer_text)(const mnq_report* report, size_t index, const char* name);
  mnq_status (*report_layer_number)(const mnq_report* report, size_t index, const char* name, double* value,
                                    mnq_error** error);
  size_t (*report_warning_count)(const mnq_report* report);
  const char* (*report_warning)(const mnq_report* report, size_t index);
  size_t (*report_problem_count)(const mnq_report* report);
  const char* (*report_problem)(const mnq_report* report, size_t index);
  void (*report_free)(mnq_report* report);
  mnq_status (*kernel_ranges)(const float* weights, size_t row_count, size_t row_length, float* minimum, float* maximum,
                              mnq_error** error);
  mnq_status (*kernel_quantize)(const float* weights, size_t row_count, size_t row_length, int32_t bits,
                                int32_t symmetric, size_t group_size, float* scales, int8_t* zero_points, int8_t* codes,
                                double* sqnr_db, mnq_error** error);
  mnq_status (*kernel_dequantize)(const int8_t* codes, size_t row_count, size_t row_length, size_t group_size,
                                  const float* scales, const int8_t* zero_points, float* weights, mnq_error** error);
  mnq_status (*kernel_pack_int4)(const int8_t* codes, size_t count, uint8_t* packed, mnq_error** error);
  mnq_status (*kernel_unpack_int4)(const uint8_t* packed, size_t count, int8_t* codes, mnq_error** error);
  mnq_status (*kernel_sqnr)(const float* reference, const float* other, size_t count, double* sqnr_db,
                            mnq_error** error);
  /* since 1.1 */
  mnq_status (*values_create)(mnq_values** out, mnq_error** error);
  mnq_status (*values_add_tensor)(mnq_values* values, const char* name, const mnq_tensor* tensor, mnq_error** error);
  mnq_status (*values_add_int)(mnq_values* values, const char* name, int64_t value, mnq_error** error);
  mnq_status (*values_add_float)(mnq_values* values, const char* name, double value, mnq_error** error);
  mnq_status (*values_add_bool)(mnq_values* values, const char* name, int32_t value, mnq_error** error);
  mnq_status (*values_add_text)(mnq_values* values, const char* name, const char* text, mnq_error** error);
  mnq_status (*values_add_none)(mnq_values* values, const char* name, mnq_error** error);
  size_t (*values_count)(const mnq_values* values);
  const char* (*values_name)(const mnq_values* values, size_t index);
  mnq_value_kind (*values_kind)(const mnq_values* values, size_t index);
  mnq_status (*values_get_tensor)(const mnq_values* values, size_t index, mnq_tensor** out, mnq_error** error);
  mnq_status (*values_get_int)(const mnq_values* values, size_t index, int64_t* value, mnq_error** error);
  mnq_status (*values_get_float)(const mnq_values* values, size_t index, double* value, mnq_error** error);
  const char* (*values_get_text)(const mnq_values* values, size_t index);
  void (*values_free)(mnq_values* values);
  mnq_status (*model_forward)(const mnq_model* model, const char* method, const mnq_values* inputs, const mnq_run* run,
                              mnq_values** outputs, mnq_error** error);
  mnq_status (*model_validate)(const mnq_model* model, const mnq_model* original, const mnq_values* inputs,
                               mnq_run* run, mnq_report** report, mnq_error** error);
  mnq_dtype (*layers_dtype)(const mnq_layers* layers, size_t index);
  size_t (*layers_tie_count)(const mnq_layers* layers, size_t index);
  const char* (*layers_tie)(const mnq_layers* layers, size_t index, size_t tie);
  mnq_status (*model_open_with)(const char* path, const mnq_run* run, mnq_model** out, mnq_error** error);
  mnq_status (*convert_file)(const char* input_path, const char* output_path, mnq_run* run, mnq_report** report,
                             mnq_error** error);
  mnq_status (*merge_folder)(const char* output_path, mnq_run* run, mnq_error** error);
  /* since 1.2 */
  mnq_status (*model_from_layers)(const mnq_layer_tensor* tensors, size_t count, mnq_model** out, mnq_error** error);
  mnq_status (*list_capabilities)(mnq_buffer** out, mnq_error** error);
  mnq_status (*run_set_observer)(mnq_run* run, mnq_observer_fn callback, void* user, mnq_error** error);
  mnq_status (*run_set_log_callback)(mnq_run* run, mnq_log_fn callback, void* user, mnq_error** error);
  void (*run_reset)(mnq_run* run);
  mnq_status (*tensor_from_dlpack_unversioned)(struct DLManagedTensor* managed, mnq_tensor** out, mnq_error** error);
  mnq_status (*model_wrap_memory)(const void* data, size_t size_bytes, mnq_release_fn release, void* user,
                                  const mnq_run* run, mnq_model** out, mnq_error** error);
  mnq_status (*reader_create)(uint64_t size_bytes, mnq_read_fn read, mnq_release_fn release, void* user,
                              mnq_reader** out, mnq_error** error);
  void (*reader_free)(mnq_reader* reader);
  mnq_status (*model_open_reader)(const mnq_reader* reader, const mnq_run* run, mnq_model** out, mnq_error** error);
  mnq_status (*writer_create)(mnq_write_fn write, mnq_commit_fn commit, mnq_abort_fn abort, mnq_release_fn release,
                              void* user, mnq_writer** out, mnq_error** error);
  void (*writer_free)(mnq_writer* writer);
  mnq_status (*model_save_to_writer)(const mnq_model* model, mnq_writer* writer, mnq_run* run, mnq_error** error);
  mnq_status (*model_get_float)(const mnq_model* model, const char* name, mnq_run* run, mnq_tensor** out,
                                mnq_error** error);
  mnq_status (*quantize_to_writer)(const mnq_model* model, mnq_writer* writer, const mnq_config* config, mnq_run* run,
                                   mnq_report** report, mnq_error** error);
  mnq_status (*dequantize_to_writer)(const mnq_model* model, mnq_writer* writer, mnq_run* run, mnq_report** report,
                                     mnq_error** error);
  mnq_status (*tensor_quantize)(const mnq_tensor* tensor, const char* name, const char* kind, const mnq_config* config,
                                mnq_run* run, mnq_values** parts, mnq_report** report, mnq_error** error);
  mnq_status (*tensor_dequantize)(const mnq_values* parts, mnq_run* run, mnq_tensor** out, mnq_error** error);
  mnq_status (*compare_file)(const char* reference_path, const char* other_path, mnq_run* run, mnq_report** report,
                             mnq_error** error);
  mnq_status (*linear_create)(const mnq_model* model, const char* layer, const mnq_config* config, const mnq_run* run,
                              mnq_linear** out, mnq_error** error);
  mnq_status (*linear_from_floats)(const mnq_tensor* weight, const mnq_tensor* bias, const mnq_config* config,
                                   const mnq_run* run, mnq_linear** out, mnq_error** error);
  mnq_status (*linear_from_codes)(const int8_t* codes, size_t output_count, size_t row_length, int32_t bits,
                                  size_t group_size, const float* scales, const int8_t* zero_points, const float* bias,
                                  const mnq_config* config, const mnq_run* run, mnq_linear** out, mnq_error** error);
  mnq_status (*linear_scratch_size)(const mnq_linear* linear, size_t row_count, size_t* size_bytes, mnq_error** error);
  mnq_status (*linear_run)(const mnq_linear* linear, const void* rows, size_t row_count, mnq_dtype dtype, void* out,
                           mnq_dtype out_dtype, void* scratch, size_t scratch_bytes, mnq_error** error);
  mnq_status (*linear_run_tensor)(const mnq_linear* linear, const mnq_tensor* rows, mnq_dtype out_dtype,
                                  mnq_tensor** out, mnq_error** error);
  mnq_status (*linear_describe)(const mnq_linear* linear, mnq_buffer** out, mnq_error** error);
  void (*linear_free)(mnq_linear* linear);
  mnq_status (*embedding_create)(const mnq_model* model, const char* layer, mnq_embedding** out, mnq_error** error);
  mnq_status (*embedding_run)(const mnq_embedding* embedding, const int64_t* indices, size_t count, void* out,
                              mnq_dtype out_dtype, mnq_error** error);
  mnq_status (*embedding_run_tensor)(const mnq_embedding* embedding, const mnq_tensor* indices, mnq_dtype out_dtype,
                                     mnq_tensor** out, mnq_error** error);
  mnq_status (*embedding_describe)(const mnq_embedding* embedding, mnq_buffer** out, mnq_error** error);
  void (*embedding_free)(mnq_embedding* embedding);
};

#ifdef __cplusplus
}
#endif

#endif /* MONO_QUANT_API_H */
