# mypy: disable-error-code="untyped-decorator"
"""Tensors' memory from and to other packages, without copies: DLPack, arrays in the way of NumPy, buffers of Python."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int32, c_int64, c_ssize_t, c_uint8, c_uint16
from ctypes import c_uint32, c_uint64, c_void_p, py_object
from typing import Any, Optional

from . import _callbacks
from ._declarations import DType
from ._library import Handle, call, lib, make

_api = ctypes.PyDLL(None)

# NumPy's names, with those of ml_dtypes; and how NumPy writes those it has.
NAMES = {
    "bool": DType.BOOL, "uint8": DType.U8, "int8": DType.I8, "uint16": DType.U16, "int16": DType.I16,
    "uint32": DType.U32, "int32": DType.I32, "uint64": DType.U64, "int64": DType.I64, "float16": DType.F16,
    "float32": DType.F32, "float64": DType.F64, "complex64": DType.C64, "bfloat16": DType.BF16,
    "float8_e4m3fn": DType.F8_E4M3, "float8_e5m2": DType.F8_E5M2, "float8_e8m0fnu": DType.F8_E8M0,
    "float8_e4m3fnuz": DType.F8_E4M3FNUZ, "float8_e5m2fnuz": DType.F8_E5M2FNUZ,
}  # fmt: skip
TYPE_TEXTS = {
    DType.BOOL: "|b1", DType.U8: "|u1", DType.I8: "|i1", DType.U16: "<u2", DType.I16: "<i2", DType.U32: "<u4",
    DType.I32: "<i4", DType.U64: "<u8", DType.I64: "<i8", DType.F16: "<f2", DType.F32: "<f4", DType.F64: "<f8",
    DType.C64: "<c8",
}  # fmt: skip


# ---- Buffers ---------------------------------------------------------------------------------------------------------


class _PyBuffer(Structure):
    _fields_ = [
        ("buf", c_void_p), ("obj", py_object), ("len", c_ssize_t), ("itemsize", c_ssize_t), ("readonly", c_int),
        ("ndim", c_int), ("format", c_char_p), ("shape", c_void_p), ("strides", c_void_p), ("suboffsets", c_void_p),
        ("internal", c_void_p),
    ]  # fmt: skip


_get_buffer = _api.PyObject_GetBuffer
_get_buffer.restype, _get_buffer.argtypes = c_int, (py_object, c_void_p, c_int)
_release_buffer = _api.PyBuffer_Release
_release_buffer.restype, _release_buffer.argtypes = None, (c_void_p,)


def has_bytes(source: Any) -> bool:
    """Some of what has bytes is a file, too: mmap."""
    try:
        return memoryview(source).contiguous
    except TypeError:
        return False


class Buffer:
    """The bytes of anything that has them in a row: bytes, bytearray, mmap, memoryview. Held until this is gone."""

    def __init__(self, source: Any) -> None:
        self._buffer: Optional[_PyBuffer] = None
        buffer = _PyBuffer()
        _get_buffer(source, byref(buffer), 0)  # raises by itself
        self._buffer = buffer
        self.address: int = buffer.buf or 0
        self.size: int = buffer.len

    def __del__(self) -> None:
        if self._buffer is not None:
            _release_buffer(byref(self._buffer))


# ---- Arrays ----------------------------------------------------------------------------------------------------------


def wrap(dtype: DType, shape: tuple[int, ...], address: int, size: int, owner: Any) -> Handle:
    """A tensor in memory that the owner keeps. (A tensor without elements may have no memory.)"""
    number = _callbacks.keep(owner)
    try:
        sizes = (c_int64 * len(shape))(*shape)
        return make(lib.mnq_tensor_free, lib.mnq_tensor_wrap, int(dtype), sizes, len(shape), address, size,
                    _callbacks.release, number)  # fmt: skip
    except BaseException:
        _callbacks.drop(number)
        raise


def wrap_array(array: Any) -> Handle:
    """An array of NumPy; copied where it does not lie in a row or in this machine's order of bytes."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.__array_interface__.get("strides") is not None:
        array = array.copy(order="C")
    name = array.dtype.name
    if name not in NAMES:
        raise TypeError(f"a tensor cannot have the dtype {name}")
    return wrap(NAMES[name], array.shape, array.__array_interface__["data"][0], array.nbytes, array)


# ---- DLPack ----------------------------------------------------------------------------------------------------------

_is_capsule = _api.PyCapsule_IsValid
_is_capsule.restype, _is_capsule.argtypes = c_int, (c_void_p, c_char_p)
_capsule_pointer = _api.PyCapsule_GetPointer
_capsule_pointer.restype, _capsule_pointer.argtypes = c_void_p, (c_void_p, c_char_p)
_rename_capsule = _api.PyCapsule_SetName
_rename_capsule.restype, _rename_capsule.argtypes = c_int, (py_object, c_char_p)
_new_capsule = _api.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = py_object, (c_void_p, c_char_p, c_void_p)
_raw_deleter = CFUNCTYPE(None, c_void_p)
_destructor = ctypes.PYFUNCTYPE(None, c_void_p)

_OLD, _OLD_USED = b"dltensor", b"used_dltensor"
_NEW, _NEW_USED = b"dltensor_versioned", b"used_dltensor_versioned"


def take_dlpack(value: Any) -> Handle:
    """What has __dlpack__, as a tensor of PyTorch; one that does not lie in a row is copied by its own package."""
    if getattr(value, "requires_grad", False):
        value = value.detach()
    is_contiguous = getattr(value, "is_contiguous", None)
    if callable(is_contiguous) and not is_contiguous():
        value = value.contiguous()
    try:
        capsule = value.__dlpack__(max_version=(1, 0))
    except TypeError:  # a package from before DLPack 1.0
        capsule = value.__dlpack__()
    is_new = bool(_is_capsule(id(capsule), _NEW))
    function = lib.mnq_tensor_from_dlpack if is_new else lib.mnq_tensor_from_dlpack_unversioned
    tensor = make(lib.mnq_tensor_free, function, _capsule_pointer(id(capsule), _NEW if is_new else _OLD))
    _rename_capsule(capsule, _NEW_USED if is_new else _OLD_USED)
    return tensor


class _DLTensor(Structure):
    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32), ("code", c_uint8),
        ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]  # fmt: skip


class _Managed(Structure):
    _fields_ = [("tensor", _DLTensor), ("context", c_void_p), ("deleter", c_void_p)]


class _ManagedVersioned(Structure):
    _fields_ = [
        ("major", c_uint32), ("minor", c_uint32), ("context", c_void_p), ("deleter", c_void_p), ("flags", c_uint64),
        ("tensor", _DLTensor),
    ]  # fmt: skip


def _delete(pointer: int, structure: Any) -> None:
    deleter = structure.from_address(pointer).deleter
    if deleter:
        _raw_deleter(deleter)(pointer)


@_destructor
def _forget(capsule: int) -> None:
    """A capsule that nobody took the tensor out of."""
    for name, structure in ((_NEW, _ManagedVersioned), (_OLD, _Managed)):
        if _is_capsule(capsule, name):
            _delete(_capsule_pointer(capsule, name), structure)


def give_dlpack(tensor: Handle) -> Any:
    managed = c_void_p()
    call(lib.mnq_tensor_to_dlpack, tensor, byref(managed))
    return _new_capsule(managed, _NEW, ctypes.cast(_forget, c_void_p))


@_raw_deleter
def _drop_copy(pointer: int) -> None:
    _callbacks.drop(_Managed.from_address(pointer).context)


def copy_dlpack(tensor: Handle) -> Any:
    """For packages from before DLPack 1.0, which know no tensors that are only read: a copy, theirs to write to."""
    managed = c_void_p()
    call(lib.mnq_tensor_to_dlpack, tensor, byref(managed))
    original = _ManagedVersioned.from_address(managed.value or 0).tensor
    data = ctypes.create_string_buffer(ctypes.string_at(lib.mnq_tensor_data(tensor), lib.mnq_tensor_size_bytes(tensor)))
    rank = original.ndim
    shape = (c_int64 * rank)(*original.shape[:rank])
    copy = _Managed(original, None, ctypes.cast(_drop_copy, c_void_p).value)
    copy.tensor.data, copy.tensor.shape, copy.tensor.strides = ctypes.addressof(data), shape, None
    copy.context = _callbacks.keep((copy, data, shape))
    _delete(managed.value or 0, _ManagedVersioned)
    return _new_capsule(byref(copy), _OLD, ctypes.cast(_forget, c_void_p))
