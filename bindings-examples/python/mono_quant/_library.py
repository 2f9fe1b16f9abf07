"""Finds the library, loads it, calls its functions, and frees what they hand over."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, Iterable, Optional

from . import _interrupt
from ._declarations import ABI_VERSION, FUNCTIONS, SONAME
from ._errors import Failures, error_of

HERE = os.path.dirname(os.path.realpath(__file__))


def installed(part: str, name: str) -> Optional[str]:
    """The file `name` in the folder `part` of MONO_QUANT_DIR, where that is set, or of this package."""
    root = os.environ.get("MONO_QUANT_DIR")
    path = os.path.join(root or HERE, part, name)
    return path if root or os.path.exists(path) else None


def _load() -> ctypes.CDLL:
    path = installed("lib", SONAME) or SONAME
    try:
        library = ctypes.CDLL(path)
    except OSError as failure:
        raise ImportError(f"{failure}; install the wheel, or name where mono_quant is in MONO_QUANT_DIR") from failure
    library.mnq_abi_version.restype = ctypes.c_uint32
    version = divmod(library.mnq_abi_version(), 1 << 16)
    if version[0] != ABI_VERSION[0] or version < ABI_VERSION:
        raise ImportError(
            f"{path} has ABI {version[0]}.{version[1]}; this package needs {ABI_VERSION[0]}.{ABI_VERSION[1]}"
        )
    for name, (returns, parameters) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returns, parameters
    return library


lib: Any = _load()


class Handle:
    """A handle of the library. It is freed when nobody refers to it any more, so also no call that is under way."""

    __slots__ = ("_as_parameter_", "_free")

    def __init__(self, pointer: int, free: Callable[[int], None]) -> None:
        self._as_parameter_ = pointer
        self._free = free

    def __del__(self) -> None:
        self._free(self._as_parameter_)


def call(function: Any, *arguments: Any, watched: Iterable[Failures] = ()) -> None:
    """Calls what ends in an mnq_error**. watched: where callbacks that it may run keep what they raise."""
    if watched:
        with _interrupt.delayed():
            return _call(function, arguments, watched)
    return _call(function, arguments, watched)


def _call(function: Any, arguments: tuple[Any, ...], watched: Iterable[Failures]) -> None:
    error = ctypes.c_void_p()
    status = function(*arguments, ctypes.byref(error))
    raised = [failure for failure in (each.take() for each in watched) if failure is not None]
    if status != 0 or raised:
        problem = error_of(lib, status, error)
        raise raised[0] if raised else problem


def make(free: Any, function: Any, *arguments: Any, watched: Iterable[Failures] = ()) -> Handle:
    """Calls what hands over one handle, before the error."""
    return make_both(function, *arguments, free=(free,), watched=watched)[0]


def make_both(function: Any, *arguments: Any, free: tuple[Any, ...], watched: Iterable[Failures] = ()) -> list[Handle]:
    """The same for several handles, which are freed where a callback raised, whatever the call made of that."""
    outputs = [ctypes.c_void_p() for _ in free]
    handles: list[Handle] = []
    try:
        call(function, *arguments, *map(ctypes.byref, outputs), watched=watched)
    finally:
        handles += [Handle(one.value, function) for one, function in zip(outputs, free) if one.value]
    return handles


def text(value: Optional[bytes]) -> str:
    return "" if value is None else value.decode("utf-8")


def utf8(value: Optional[str]) -> Optional[bytes]:
    """A text for the library; one with a zero in it would end there."""
    if value is not None and "\0" in value:
        raise ValueError("embedded null character")
    return None if value is None else value.encode("utf-8", "surrogateescape")


def path_bytes(path: Any) -> bytes:
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    return name


def buffer_bytes(function: Any, *arguments: Any, watched: Iterable[Failures] = ()) -> bytes:
    """Calls what hands over a buffer."""
    buffer = make(lib.mnq_buffer_free, function, *arguments, watched=watched)
    return ctypes.string_at(lib.mnq_buffer_data(buffer), lib.mnq_buffer_size(buffer))
