"""One tensor: element type, shape, data. It never changes once it is made."""

from __future__ import annotations

import ctypes
from typing import Any, Optional

from . import _memory
from ._declarations import DType
from ._library import Handle, lib


class Tensor:
    """A tensor of the library. NumPy and DLPack see its memory as it is, and only read it: numpy.asarray(tensor),
    torch.from_dlpack(tensor). It is freed when nobody uses it any more."""

    def __init__(self, source: Any) -> None:
        """Takes an array of NumPy, or what has __dlpack__ as tensors of PyTorch do, without copying it, so that it must
        stay as it is. What does not lie in a row in memory is copied."""
        self._handle: Handle = handle_of(source)

    @classmethod
    def _of(cls, handle: Handle) -> Tensor:
        tensor = cls.__new__(cls)
        tensor._handle = handle
        return tensor

    @classmethod
    def from_bytes(cls, dtype: DType, shape: tuple[int, ...], data: Any) -> Tensor:
        """One whose data is the bytes of a buffer; they are not copied."""
        buffer = _memory.Buffer(data)
        return cls._of(_memory.wrap(dtype, tuple(shape), buffer.address, buffer.size, buffer))

    @property
    def dtype(self) -> DType:
        return DType(lib.mnq_tensor_dtype(self._handle))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(lib.mnq_tensor_shape(self._handle)[: lib.mnq_tensor_rank(self._handle)])

    @property
    def size_bytes(self) -> int:
        return int(lib.mnq_tensor_size_bytes(self._handle))

    @property
    def data(self) -> memoryview:
        """The bytes, as they lie in memory."""
        if self.size_bytes == 0:
            return memoryview(b"")
        memory = (ctypes.c_uint8 * self.size_bytes).from_address(self._address)
        memory._tensor = self  # type: ignore[attr-defined]  # the view keeps the array, and that this
        return memoryview(memory).cast("B").toreadonly()

    def numpy(self) -> Any:
        """An array of NumPy. Types that NumPy lacks (bfloat16, floats of 8 bits) are those of ml_dtypes."""
        import numpy

        if self.dtype in _memory.TYPE_TEXTS:
            return numpy.asarray(self)
        import ml_dtypes  # type: ignore[import-not-found, import-untyped, unused-ignore]

        names = {dtype: name for name, dtype in _memory.NAMES.items()}
        return numpy.frombuffer(self.data, getattr(ml_dtypes, names[self.dtype])).reshape(self.shape)

    @property
    def _address(self) -> int:
        return lib.mnq_tensor_data(self._handle) or 0

    @property
    def __array_interface__(self) -> dict[str, Any]:
        text = _memory.TYPE_TEXTS.get(self.dtype)
        if text is None:
            raise AttributeError(f"NumPy has no {self.dtype.name}: see Tensor.numpy")
        return {"version": 3, "shape": self.shape, "typestr": text, "data": (self._address, True)}

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Optional[tuple[int, int]] = None,
        dl_device: Optional[tuple[int, int]] = None,
        copy: Optional[bool] = None,
    ) -> Any:
        """A consumer that knows DLPack 1.0 shares the memory; an older one, or who asks for that, gets a copy."""
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError("the tensor is in the memory of the CPU")
        is_old = max_version is None or max_version[0] < 1
        if is_old and copy is False:
            raise BufferError("a tensor that is only read cannot be shared before DLPack 1.0")
        return _memory.copy_dlpack(self._handle) if is_old or copy else _memory.give_dlpack(self._handle)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # the CPU

    def __repr__(self) -> str:
        return f"<Tensor {self.dtype.name} {list(self.shape)}>"


def handle_of(source: Any) -> Handle:
    if isinstance(source, Tensor):
        return source._handle
    if hasattr(source, "__array_interface__") and hasattr(source, "dtype"):
        return _memory.wrap_array(source)
    if hasattr(source, "__dlpack__"):
        return _memory.take_dlpack(source)
    raise TypeError(f"{type(source).__name__} is no tensor: it has neither __dlpack__ nor the array interface of NumPy")
