"""What goes wrong: the library's errors as exceptions, and those of callbacks on their way through it."""

from __future__ import annotations

import threading
from ctypes import c_void_p
from typing import Any, Optional

from ._declarations import Status


class Error(Exception):
    """What the library says of a failure.

    code        why, as a status of the library
    message     what went wrong
    suggestion  what to do about it; may be ""
    subject     the file, tensor, layer or key at fault; may be ""
    """

    def __init__(self, code: Status, message: str, suggestion: str = "", subject: str = "") -> None:
        super().__init__(code, message, suggestion, subject)
        self.code = code
        self.message = message
        self.suggestion = suggestion
        self.subject = subject

    def __str__(self) -> str:
        return f"{self.message}\n{self.suggestion}" if self.suggestion else self.message


class InvalidArgumentError(Error, ValueError):
    """A size or a value that cannot be."""


class ConfigError(Error, ValueError):
    """An unknown key, a bad value, an impossible combination."""


class NotFoundError(Error, KeyError):
    """No such file, tensor, layer or key."""


class FormatError(Error, ValueError):
    """A file is not what its format demands."""


class UnsupportedError(Error, NotImplementedError):
    """Known, but not there."""


class CancelledError(Error):
    """The run was cancelled."""


class OutOfMemoryError(Error, MemoryError):
    """Memory did not suffice."""


_CLASSES: dict[int, type[Error]] = {
    Status.INVALID_ARG: InvalidArgumentError,
    Status.CONFIG: ConfigError,
    Status.NOT_FOUND: NotFoundError,
    Status.FORMAT: FormatError,
    Status.UNSUPPORTED: UnsupportedError,
    Status.CANCELLED: CancelledError,
    Status.OUT_OF_MEMORY: OutOfMemoryError,
}


def error_of(lib: Any, status: int, error: c_void_p) -> Error:
    """Makes an exception of an mnq_error, and frees it."""
    texts = (lib.mnq_error_message(error), lib.mnq_error_suggestion(error), lib.mnq_error_subject(error))
    lib.mnq_error_free(error)
    try:
        code = Status(status)
    except ValueError:  # of a newer library
        code = Status.INTERNAL
    return _CLASSES.get(code, Error)(code, *(one.decode("utf-8") for one in texts))


class Failures:
    """What callbacks raised, on whatever thread: the first of them comes out of the call that they made fail."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: Optional[BaseException] = None

    def keep(self, failure: BaseException) -> None:
        with self._lock:
            self._first = failure if self._first is None else self._first

    def take(self) -> Optional[BaseException]:
        with self._lock:
            first, self._first = self._first, None
        return first
