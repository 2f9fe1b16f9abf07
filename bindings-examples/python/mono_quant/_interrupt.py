"""Ctrl-C during a call.

Python runs a handler of signals wherever it next runs code of its own, in the main thread: that is the start of a
callback, before it can catch anything, and what is raised there is lost on its way through C. So the handler waits
until a callback of the job asks for it, and else until the call is over.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Any, Iterator

_waiting: list[tuple[Any, int, Any]] = []  # handlers and what they are to be called with; of the main thread


@contextlib.contextmanager
def delayed() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if not callable(handler) or handler is _wait:
        yield
        return
    _handlers.append(handler)
    signal.signal(signal.SIGINT, _wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _handlers.pop())
        deliver()


_handlers: list[Any] = []


def _wait(number: int, frame: Any) -> None:
    _waiting.append((_handlers[-1], number, frame))


def deliver() -> None:
    """Calls the handlers that wait; they may raise."""
    while _waiting and threading.current_thread() is threading.main_thread():
        handler, number, frame = _waiting.pop()
        handler(number, frame)
