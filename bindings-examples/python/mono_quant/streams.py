"""The program's own input and output."""

from __future__ import annotations

import threading
from typing import Any, Callable, NamedTuple, Optional, Protocol

from . import _callbacks
from ._errors import Failures
from ._library import Handle, lib, make


class _Input(NamedTuple):
    """What the library holds on to of a reader, which is not the reader itself."""

    read_into: Callable[[int, memoryview], Any]


class Reader:
    """Input of any kind: an object in a store, a member of an archive, something encrypted.

    read_into(offset, view) fills the whole view with the bytes from offset on, and raises where it cannot. It is called
    from several threads at once, unless the key `threads` is 1. The bytes must not change.
    """

    def __init__(self, size: int, read_into: Callable[[int, memoryview], Any]) -> None:
        self.size = size
        functions = (_callbacks.read, _callbacks.release)
        self._failures, self._handle = _create(
            _Input(read_into), lib.mnq_reader_free, lambda number: (lib.mnq_reader_create, size, *functions, number)
        )


class Output(Protocol):
    """Output of any kind, for Writer."""

    def write(self, offset: int, data: memoryview) -> Any:
        """Takes bytes for offset on: each once, in any order, from several threads at once; some never: those are 0."""

    def commit(self, size: int) -> Any:
        """The output is whole and has this size: make it real."""

    def abort(self) -> Any:
        """The job failed: forget what was written."""


class Writer:
    """Takes one output at a time, and any number one after the other."""

    def __init__(self, output: Output) -> None:
        functions = (_callbacks.write, _callbacks.commit, _callbacks.abort, _callbacks.release)
        self._failures, self._handle = _create(
            output, lib.mnq_writer_free, lambda number: (lib.mnq_writer_create, *functions, number)
        )


def _create(functions: Any, free: Any, call_of: Callable[[int], tuple[Any, ...]]) -> tuple[Failures, Handle]:
    stream = _callbacks.Stream(functions)
    number = _callbacks.keep(stream)
    try:
        return stream.failures, make(free, *call_of(number))
    except BaseException:
        _callbacks.drop(number)
        raise


class FileInput:
    """A file of Python, whole, one reading at a time."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.size: int = file.seek(0, 2)

    def read_into(self, offset: int, view: memoryview) -> None:
        with self._lock:
            self._file.seek(offset)
            while len(view) > 0:
                got = self._read(view)
                if got == 0:
                    raise EOFError(f"the file ends {len(view)} bytes too early")
                view = view[got:]

    def _read(self, view: memoryview) -> int:
        if hasattr(self._file, "readinto"):
            return self._file.readinto(view) or 0
        data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)


class FileOutput:
    """A file of Python, from where it stands, one writing at a time."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._start: int = file.tell()

    def write(self, offset: int, data: memoryview) -> None:
        with self._lock:
            self._file.seek(self._start + offset)
            while len(data) > 0:
                written = self._file.write(data)
                data = data[len(data) if written is None else written :]

    def commit(self, size: int) -> None:
        """What nobody wrote at the end is 0, too."""
        missing = self._start + size - self._file.seek(0, 2)
        if missing > 0:
            self._file.write(bytes(missing))
        self._file.flush()

    def abort(self) -> None:
        self._file.seek(self._start)
        self._file.truncate()


def reader_of(source: Any) -> Reader:
    """A reader of a reader or a file."""
    if isinstance(source, Reader):
        return source
    if not hasattr(source, "read") or not hasattr(source, "seek"):
        raise TypeError(f"{type(source).__name__} is no path, no bytes, no file and no Reader")
    file = FileInput(source)
    return Reader(file.size, file.read_into)


def writer_of(target: Any) -> Optional[Writer]:
    """A writer of a writer, an Output or a file; None for what is none of them."""
    if isinstance(target, Writer):
        return target
    if hasattr(target, "commit") and hasattr(target, "abort"):
        return Writer(target)
    return Writer(FileOutput(target)) if hasattr(target, "write") and hasattr(target, "seek") else None
