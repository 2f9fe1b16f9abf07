"""What goes into a method of a module, or comes out of it: a flat list of values, each with a name."""

from __future__ import annotations

from ctypes import byref, c_double, c_int64
from typing import Any, Iterable, Iterator, Union

from ._declarations import ValueKind
from ._library import Handle, call, lib, make, text, utf8
from .tensors import Tensor, handle_of

Value = Union[None, bool, int, float, str, Tensor]


def handle_of_values(named: Iterable[tuple[str, Any]]) -> Handle:
    values = make(lib.mnq_values_free, lib.mnq_values_create)
    place = 0
    for name, value in named:
        nested = isinstance(value, (tuple, list, dict)) and len(value) > 0
        if nested and not name:
            raise TypeError(f"input {place} has parts: pass it by the name of its argument")
        place += 1
        for path, leaf in _leaves(name, value):
            _add(values, path, leaf)
    return values


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Parts of tuples, lists and dicts have names joined by dots; an empty one is no value."""
    if not isinstance(value, (tuple, list, dict)):
        yield name, value
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    if not value:
        yield name, None
    for key, part in parts:
        yield from _leaves(f"{name}.{key}", part)


def _add(values: Handle, name: str, value: Any) -> None:
    where = utf8(name)
    if value is None:
        call(lib.mnq_values_add_none, values, where)
    elif isinstance(value, bool):
        call(lib.mnq_values_add_bool, values, where, value)
    elif isinstance(value, int):
        call(lib.mnq_values_add_int, values, where, value)
    elif isinstance(value, float):
        call(lib.mnq_values_add_float, values, where, value)
    elif isinstance(value, str):
        call(lib.mnq_values_add_text, values, where, utf8(value))
    else:
        call(lib.mnq_values_add_tensor, values, where, handle_of(value))


def values_of(values: Handle) -> Iterator[tuple[str, Value]]:
    for index in range(lib.mnq_values_count(values)):
        yield text(lib.mnq_values_name(values, index)), _value(values, index)


def _value(values: Handle, index: int) -> Value:
    kind = lib.mnq_values_kind(values, index)
    if kind == ValueKind.TENSOR:
        return Tensor._of(make(lib.mnq_tensor_free, lib.mnq_values_get_tensor, values, index))
    if kind == ValueKind.TEXT:
        return text(lib.mnq_values_get_text(values, index))
    if kind == ValueKind.FLOAT:
        number = c_double()
        call(lib.mnq_values_get_float, values, index, byref(number))
        return number.value
    if kind in (ValueKind.INT, ValueKind.BOOL):
        whole = c_int64()
        call(lib.mnq_values_get_int, values, index, byref(whole))
        return bool(whole.value) if kind == ValueKind.BOOL else whole.value
    return None
