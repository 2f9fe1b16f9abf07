// Everything that mono_quant.h declares, which says what each does; made from capi/abi.json by make_declarations.py.

use std::os::raw::{c_char, c_void};

pub const MNQ_ABI_VERSION_MAJOR: u32 = 1;
pub const MNQ_ABI_VERSION_MINOR: u32 = 2;
/// In the form of [`mnq_abi_version`].
pub const MNQ_ABI_VERSION: u32 = MNQ_ABI_VERSION_MAJOR << 16 | MNQ_ABI_VERSION_MINOR;

pub type mnq_status = i32;
pub const MNQ_OK: mnq_status = 0;
pub const MNQ_E_INVALID_ARG: mnq_status = 1;
pub const MNQ_E_CONFIG: mnq_status = 2;
pub const MNQ_E_NOT_FOUND: mnq_status = 3;
pub const MNQ_E_IO: mnq_status = 4;
pub const MNQ_E_FORMAT: mnq_status = 5;
pub const MNQ_E_UNSUPPORTED: mnq_status = 6;
pub const MNQ_E_SHAPE: mnq_status = 7;
pub const MNQ_E_DTYPE: mnq_status = 8;
pub const MNQ_E_CALIBRATION: mnq_status = 9;
pub const MNQ_E_VALIDATION: mnq_status = 10;
pub const MNQ_E_CANCELLED: mnq_status = 11;
pub const MNQ_E_BUFFER_TOO_SMALL: mnq_status = 12;
pub const MNQ_E_STATE: mnq_status = 13;
pub const MNQ_E_OUT_OF_MEMORY: mnq_status = 14;
pub const MNQ_E_TORCH: mnq_status = 15;
pub const MNQ_E_ABI: mnq_status = 16;
pub const MNQ_E_INTERNAL: mnq_status = 99;

pub type mnq_dtype = i32;
pub const MNQ_DTYPE_BOOL: mnq_dtype = 1;
pub const MNQ_DTYPE_U8: mnq_dtype = 2;
pub const MNQ_DTYPE_I8: mnq_dtype = 3;
pub const MNQ_DTYPE_U16: mnq_dtype = 4;
pub const MNQ_DTYPE_I16: mnq_dtype = 5;
pub const MNQ_DTYPE_U32: mnq_dtype = 6;
pub const MNQ_DTYPE_I32: mnq_dtype = 7;
pub const MNQ_DTYPE_U64: mnq_dtype = 8;
pub const MNQ_DTYPE_I64: mnq_dtype = 9;
pub const MNQ_DTYPE_F16: mnq_dtype = 10;
pub const MNQ_DTYPE_BF16: mnq_dtype = 11;
pub const MNQ_DTYPE_F32: mnq_dtype = 12;
pub const MNQ_DTYPE_F64: mnq_dtype = 13;
pub const MNQ_DTYPE_C64: mnq_dtype = 14;
pub const MNQ_DTYPE_F8_E4M3: mnq_dtype = 15;
pub const MNQ_DTYPE_F8_E5M2: mnq_dtype = 16;
pub const MNQ_DTYPE_F8_E8M0: mnq_dtype = 17;
pub const MNQ_DTYPE_F6_E2M3: mnq_dtype = 18;
pub const MNQ_DTYPE_F6_E3M2: mnq_dtype = 19;
pub const MNQ_DTYPE_F4: mnq_dtype = 20;
pub const MNQ_DTYPE_F8_E4M3FNUZ: mnq_dtype = 21;
pub const MNQ_DTYPE_F8_E5M2FNUZ: mnq_dtype = 22;

pub type mnq_log_level = i32;
pub const MNQ_LOG_WARNING: mnq_log_level = 1;
pub const MNQ_LOG_INFO: mnq_log_level = 2;

pub type mnq_value_kind = i32;
pub const MNQ_VALUE_NONE: mnq_value_kind = 0;
pub const MNQ_VALUE_TENSOR: mnq_value_kind = 1;
pub const MNQ_VALUE_INT: mnq_value_kind = 2;
pub const MNQ_VALUE_FLOAT: mnq_value_kind = 3;
pub const MNQ_VALUE_BOOL: mnq_value_kind = 4;
pub const MNQ_VALUE_TEXT: mnq_value_kind = 5;

#[repr(C)]
pub struct mnq_buffer {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_error {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_api {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_config {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_run {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_tensor {
    _private: [u8; 0],
}

#[repr(C)]
pub struct DLManagedTensorVersioned {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_model {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_layers {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_report {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_values {
    _private: [u8; 0],
}

#[repr(C)]
pub struct DLManagedTensor {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_reader {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_writer {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_linear {
    _private: [u8; 0],
}

#[repr(C)]
pub struct mnq_embedding {
    _private: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mnq_layer_tensor {
    pub struct_size: usize,
    pub name: *const c_char,
    pub tensor: *const mnq_tensor,
    pub kind: *const c_char,
    pub channel_axis: i64,
    pub tied_to: *const c_char,
}

pub type mnq_log_fn = Option<unsafe extern "C" fn(user: *mut c_void, level: mnq_log_level, message: *const c_char)>;
pub type mnq_progress_fn = Option<unsafe extern "C" fn(user: *mut c_void, done_bytes: u64, total_bytes: u64) -> i32>;
pub type mnq_observer_fn = Option<unsafe extern "C" fn(user: *mut c_void, index: usize, count: usize, layer: *const c_char, action: *const c_char, sqnr_db: f64) -> i32>;
pub type mnq_release_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;
pub type mnq_read_fn = Option<unsafe extern "C" fn(user: *mut c_void, offset: u64, into: *mut c_void, size: usize) -> i32>;
pub type mnq_write_fn = Option<unsafe extern "C" fn(user: *mut c_void, offset: u64, data: *const c_void, size: usize) -> i32>;
pub type mnq_commit_fn = Option<unsafe extern "C" fn(user: *mut c_void, size_bytes: u64) -> i32>;
pub type mnq_abort_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

extern "C" {
    /// Since 1.0.
    pub fn mnq_abi_version() -> u32;
    /// Since 1.0.
    pub fn mnq_version() -> *const c_char;
    /// Since 1.0.
    pub fn mnq_build_info(out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_status_name(status: mnq_status) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_dtype_name(dtype: mnq_dtype) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_set_log_callback(callback: mnq_log_fn, user: *mut c_void, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_threads() -> u32;
    /// Since 1.0.
    pub fn mnq_set_threads(count: u32, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_get_api(version: u32) -> *const mnq_api;
    /// Since 1.0.
    pub fn mnq_error_code(error: *const mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_error_message(error: *const mnq_error) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_error_suggestion(error: *const mnq_error) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_error_subject(error: *const mnq_error) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_error_free(error: *mut mnq_error);
    /// Since 1.0.
    pub fn mnq_buffer_data(buffer: *const mnq_buffer) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_buffer_size(buffer: *const mnq_buffer) -> usize;
    /// Since 1.0.
    pub fn mnq_buffer_free(buffer: *mut mnq_buffer);
    /// Since 1.0.
    pub fn mnq_config_create(json: *const c_char, out: *mut *mut mnq_config, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_config_set(config: *mut mnq_config, key: *const c_char, value: *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_config_set_for_layers(config: *mut mnq_config, glob: *const c_char, key: *const c_char, value: *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_config_resolve(config: *const mnq_config, run: *const mnq_run, layer: *const c_char, key: *const c_char, value: *mut *mut mnq_buffer, source: *mut *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_config_list_keys(out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_config_to_json(config: *const mnq_config, out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_config_validate(config: *const mnq_config, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_config_free(config: *mut mnq_config);
    /// Since 1.0.
    pub fn mnq_run_create(out: *mut *mut mnq_run, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_run_set(run: *mut mnq_run, key: *const c_char, value: *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_run_set_for_layers(run: *mut mnq_run, glob: *const c_char, key: *const c_char, value: *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_run_set_progress(run: *mut mnq_run, callback: mnq_progress_fn, user: *mut c_void, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_run_cancel(run: *mut mnq_run);
    /// Since 1.0.
    pub fn mnq_run_is_cancelled(run: *const mnq_run) -> i32;
    /// Since 1.0.
    pub fn mnq_run_free(run: *mut mnq_run);
    /// Since 1.0.
    pub fn mnq_tensor_create(dtype: mnq_dtype, shape: *const i64, rank: usize, data: *const c_void, size_bytes: usize, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_tensor_wrap(dtype: mnq_dtype, shape: *const i64, rank: usize, data: *const c_void, size_bytes: usize, release: mnq_release_fn, user: *mut c_void, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_tensor_from_dlpack(managed: *mut DLManagedTensorVersioned, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_tensor_to_dlpack(tensor: *const mnq_tensor, out: *mut *mut DLManagedTensorVersioned, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_tensor_dtype(tensor: *const mnq_tensor) -> mnq_dtype;
    /// Since 1.0.
    pub fn mnq_tensor_rank(tensor: *const mnq_tensor) -> usize;
    /// Since 1.0.
    pub fn mnq_tensor_shape(tensor: *const mnq_tensor) -> *const i64;
    /// Since 1.0.
    pub fn mnq_tensor_data(tensor: *const mnq_tensor) -> *const c_void;
    /// Since 1.0.
    pub fn mnq_tensor_size_bytes(tensor: *const mnq_tensor) -> usize;
    /// Since 1.0.
    pub fn mnq_tensor_free(tensor: *mut mnq_tensor);
    /// Since 1.0.
    pub fn mnq_detect_format(path: *const c_char, format: *mut *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_open(path: *const c_char, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_open_memory(data: *const c_void, size_bytes: usize, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_from_tensors(names: *const *const c_char, tensors: *const *const mnq_tensor, count: usize, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_clone(model: *const mnq_model, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_save(model: *const mnq_model, path: *const c_char, run: *mut mnq_run, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_save_memory(model: *const mnq_model, run: *mut mnq_run, out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_tensor_count(model: *const mnq_model) -> usize;
    /// Since 1.0.
    pub fn mnq_model_tensor_name(model: *const mnq_model, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_model_get_tensor(model: *const mnq_model, name: *const c_char, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_describe(model: *const mnq_model, out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_model_list_layers(model: *const mnq_model, config: *const mnq_config, run: *const mnq_run, out: *mut *mut mnq_layers, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_layers_count(layers: *const mnq_layers) -> usize;
    /// Since 1.0.
    pub fn mnq_layers_name(layers: *const mnq_layers, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_layers_tensor(layers: *const mnq_layers, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_layers_kind(layers: *const mnq_layers, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_layers_action(layers: *const mnq_layers, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_layers_scheme(layers: *const mnq_layers, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_layers_reason(layers: *const mnq_layers, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_layers_rank(layers: *const mnq_layers, index: usize) -> usize;
    /// Since 1.0.
    pub fn mnq_layers_shape(layers: *const mnq_layers, index: usize) -> *const i64;
    /// Since 1.0.
    pub fn mnq_layers_free(layers: *mut mnq_layers);
    /// Since 1.0.
    pub fn mnq_model_free(model: *mut mnq_model);
    /// Since 1.0.
    pub fn mnq_quantize(model: *const mnq_model, config: *const mnq_config, run: *mut mnq_run, out: *mut *mut mnq_model, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_quantize_file(input_path: *const c_char, output_path: *const c_char, config: *const mnq_config, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_quantize_to_file(model: *const mnq_model, output_path: *const c_char, config: *const mnq_config, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_plan(model: *const mnq_model, config: *const mnq_config, run: *const mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_dequantize(model: *const mnq_model, run: *mut mnq_run, out: *mut *mut mnq_model, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_dequantize_file(input_path: *const c_char, output_path: *const c_char, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_compare(reference: *const mnq_model, other: *const mnq_model, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_validate_file(path: *const c_char, original_path: *const c_char, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_report_json(report: *const mnq_report) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_report_number(report: *const mnq_report, name: *const c_char, value: *mut f64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_report_layer_count(report: *const mnq_report) -> usize;
    /// Since 1.0.
    pub fn mnq_report_layer_text(report: *const mnq_report, index: usize, name: *const c_char) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_report_layer_number(report: *const mnq_report, index: usize, name: *const c_char, value: *mut f64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_report_warning_count(report: *const mnq_report) -> usize;
    /// Since 1.0.
    pub fn mnq_report_warning(report: *const mnq_report, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_report_problem_count(report: *const mnq_report) -> usize;
    /// Since 1.0.
    pub fn mnq_report_problem(report: *const mnq_report, index: usize) -> *const c_char;
    /// Since 1.0.
    pub fn mnq_report_free(report: *mut mnq_report);
    /// Since 1.0.
    pub fn mnq_kernel_ranges(weights: *const f32, row_count: usize, row_length: usize, minimum: *mut f32, maximum: *mut f32, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_kernel_quantize(weights: *const f32, row_count: usize, row_length: usize, bits: i32, symmetric: i32, group_size: usize, scales: *mut f32, zero_points: *mut i8, codes: *mut i8, sqnr_db: *mut f64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_kernel_dequantize(codes: *const i8, row_count: usize, row_length: usize, group_size: usize, scales: *const f32, zero_points: *const i8, weights: *mut f32, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_kernel_pack_int4(codes: *const i8, count: usize, packed: *mut u8, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_kernel_unpack_int4(packed: *const u8, count: usize, codes: *mut i8, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.0.
    pub fn mnq_kernel_sqnr(reference: *const f32, other: *const f32, count: usize, sqnr_db: *mut f64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_create(out: *mut *mut mnq_values, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_add_tensor(values: *mut mnq_values, name: *const c_char, tensor: *const mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_add_int(values: *mut mnq_values, name: *const c_char, value: i64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_add_float(values: *mut mnq_values, name: *const c_char, value: f64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_add_bool(values: *mut mnq_values, name: *const c_char, value: i32, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_add_text(values: *mut mnq_values, name: *const c_char, text: *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_add_none(values: *mut mnq_values, name: *const c_char, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_count(values: *const mnq_values) -> usize;
    /// Since 1.1.
    pub fn mnq_values_name(values: *const mnq_values, index: usize) -> *const c_char;
    /// Since 1.1.
    pub fn mnq_values_kind(values: *const mnq_values, index: usize) -> mnq_value_kind;
    /// Since 1.1.
    pub fn mnq_values_get_tensor(values: *const mnq_values, index: usize, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_get_int(values: *const mnq_values, index: usize, value: *mut i64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_get_float(values: *const mnq_values, index: usize, value: *mut f64, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_values_get_text(values: *const mnq_values, index: usize) -> *const c_char;
    /// Since 1.1.
    pub fn mnq_values_free(values: *mut mnq_values);
    /// Since 1.1.
    pub fn mnq_model_forward(model: *const mnq_model, method: *const c_char, inputs: *const mnq_values, run: *const mnq_run, outputs: *mut *mut mnq_values, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_model_validate(model: *const mnq_model, original: *const mnq_model, inputs: *const mnq_values, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_layers_dtype(layers: *const mnq_layers, index: usize) -> mnq_dtype;
    /// Since 1.1.
    pub fn mnq_layers_tie_count(layers: *const mnq_layers, index: usize) -> usize;
    /// Since 1.1.
    pub fn mnq_layers_tie(layers: *const mnq_layers, index: usize, tie: usize) -> *const c_char;
    /// Since 1.1.
    pub fn mnq_model_open_with(path: *const c_char, run: *const mnq_run, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_convert_file(input_path: *const c_char, output_path: *const c_char, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.1.
    pub fn mnq_merge_folder(output_path: *const c_char, run: *mut mnq_run, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_model_from_layers(tensors: *const mnq_layer_tensor, count: usize, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_list_capabilities(out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_run_set_observer(run: *mut mnq_run, callback: mnq_observer_fn, user: *mut c_void, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_run_set_log_callback(run: *mut mnq_run, callback: mnq_log_fn, user: *mut c_void, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_run_reset(run: *mut mnq_run);
    /// Since 1.2.
    pub fn mnq_tensor_from_dlpack_unversioned(managed: *mut DLManagedTensor, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_model_wrap_memory(data: *const c_void, size_bytes: usize, release: mnq_release_fn, user: *mut c_void, run: *const mnq_run, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_reader_create(size_bytes: u64, read: mnq_read_fn, release: mnq_release_fn, user: *mut c_void, out: *mut *mut mnq_reader, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_reader_free(reader: *mut mnq_reader);
    /// Since 1.2.
    pub fn mnq_model_open_reader(reader: *const mnq_reader, run: *const mnq_run, out: *mut *mut mnq_model, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_writer_create(write: mnq_write_fn, commit: mnq_commit_fn, abort: mnq_abort_fn, release: mnq_release_fn, user: *mut c_void, out: *mut *mut mnq_writer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_writer_free(writer: *mut mnq_writer);
    /// Since 1.2.
    pub fn mnq_model_save_to_writer(model: *const mnq_model, writer: *mut mnq_writer, run: *mut mnq_run, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_model_get_float(model: *const mnq_model, name: *const c_char, run: *mut mnq_run, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_quantize_to_writer(model: *const mnq_model, writer: *mut mnq_writer, config: *const mnq_config, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_dequantize_to_writer(model: *const mnq_model, writer: *mut mnq_writer, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_tensor_quantize(tensor: *const mnq_tensor, name: *const c_char, kind: *const c_char, config: *const mnq_config, run: *mut mnq_run, parts: *mut *mut mnq_values, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_tensor_dequantize(parts: *const mnq_values, run: *mut mnq_run, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_compare_file(reference_path: *const c_char, other_path: *const c_char, run: *mut mnq_run, report: *mut *mut mnq_report, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_create(model: *const mnq_model, layer: *const c_char, config: *const mnq_config, run: *const mnq_run, out: *mut *mut mnq_linear, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_from_floats(weight: *const mnq_tensor, bias: *const mnq_tensor, config: *const mnq_config, run: *const mnq_run, out: *mut *mut mnq_linear, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_from_codes(codes: *const i8, output_count: usize, row_length: usize, bits: i32, group_size: usize, scales: *const f32, zero_points: *const i8, bias: *const f32, config: *const mnq_config, run: *const mnq_run, out: *mut *mut mnq_linear, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_scratch_size(linear: *const mnq_linear, row_count: usize, size_bytes: *mut usize, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_run(linear: *const mnq_linear, rows: *const c_void, row_count: usize, dtype: mnq_dtype, out: *mut c_void, out_dtype: mnq_dtype, scratch: *mut c_void, scratch_bytes: usize, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_run_tensor(linear: *const mnq_linear, rows: *const mnq_tensor, out_dtype: mnq_dtype, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_describe(linear: *const mnq_linear, out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_linear_free(linear: *mut mnq_linear);
    /// Since 1.2.
    pub fn mnq_embedding_create(model: *const mnq_model, layer: *const c_char, out: *mut *mut mnq_embedding, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_embedding_run(embedding: *const mnq_embedding, indices: *const i64, count: usize, out: *mut c_void, out_dtype: mnq_dtype, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_embedding_run_tensor(embedding: *const mnq_embedding, indices: *const mnq_tensor, out_dtype: mnq_dtype, out: *mut *mut mnq_tensor, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_embedding_describe(embedding: *const mnq_embedding, out: *mut *mut mnq_buffer, error: *mut *mut mnq_error) -> mnq_status;
    /// Since 1.2.
    pub fn mnq_embedding_free(embedding: *mut mnq_embedding);
}
