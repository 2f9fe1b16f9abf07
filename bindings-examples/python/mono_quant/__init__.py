"""Quantizes the weights of PyTorch models.

    import mono_quant
    report = mono_quant.quantize_file("model.safetensors", "model-int4.safetensors", bits=4, group_size=128)
    print(report.sqnr_db)

Settings are keys and values, those of `python -m mono_quant keys`. Tensors of PyTorch and arrays of NumPy go in and
come out as they are.
"""

from ._declarations import DType, LogLevel, Status
from ._errors import (
    CancelledError,
    ConfigError,
    Error,
    FormatError,
    InvalidArgumentError,
    NotFoundError,
    OutOfMemoryError,
    UnsupportedError,
)
from .jobs import (
    abi_version,
    build_info,
    capabilities,
    compare_file,
    convert_file,
    dequantize_file,
    dequantize_tensor,
    detect_format,
    merge_folder,
    quantize_file,
    quantize_tensor,
    set_log,
    set_threads,
    threads,
    validate_file,
    version,
)
from .layers import Embedding, Linear
from .models import Layer, Model
from .reports import Report
from .settings import Config, Resolved, Run
from .streams import Output, Reader, Writer
from .tensors import Tensor

__version__ = version()
__all__ = [name for name in globals() if not name.startswith("_")]
