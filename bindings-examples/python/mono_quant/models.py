"""A checkpoint held open, float or quantized."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping as MappingABC
from ctypes import sizeof
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Union

from . import _callbacks, _memory
from ._declarations import DType, mnq_layer_tensor
from ._errors import Failures
from ._library import Handle, buffer_bytes, call, lib, make, make_both, path_bytes, text, utf8
from .layers import Embedding, Linear
from .reports import Report
from .settings import Config, Run, config_of, run_of
from .streams import Writer, reader_of, writer_of
from .tensors import Tensor, handle_of
from .values import Value, handle_of_values, values_of

ConfigLike = Union[None, Config, Mapping[str, Any]]


class Layer(NamedTuple):
    """A tensor of a model, and what settings would make of it."""

    name: str
    tensor: str
    kind: str  # "Linear", "Conv2d"...; "" where it is no layer's weight
    action: str  # "quantize", "cast" or "copy"
    scheme: str  # "" where it is copied
    reason: str
    shape: tuple[int, ...]
    dtype: DType
    ties: tuple[str, ...]  # other names of the same weight


class Model(MappingABC):  # type: ignore[type-arg]
    """A model never changes: jobs make new ones. As a mapping it has the tensors as they are stored, by name.

    A model can be used by several threads at once. close(), or the end of a `with`, lets go of its file; a call that is
    under way ends as if it had not been closed.
    """

    def __init__(self, handle: Handle, watched: tuple[Failures, ...] = ()) -> None:
        self._open: Optional[Handle] = handle
        self._watched = watched  # of the readers that its data may come from

    # ---- Where models come from

    @classmethod
    def open(cls, source: Any, *, run: Optional[Run] = None, **settings: Any) -> Model:
        """Opens a checkpoint, a folder of one, or a TorchScript module. source: a path; bytes, or what has such memory
        (mmap), which is not copied; a file of Python; a Reader. Settings: tensors_key."""
        run = run_of(run, settings)
        if isinstance(source, (str, os.PathLike)):
            return cls(make(lib.mnq_model_free, lib.mnq_model_open_with, path_bytes(source), run._handle))
        if _memory.has_bytes(source):
            return cls(_open_memory(_memory.Buffer(source), run))
        reader = reader_of(source)
        arguments, watched = (reader._handle, run._handle), (reader._failures,)
        return cls(make(lib.mnq_model_free, lib.mnq_model_open_reader, *arguments, watched=watched), watched)

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Any],
        *,
        kinds: Mapping[str, str] = {},
        channel_axes: Mapping[str, int] = {},
        ties: Mapping[str, str] = {},
    ) -> Model:
        """A model of named tensors, as PyTorch's state_dict() has them; they are not copied, and must stay as they are.

        kinds         of the layers that tensors are weights of ("Linear"; "": none), where names and shapes do not tell
        channel_axes  of weights whose kind does not tell
        ties          tensors that are others: {name: the other's name}. The same memory is told by itself
        """
        handles = {name: _named_handle(name, tensor) for name, tensor in tensors.items() if name not in ties}
        entries = [_entry(name, handles.get(name), kinds, channel_axes, ties) for name in [*handles, *ties]]
        found = _shared_memory(handles)
        for entry in entries:
            entry.tied_to = entry.tied_to or found.get(entry.name)
        array = (mnq_layer_tensor * len(entries))(*entries)
        return cls(make(lib.mnq_model_free, lib.mnq_model_from_layers, array, len(entries)))

    def clone(self) -> Model:
        """A copy in memory, independent of the file or the buffers that this one came from."""
        return Model(make(lib.mnq_model_free, lib.mnq_model_clone, self._handle, watched=self._watched))

    # ---- What is in it

    def __len__(self) -> int:
        return int(lib.mnq_model_tensor_count(self._handle))

    def __iter__(self) -> Iterator[str]:
        return iter([text(lib.mnq_model_tensor_name(self._handle, index)) for index in range(len(self))])

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of that name as it is stored; a NotFoundError, which is a KeyError, where there is none."""
        function = lib.mnq_model_get_tensor
        return Tensor._of(make(lib.mnq_tensor_free, function, self._handle, utf8(name), watched=self._watched))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __repr__(self) -> str:
        return "<Model, closed>" if self._open is None else f"<Model of {len(self)} tensors>"

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def get_float(self, name: str, *, run: Optional[Run] = None, **settings: Any) -> Tensor:
        """One weight as floats of the dtype it came from, however it is stored."""
        run = run_of(run, settings)
        arguments = (self._handle, utf8(name), run._handle)
        return Tensor._of(
            make(lib.mnq_tensor_free, lib.mnq_model_get_float, *arguments, watched=self._all_watched(run))
        )

    def describe(self) -> dict[str, Any]:
        """What is in it: "format", "path", "size_bytes", "parameters", "metadata", "tensors", "quantized"..."""
        return dict(json.loads(buffer_bytes(lib.mnq_model_describe, self._handle, watched=self._watched)))

    def layers(self, config: ConfigLike = None, *, run: Optional[Run] = None, **settings: Any) -> list[Layer]:
        """Every tensor, and what the settings would make of it."""
        config, run = config_of(config), run_of(run, settings)
        arguments = (self._handle, _optional(config), run._handle)
        layers = make(lib.mnq_layers_free, lib.mnq_model_list_layers, *arguments, watched=self._watched)
        return [_layer(layers, index) for index in range(lib.mnq_layers_count(layers))]

    # ---- Jobs

    def quantize(
        self, config: ConfigLike = None, *, run: Optional[Run] = None, **settings: Any
    ) -> tuple[Model, Report]:
        """Makes a quantized model in memory. settings: keys (bits=4, group_size=128), and what Run takes."""
        config, run = config_of(config), run_of(run, settings)
        return self._make(run, lib.mnq_quantize, self._handle, _optional(config), run._handle)

    def quantize_to(
        self, target: Any, config: ConfigLike = None, *, run: Optional[Run] = None, **settings: Any
    ) -> Report:
        """The same to a path, a file of Python, a Writer or an Output, within memory_budget bytes."""
        config, run = config_of(config), run_of(run, settings)
        arguments = (_optional(config), run._handle)
        writer = writer_of(target)
        if writer is not None:
            return self._report(run, writer, lib.mnq_quantize_to_writer, self._handle, writer._handle, *arguments)
        return self._report(run, None, lib.mnq_quantize_to_file, self._handle, path_bytes(target), *arguments)

    def dequantize(self, *, run: Optional[Run] = None, **settings: Any) -> tuple[Model, Report]:
        """Makes a model of floats of the dtypes that the weights came from."""
        run = run_of(run, settings)
        return self._make(run, lib.mnq_dequantize, self._handle, run._handle)

    def dequantize_to(self, target: Any, *, run: Optional[Run] = None, **settings: Any) -> Report:
        """The same to a file of Python, a Writer or an Output. (dequantize_file: from a path to a path.)"""
        run, writer = run_of(run, settings), writer_of(target)
        if writer is None:
            raise TypeError("a path: save what dequantize gives, or use dequantize_file")
        return self._report(run, writer, lib.mnq_dequantize_to_writer, self._handle, writer._handle, run._handle)

    def plan(self, config: ConfigLike = None, *, run: Optional[Run] = None, **settings: Any) -> Report:
        """What quantize would do, without reading a weight; of a file, where `format` is set."""
        config, run = config_of(config), run_of(run, settings)
        return self._report(run, None, lib.mnq_plan, self._handle, _optional(config), run._handle)

    def compare(self, other: Model, *, run: Optional[Run] = None, **settings: Any) -> Report:
        """The accuracy of each tensor of another model against this one's."""
        run = run_of(run, settings)
        return self._report(run, other, lib.mnq_compare, self._handle, other._handle, run._handle)

    def save(self, target: Any, *, run: Optional[Run] = None, **settings: Any) -> None:
        """Writes it to a path, a file of Python, a Writer or an Output. The key `format` says how, else the path's
        extension. A path that is there is replaced where overwrite=True."""
        run, writer = run_of(run, settings), writer_of(target)
        function = lib.mnq_model_save if writer is None else lib.mnq_model_save_to_writer
        to = path_bytes(target) if writer is None else writer._handle
        call(function, self._handle, to, run._handle, watched=self._all_watched(run, writer))

    def to_bytes(self, *, run: Optional[Run] = None, **settings: Any) -> bytes:
        run = run_of(run, settings)
        return buffer_bytes(lib.mnq_model_save_memory, self._handle, run._handle, watched=self._all_watched(run))

    # ---- Layers by themselves

    def linear(self, layer: str, config: ConfigLike = None, *, run: Optional[Run] = None, **settings: Any) -> Linear:
        """The Linear layer of that name, independent of this model: with the codes it has, or quantized as the settings
        say."""
        config, run = config_of(config), run_of(run, settings)
        arguments = (self._handle, utf8(layer), _optional(config), run._handle)
        return Linear._of(make(lib.mnq_linear_free, lib.mnq_linear_create, *arguments, watched=self._all_watched(run)))

    def embedding(self, layer: str) -> Embedding:
        """The table of that layer, quantized or not; of a file, rows are read when they are asked for."""
        function = lib.mnq_embedding_create
        handle = make(lib.mnq_embedding_free, function, self._handle, utf8(layer), watched=self._watched)
        return Embedding(handle, self._watched)

    # ---- Modules

    def forward(
        self, *inputs: Any, method: Optional[str] = None, run: Optional[Run] = None, **named: Any
    ) -> dict[str, Value]:
        """Runs a TorchScript module. Inputs: tensors, numbers, flags, texts, None, and tuples, lists and dicts of them.
        Outputs are named by their place: "0" for a single one. LibTorch is PyTorch's, where that was imported."""
        given = handle_of_values([("", one) for one in inputs] + list(named.items()))
        arguments = (self._handle, utf8(method), given, None if run is None else run._handle)
        return dict(values_of(make(lib.mnq_values_free, lib.mnq_model_forward, *arguments, watched=self._watched)))

    def validate(
        self, original: Optional[Model] = None, *inputs: Any, run: Optional[Run] = None, **settings: Any
    ) -> Report:
        """Checks it, against an original; a module is run on the inputs, too."""
        run = run_of(run, settings)
        given = handle_of_values([("", one) for one in inputs]) if inputs else None
        arguments = (self._handle, _optional(original), given, run._handle)
        return self._report(run, original, lib.mnq_model_validate, *arguments)

    # ---- How long it lives

    def close(self) -> None:
        self._open = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _handle(self) -> Handle:
        if self._open is None:
            raise ValueError("the model is closed")
        return self._open

    def _all_watched(self, run: Run, other: Union[None, Model, Writer] = None) -> tuple[Failures, ...]:
        others = other._watched if isinstance(other, Model) else () if other is None else (other._failures,)
        return (run._failures, *self._watched, *others)

    def _make(self, run: Run, function: Any, *arguments: Any) -> tuple[Model, Report]:
        free = (lib.mnq_model_free, lib.mnq_report_free)
        model, report = make_both(function, *arguments, free=free, watched=self._all_watched(run))
        return Model(model, self._watched), Report(report)

    def _report(self, run: Run, other: Union[None, Model, Writer], function: Any, *arguments: Any) -> Report:
        return Report(make(lib.mnq_report_free, function, *arguments, watched=self._all_watched(run, other)))


def _optional(thing: Union[None, Config, Model]) -> Optional[Handle]:
    return None if thing is None else thing._handle


def _open_memory(buffer: _memory.Buffer, run: Run) -> Handle:
    number = _callbacks.keep(buffer)
    function, release = lib.mnq_model_wrap_memory, _callbacks.release
    try:
        return make(lib.mnq_model_free, function, buffer.address, buffer.size, release, number, run._handle)
    except BaseException:
        _callbacks.drop(number)
        raise


def _named_handle(name: str, tensor: Any) -> Handle:
    try:
        return handle_of(tensor)
    except TypeError as failure:
        raise TypeError(f"{name}: {failure}") from None


def _entry(
    name: str, handle: Optional[Handle], kinds: Mapping[str, str], axes: Mapping[str, int], ties: Mapping[str, str]
) -> mnq_layer_tensor:
    pointer = None if handle is None else handle._as_parameter_
    kind, tie = utf8(kinds.get(name)), utf8(ties.get(name))
    return mnq_layer_tensor(sizeof(mnq_layer_tensor), utf8(name), pointer, kind, axes.get(name, -1), tie)


def _shared_memory(handles: Mapping[str, Handle]) -> dict[bytes, bytes]:
    """{name: the first name of the same tensor}."""
    first: dict[tuple[int, ...], str] = {}
    found: dict[bytes, bytes] = {}
    for name, handle in handles.items():
        tensor = Tensor._of(handle)
        place = (tensor._address, tensor.size_bytes, tensor.dtype, *tensor.shape)
        if tensor.size_bytes > 0 and first.setdefault(place, name) != name:
            found[name.encode()] = first[place].encode()
    return found


def _layer(layers: Handle, index: int) -> Layer:
    shape = lib.mnq_layers_shape(layers, index)
    ties = range(lib.mnq_layers_tie_count(layers, index))
    return Layer(
        text(lib.mnq_layers_name(layers, index)),
        text(lib.mnq_layers_tensor(layers, index)),
        text(lib.mnq_layers_kind(layers, index)),
        text(lib.mnq_layers_action(layers, index)),
        text(lib.mnq_layers_scheme(layers, index)),
        text(lib.mnq_layers_reason(layers, index)),
        tuple(shape[: lib.mnq_layers_rank(layers, index)]),
        DType(lib.mnq_layers_dtype(layers, index)),
        tuple(text(lib.mnq_layers_tie(layers, index, tie)) for tie in ties),
    )
