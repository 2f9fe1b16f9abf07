"""Jobs from files to files, and on one tensor; and what can be asked of the library."""

from __future__ import annotations

import ctypes
import json
from typing import Any, Callable, Mapping, Optional, Union

from . import _callbacks
from ._declarations import LogLevel, mnq_log_fn
from ._library import buffer_bytes, call, lib, make, make_both, path_bytes, text, utf8
from .models import ConfigLike, _optional
from .reports import Report
from .settings import Run, config_of, run_of
from .tensors import Tensor, handle_of
from .values import handle_of_values, values_of

Parts = Mapping[str, Union[Tensor, str]]


def _job(run: Run, function: Any, *arguments: Any) -> Report:
    return Report(make(lib.mnq_report_free, function, *arguments, run._handle, watched=(run._failures,)))


def quantize_file(
    input_path: Any, output_path: Any, config: ConfigLike = None, *, run: Optional[Run] = None, **settings: Any
) -> Report:
    """Quantizes a file or a folder to a file or a folder, within memory_budget bytes whatever its size."""
    config, run = config_of(config), run_of(run, settings)
    return _job(run, lib.mnq_quantize_file, path_bytes(input_path), path_bytes(output_path), _optional(config))


def dequantize_file(input_path: Any, output_path: Any, *, run: Optional[Run] = None, **settings: Any) -> Report:
    run = run_of(run, settings)
    return _job(run, lib.mnq_dequantize_file, path_bytes(input_path), path_bytes(output_path))


def convert_file(input_path: Any, output_path: Any, *, run: Optional[Run] = None, **settings: Any) -> Report:
    """Writes a checkpoint in another format; codes and scales are kept where that can hold them."""
    run = run_of(run, settings)
    return _job(run, lib.mnq_convert_file, path_bytes(input_path), path_bytes(output_path))


def compare_file(reference_path: Any, other_path: Any, *, run: Optional[Run] = None, **settings: Any) -> Report:
    run = run_of(run, settings)
    return _job(run, lib.mnq_compare_file, path_bytes(reference_path), path_bytes(other_path))


def validate_file(path: Any, original_path: Any = None, *, run: Optional[Run] = None, **settings: Any) -> Report:
    """Checks a file, against its original where one is named. Report.problems: what it finds."""
    run = run_of(run, settings)
    original = None if original_path is None else path_bytes(original_path)
    return _job(run, lib.mnq_validate_file, path_bytes(path), original)


def merge_folder(output_path: Any, *, run: Optional[Run] = None, **settings: Any) -> None:
    """Puts together a folder whose parts were made with the key `shard`."""
    run = run_of(run, settings)
    call(lib.mnq_merge_folder, path_bytes(output_path), run._handle, watched=(run._failures,))


def quantize_tensor(
    tensor: Any,
    name: Optional[str] = None,
    kind: Optional[str] = None,
    config: ConfigLike = None,
    *,
    run: Optional[Run] = None,
    **settings: Any,
) -> tuple[dict[str, Union[Tensor, str]], Report]:
    """Quantizes one tensor by itself, as a layer of a model would be: the tensors that a file would have, and a text
    that says what they are."""
    config, run = config_of(config), run_of(run, settings)
    arguments = (handle_of(tensor), utf8(name), utf8(kind), _optional(config), run._handle)
    free = (lib.mnq_values_free, lib.mnq_report_free)
    parts, report = make_both(lib.mnq_tensor_quantize, *arguments, free=free, watched=(run._failures,))
    return {name: part for name, part in values_of(parts) if isinstance(part, (Tensor, str))}, Report(report)


def dequantize_tensor(parts: Parts, *, run: Optional[Run] = None, **settings: Any) -> Tensor:
    """The tensor that such parts hold, in the dtype it came from."""
    run = run_of(run, settings)
    arguments = (handle_of_values(parts.items()), run._handle)
    return Tensor._of(make(lib.mnq_tensor_free, lib.mnq_tensor_dequantize, *arguments, watched=(run._failures,)))


def detect_format(path: Any) -> str:
    """The format of a file or a folder, from its content."""
    name = ctypes.c_char_p()
    call(lib.mnq_detect_format, path_bytes(path), ctypes.byref(name))
    return text(name.value)


def version() -> str:
    """Of the library that is loaded."""
    return text(lib.mnq_version())


def abi_version() -> tuple[int, int]:
    major, minor = divmod(int(lib.mnq_abi_version()), 1 << 16)
    return major, minor


def build_info() -> dict[str, Any]:
    """How the library was built, and what it uses here."""
    return dict(json.loads(buffer_bytes(lib.mnq_build_info)))


def capabilities() -> dict[str, Any]:
    """What can be asked for: schemes, methods, kinds of layers, layouts, formats."""
    return dict(json.loads(buffer_bytes(lib.mnq_list_capabilities)))


def threads() -> int:
    """How many threads jobs use where the key `threads` is not set."""
    return int(lib.mnq_threads())


def set_threads(count: int) -> None:
    """0: the number of CPUs again."""
    call(lib.mnq_set_threads, count)


def set_log(log: Optional[Callable[[LogLevel, str], Any]]) -> None:
    """Who receives the messages of the process, from any thread. It must not call the library. A call that is under way
    may still use the one before, which therefore stays."""
    if log is None:
        call(lib.mnq_set_log_callback, mnq_log_fn(), None)
    else:
        call(lib.mnq_set_log_callback, _callbacks.process_log, _callbacks.keep(log))
