"""Linear layers and embeddings by themselves, for programs that run a model on their own."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional, Union

from ._declarations import DType
from ._errors import Failures
from ._library import Handle, buffer_bytes, lib, make
from .settings import Config, Run, config_of, run_of
from .tensors import Tensor, handle_of


class Linear:
    """A Linear layer, packed once and multiplied in integers; Model.linear gives that of a model. Any number of threads
    may run it at once."""

    def __init__(
        self,
        weight: Any,
        bias: Any = None,
        config: Union[None, Config, Mapping[str, Any]] = None,
        *,
        run: Optional[Run] = None,
        **settings: Any,
    ) -> None:
        """Quantizes floats: weight [out, in] and bias [out]. settings: threads, symmetric_activations, and what
        quantizing takes."""
        config, run = config_of(config), run_of(run, settings)
        weight, bias = handle_of(weight), None if bias is None else handle_of(bias)
        config_handle = None if config is None else config._handle
        arguments = (weight, bias, config_handle, run._handle)
        self._handle = make(lib.mnq_linear_free, lib.mnq_linear_from_floats, *arguments, watched=(run._failures,))

    @classmethod
    def _of(cls, handle: Handle) -> Linear:
        linear = cls.__new__(cls)
        linear._handle = handle
        return linear

    def __call__(self, rows: Any, dtype: Optional[DType] = None) -> Tensor:
        """rows [.., in] of F32 or BF16 to [.., out], of the same dtype unless another is named."""
        given = Tensor._of(handle_of(rows))
        arguments = (self._handle, given._handle, given.dtype if dtype is None else dtype)
        return Tensor._of(make(lib.mnq_tensor_free, lib.mnq_linear_run_tensor, *arguments))

    def describe(self) -> dict[str, Any]:
        """What it is: "name", "scheme", "output_count", "row_length", "size_bytes"..."""
        return dict(json.loads(buffer_bytes(lib.mnq_linear_describe, self._handle)))


class Embedding:
    """The table of a layer; Model.embedding gives it."""

    def __init__(self, handle: Handle, watched: tuple[Failures, ...]) -> None:
        self._handle = handle
        self._watched = watched

    def __call__(self, indices: Any, dtype: DType = DType.F32) -> Tensor:
        """Rows as floats: indices of any shape, I64 or I32, to [.., row length]."""
        arguments = (self._handle, handle_of(indices), dtype)
        return Tensor._of(make(lib.mnq_tensor_free, lib.mnq_embedding_run_tensor, *arguments, watched=self._watched))

    def describe(self) -> dict[str, Any]:
        """What it is: "name", "scheme", "row_count", "row_length"."""
        return dict(json.loads(buffer_bytes(lib.mnq_embedding_describe, self._handle)))
