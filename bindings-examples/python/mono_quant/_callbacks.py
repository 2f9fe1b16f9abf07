# mypy: disable-error-code="untyped-decorator"
"""What the library calls. The functions are the same for all objects, so none is freed while it runs; `user` is the
number under which the object that a call is for is kept."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any, Callable, Optional

from . import _interrupt
from ._declarations import (
    LogLevel,
    mnq_abort_fn,
    mnq_commit_fn,
    mnq_log_fn,
    mnq_observer_fn,
    mnq_progress_fn,
    mnq_read_fn,
    mnq_release_fn,
    mnq_write_fn,
)
from ._errors import Failures

_kept: dict[int, Any] = {}
_numbers = itertools.count(1)


def keep(thing: Any) -> int:
    """Keeps a thing until release is called with the number that it gets."""
    number = next(_numbers)
    _kept[number] = thing
    return number


def kept_count() -> int:
    """How many things the library holds on to; for tests."""
    return len(_kept)


def drop(number: int) -> None:
    _kept.pop(number, None)


release = mnq_release_fn(drop)


class RunCallbacks:
    """Those of a run."""

    def __init__(
        self,
        progress: Optional[Callable[[int, int], Any]],
        observer: Optional[Callable[..., Any]],
        log: Optional[Callable[[LogLevel, str], Any]],
    ) -> None:
        self.progress, self.observer, self.log = progress, observer, log
        self.failures = Failures()


class Stream:
    """A reader or a writer: what it was made of, and what its functions raised."""

    def __init__(self, functions: Any) -> None:
        self.functions = functions
        self.failures = Failures()


def _guarded(thing: Any, work: Callable[[], Any]) -> int:
    """0, or 1 where the work raises or says False: the library then stops."""
    try:
        return 1 if work() is False else 0
    except BaseException as failure:  # comes out of the call on the other side of the library
        thing.failures.keep(failure)
        return 1


@mnq_progress_fn
def progress(user: int, done: int, total: int) -> int:
    thing = _kept[user]

    def work() -> Any:
        _interrupt.deliver()
        return None if thing.progress is None else thing.progress(done, total)

    return _guarded(thing, work)


@mnq_observer_fn
def observer(user: int, index: int, count: int, layer: bytes, action: bytes, sqnr_db: float) -> int:
    thing = _kept[user]
    return _guarded(thing, lambda: thing.observer(index, count, layer.decode(), action.decode(), sqnr_db))


@mnq_log_fn
def log(user: int, level: int, message: bytes) -> None:
    thing = _kept[user]
    _guarded(thing, lambda: thing.log(LogLevel(level), message.decode()))


@mnq_log_fn
def process_log(user: int, level: int, message: bytes) -> None:
    """That of the process. What it raises has no call to come out of: ctypes hands it to sys.unraisablehook."""
    function = _kept.get(user)
    if function is not None:
        function(LogLevel(level), message.decode())


_api = ctypes.PyDLL(None)
_view = _api.PyMemoryView_FromMemory
_view.restype, _view.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_READ, _WRITE = 0x100, 0x200


def _with_memory(address: int, size: int, access: int, work: Callable[[memoryview], Any]) -> Any:
    """Shows memory for the time of the work: a view that is kept beyond it raises when it is used."""
    with _view(address, size, access) as view:
        return work(view)


@mnq_read_fn
def read(user: int, offset: int, into: int, size: int) -> int:
    thing = _kept[user]
    fill = thing.functions.read_into
    return _guarded(thing, lambda: _with_memory(into, size, _WRITE, lambda view: fill(offset, view)))


@mnq_write_fn
def write(user: int, offset: int, data: int, size: int) -> int:
    thing = _kept[user]
    take = thing.functions.write
    return _guarded(thing, lambda: _with_memory(data, size, _READ, lambda view: take(offset, view)))


@mnq_commit_fn
def commit(user: int, size: int) -> int:
    thing = _kept[user]
    return _guarded(thing, lambda: thing.functions.commit(size))


@mnq_abort_fn
def abort(user: int) -> None:
    thing = _kept[user]
    _guarded(thing, thing.functions.abort)
