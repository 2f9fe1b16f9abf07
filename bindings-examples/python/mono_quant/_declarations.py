"""Everything that mono_quant.h declares, which says what each does; made from capi/abi.json by make_declarations.py."""
import enum
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float, c_int8, c_int32, c_int64, c_size_t
from ctypes import c_uint8, c_uint32, c_uint64, c_void_p

ABI_VERSION = (1, 2)
SONAME = "libmono_quant.so.1"


class Status(enum.IntEnum):
    OK = 0
    INVALID_ARG = 1
    CONFIG = 2
    NOT_FOUND = 3
    IO = 4
    FORMAT = 5
    UNSUPPORTED = 6
    SHAPE = 7
    DTYPE = 8
    CALIBRATION = 9
    VALIDATION = 10
    CANCELLED = 11
    BUFFER_TOO_SMALL = 12
    STATE = 13
    OUT_OF_MEMORY = 14
    TORCH = 15
    ABI = 16
    INTERNAL = 99


class DType(enum.IntEnum):
    BOOL = 1
    U8 = 2
    I8 = 3
    U16 = 4
    I16 = 5
    U32 = 6
    I32 = 7
    U64 = 8
    I64 = 9
    F16 = 10
    BF16 = 11
    F32 = 12
    F64 = 13
    C64 = 14
    F8_E4M3 = 15
    F8_E5M2 = 16
    F8_E8M0 = 17
    F6_E2M3 = 18
    F6_E3M2 = 19
    F4 = 20
    F8_E4M3FNUZ = 21
    F8_E5M2FNUZ = 22


class LogLevel(enum.IntEnum):
    WARNING = 1
    INFO = 2


class ValueKind(enum.IntEnum):
    NONE = 0
    TENSOR = 1
    INT = 2
    FLOAT = 3
    BOOL = 4
    TEXT = 5


class mnq_layer_tensor(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("tensor", c_void_p),
        ("kind", c_char_p),
        ("channel_axis", c_int64),
        ("tied_to", c_char_p),
    ]


mnq_log_fn = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
mnq_progress_fn = CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)
mnq_observer_fn = CFUNCTYPE(c_int32, c_void_p, c_size_t, c_size_t, c_char_p, c_char_p, c_double)
mnq_release_fn = CFUNCTYPE(None, c_void_p)
mnq_read_fn = CFUNCTYPE(c_int32, c_void_p, c_uint64, c_void_p, c_size_t)
mnq_write_fn = CFUNCTYPE(c_int32, c_void_p, c_uint64, c_void_p, c_size_t)
mnq_commit_fn = CFUNCTYPE(c_int32, c_void_p, c_uint64)
mnq_abort_fn = CFUNCTYPE(None, c_void_p)

# What each returns and takes.
FUNCTIONS = {
    "mnq_abi_version": (c_uint32, ()),
    "mnq_version": (c_char_p, ()),
    "mnq_build_info": (c_int32, (POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_status_name": (c_char_p, (c_int32,)),
    "mnq_dtype_name": (c_char_p, (c_int32,)),
    "mnq_set_log_callback": (c_int32, (mnq_log_fn, c_void_p, POINTER(c_void_p))),
    "mnq_threads": (c_uint32, ()),
    "mnq_set_threads": (c_int32, (c_uint32, POINTER(c_void_p))),
    "mnq_get_api": (c_void_p, (c_uint32,)),
    "mnq_error_code": (c_int32, (c_void_p,)),
    "mnq_error_message": (c_char_p, (c_void_p,)),
    "mnq_error_suggestion": (c_char_p, (c_void_p,)),
    "mnq_error_subject": (c_char_p, (c_void_p,)),
    "mnq_error_free": (None, (c_void_p,)),
    "mnq_buffer_data": (c_void_p, (c_void_p,)),
    "mnq_buffer_size": (c_size_t, (c_void_p,)),
    "mnq_buffer_free": (None, (c_void_p,)),
    "mnq_config_create": (c_int32, (c_char_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_config_set": (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(c_void_p))),
    "mnq_config_set_for_layers": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, POINTER(c_void_p))),
    "mnq_config_resolve": (
        c_int32,
        (c_void_p, c_void_p, c_char_p, c_char_p, POINTER(c_void_p), POINTER(c_char_p), POINTER(c_void_p)),
    ),
    "mnq_config_list_keys": (c_int32, (POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_config_to_json": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_config_validate": (c_int32, (c_void_p, POINTER(c_void_p))),
    "mnq_config_free": (None, (c_void_p,)),
    "mnq_run_create": (c_int32, (POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_run_set": (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(c_void_p))),
    "mnq_run_set_for_layers": (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, POINTER(c_void_p))),
    "mnq_run_set_progress": (c_int32, (c_void_p, mnq_progress_fn, c_void_p, POINTER(c_void_p))),
    "mnq_run_cancel": (None, (c_void_p,)),
    "mnq_run_is_cancelled": (c_int32, (c_void_p,)),
    "mnq_run_free": (None, (c_void_p,)),
    "mnq_tensor_create": (
        c_int32,
        (c_int32, POINTER(c_int64), c_size_t, c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p)),
    ),
    "mnq_tensor_wrap": (
        c_int32,
        (c_int32, POINTER(c_int64), c_size_t, c_void_p, c_size_t, mnq_release_fn, c_void_p, POINTER(c_void_p),
         POINTER(c_void_p)),
    ),
    "mnq_tensor_from_dlpack": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_tensor_to_dlpack": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_tensor_dtype": (c_int32, (c_void_p,)),
    "mnq_tensor_rank": (c_size_t, (c_void_p,)),
    "mnq_tensor_shape": (POINTER(c_int64), (c_void_p,)),
    "mnq_tensor_data": (c_void_p, (c_void_p,)),
    "mnq_tensor_size_bytes": (c_size_t, (c_void_p,)),
    "mnq_tensor_free": (None, (c_void_p,)),
    "mnq_detect_format": (c_int32, (c_char_p, POINTER(c_char_p), POINTER(c_void_p))),
    "mnq_model_open": (c_int32, (c_char_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_open_memory": (c_int32, (c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_from_tensors": (
        c_int32,
        (POINTER(c_char_p), POINTER(c_void_p), c_size_t, POINTER(c_void_p), POINTER(c_void_p)),
    ),
    "mnq_model_clone": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_save": (c_int32, (c_void_p, c_char_p, c_void_p, POINTER(c_void_p))),
    "mnq_model_save_memory": (c_int32, (c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_tensor_count": (c_size_t, (c_void_p,)),
    "mnq_model_tensor_name": (c_char_p, (c_void_p, c_size_t)),
    "mnq_model_get_tensor": (c_int32, (c_void_p, c_char_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_describe": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_list_layers": (c_int32, (c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_layers_count": (c_size_t, (c_void_p,)),
    "mnq_layers_name": (c_char_p, (c_void_p, c_size_t)),
    "mnq_layers_tensor": (c_char_p, (c_void_p, c_size_t)),
    "mnq_layers_kind": (c_char_p, (c_void_p, c_size_t)),
    "mnq_layers_action": (c_char_p, (c_void_p, c_size_t)),
    "mnq_layers_scheme": (c_char_p, (c_void_p, c_size_t)),
    "mnq_layers_reason": (c_char_p, (c_void_p, c_size_t)),
    "mnq_layers_rank": (c_size_t, (c_void_p, c_size_t)),
    "mnq_layers_shape": (POINTER(c_int64), (c_void_p, c_size_t)),
    "mnq_layers_free": (None, (c_void_p,)),
    "mnq_model_free": (None, (c_void_p,)),
    "mnq_quantize": (c_int32, (c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_quantize_file": (c_int32, (c_char_p, c_char_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_quantize_to_file": (c_int32, (c_void_p, c_char_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_plan": (c_int32, (c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_dequantize": (c_int32, (c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_dequantize_file": (c_int32, (c_char_p, c_char_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_compare": (c_int32, (c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_validate_file": (c_int32, (c_char_p, c_char_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_report_json": (c_char_p, (c_void_p,)),
    "mnq_report_number": (c_int32, (c_void_p, c_char_p, POINTER(c_double), POINTER(c_void_p))),
    "mnq_report_layer_count": (c_size_t, (c_void_p,)),
    "mnq_report_layer_text": (c_char_p, (c_void_p, c_size_t, c_char_p)),
    "mnq_report_layer_number": (c_int32, (c_void_p, c_size_t, c_char_p, POINTER(c_double), POINTER(c_void_p))),
    "mnq_report_warning_count": (c_size_t, (c_void_p,)),
    "mnq_report_warning": (c_char_p, (c_void_p, c_size_t)),
    "mnq_report_problem_count": (c_size_t, (c_void_p,)),
    "mnq_report_problem": (c_char_p, (c_void_p, c_size_t)),
    "mnq_report_free": (None, (c_void_p,)),
    "mnq_kernel_ranges": (
        c_int32,
        (POINTER(c_float), c_size_t, c_size_t, POINTER(c_float), POINTER(c_float), POINTER(c_void_p)),
    ),
    "mnq_kernel_quantize": (
        c_int32,
        (POINTER(c_float), c_size_t, c_size_t, c_int32, c_int32, c_size_t, POINTER(c_float), POINTER(c_int8),
         POINTER(c_int8), POINTER(c_double), POINTER(c_void_p)),
    ),
    "mnq_kernel_dequantize": (
        c_int32,
        (POINTER(c_int8), c_size_t, c_size_t, c_size_t, POINTER(c_float), POINTER(c_int8), POINTER(c_float),
         POINTER(c_void_p)),
    ),
    "mnq_kernel_pack_int4": (c_int32, (POINTER(c_int8), c_size_t, POINTER(c_uint8), POINTER(c_void_p))),
    "mnq_kernel_unpack_int4": (c_int32, (POINTER(c_uint8), c_size_t, POINTER(c_int8), POINTER(c_void_p))),
    "mnq_kernel_sqnr": (c_int32, (POINTER(c_float), POINTER(c_float), c_size_t, POINTER(c_double), POINTER(c_void_p))),
    "mnq_values_create": (c_int32, (POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_values_add_tensor": (c_int32, (c_void_p, c_char_p, c_void_p, POINTER(c_void_p))),
    "mnq_values_add_int": (c_int32, (c_void_p, c_char_p, c_int64, POINTER(c_void_p))),
    "mnq_values_add_float": (c_int32, (c_void_p, c_char_p, c_double, POINTER(c_void_p))),
    "mnq_values_add_bool": (c_int32, (c_void_p, c_char_p, c_int32, POINTER(c_void_p))),
    "mnq_values_add_text": (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(c_void_p))),
    "mnq_values_add_none": (c_int32, (c_void_p, c_char_p, POINTER(c_void_p))),
    "mnq_values_count": (c_size_t, (c_void_p,)),
    "mnq_values_name": (c_char_p, (c_void_p, c_size_t)),
    "mnq_values_kind": (c_int32, (c_void_p, c_size_t)),
    "mnq_values_get_tensor": (c_int32, (c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_values_get_int": (c_int32, (c_void_p, c_size_t, POINTER(c_int64), POINTER(c_void_p))),
    "mnq_values_get_float": (c_int32, (c_void_p, c_size_t, POINTER(c_double), POINTER(c_void_p))),
    "mnq_values_get_text": (c_char_p, (c_void_p, c_size_t)),
    "mnq_values_free": (None, (c_void_p,)),
    "mnq_model_forward": (c_int32, (c_void_p, c_char_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_validate": (c_int32, (c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_layers_dtype": (c_int32, (c_void_p, c_size_t)),
    "mnq_layers_tie_count": (c_size_t, (c_void_p, c_size_t)),
    "mnq_layers_tie": (c_char_p, (c_void_p, c_size_t, c_size_t)),
    "mnq_model_open_with": (c_int32, (c_char_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_convert_file": (c_int32, (c_char_p, c_char_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_merge_folder": (c_int32, (c_char_p, c_void_p, POINTER(c_void_p))),
    "mnq_model_from_layers": (c_int32, (POINTER(mnq_layer_tensor), c_size_t, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_list_capabilities": (c_int32, (POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_run_set_observer": (c_int32, (c_void_p, mnq_observer_fn, c_void_p, POINTER(c_void_p))),
    "mnq_run_set_log_callback": (c_int32, (c_void_p, mnq_log_fn, c_void_p, POINTER(c_void_p))),
    "mnq_run_reset": (None, (c_void_p,)),
    "mnq_tensor_from_dlpack_unversioned": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_model_wrap_memory": (
        c_int32,
        (c_void_p, c_size_t, mnq_release_fn, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p)),
    ),
    "mnq_reader_create": (
        c_int32,
        (c_uint64, mnq_read_fn, mnq_release_fn, c_void_p, POINTER(c_void_p), POINTER(c_void_p)),
    ),
    "mnq_reader_free": (None, (c_void_p,)),
    "mnq_model_open_reader": (c_int32, (c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_writer_create": (
        c_int32,
        (mnq_write_fn, mnq_commit_fn, mnq_abort_fn, mnq_release_fn, c_void_p, POINTER(c_void_p), POINTER(c_void_p)),
    ),
    "mnq_writer_free": (None, (c_void_p,)),
    "mnq_model_save_to_writer": (c_int32, (c_void_p, c_void_p, c_void_p, POINTER(c_void_p))),
    "mnq_model_get_float": (c_int32, (c_void_p, c_char_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_quantize_to_writer": (c_int32, (c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_dequantize_to_writer": (c_int32, (c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_tensor_quantize": (
        c_int32,
        (c_void_p, c_char_p, c_char_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p), POINTER(c_void_p)),
    ),
    "mnq_tensor_dequantize": (c_int32, (c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_compare_file": (c_int32, (c_char_p, c_char_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_linear_create": (c_int32, (c_void_p, c_char_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_linear_from_floats": (c_int32, (c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_linear_from_codes": (
        c_int32,
        (POINTER(c_int8), c_size_t, c_size_t, c_int32, c_size_t, POINTER(c_float), POINTER(c_int8), POINTER(c_float),
         c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_void_p)),
    ),
    "mnq_linear_scratch_size": (c_int32, (c_void_p, c_size_t, POINTER(c_size_t), POINTER(c_void_p))),
    "mnq_linear_run": (
        c_int32,
        (c_void_p, c_void_p, c_size_t, c_int32, c_void_p, c_int32, c_void_p, c_size_t, POINTER(c_void_p)),
    ),
    "mnq_linear_run_tensor": (c_int32, (c_void_p, c_void_p, c_int32, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_linear_describe": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_linear_free": (None, (c_void_p,)),
    "mnq_embedding_create": (c_int32, (c_void_p, c_char_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_embedding_run": (c_int32, (c_void_p, POINTER(c_int64), c_size_t, c_void_p, c_int32, POINTER(c_void_p))),
    "mnq_embedding_run_tensor": (c_int32, (c_void_p, c_void_p, c_int32, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_embedding_describe": (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "mnq_embedding_free": (None, (c_void_p,)),
}
