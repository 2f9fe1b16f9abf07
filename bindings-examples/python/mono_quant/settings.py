"""Settings: for one job on a run, for several in a config."""

from __future__ import annotations

import ctypes
import json
from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence, Union

from . import _callbacks
from ._declarations import LogLevel
from ._errors import Failures
from ._library import Handle, buffer_bytes, call, lib, make, text, utf8

Setting = Union[None, str, bool, int, float, Sequence[str]]


def as_text(value: Setting) -> bytes:
    """A value as the library reads it: None is "auto", a list is joined by commas."""
    if value is None:
        return b"auto"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (list, tuple)):
        value = ",".join(value)
    return utf8(str(value)) or b""


class Resolved(NamedTuple):
    """The value that holds for a key, and who set it: "default", "config", "config layers", "call" or "call layers"."""

    value: str
    source: str


class Config:
    """Settings of several jobs: Config(bits=4), or Config({"bits": 4, "layers": [{"name": "head.*", "bits": 8}]})."""

    def __init__(self, values: Optional[Mapping[str, Any]] = None, **settings: Setting) -> None:
        source = None if values is None else json.dumps(dict(values)).encode()
        self._handle: Handle = make(lib.mnq_config_free, lib.mnq_config_create, source)
        self.set(**settings)

    def set(self, **settings: Setting) -> None:
        """Sets keys for all layers."""
        for key, value in settings.items():
            call(lib.mnq_config_set, self._handle, utf8(key), as_text(value))

    def set_for_layers(self, pattern: str, **settings: Setting) -> None:
        """Sets keys for the layers whose name, or whose weight's name, matches a glob."""
        for key, value in settings.items():
            call(lib.mnq_config_set_for_layers, self._handle, utf8(pattern), utf8(key), as_text(value))

    def resolve(self, key: str, *, layer: Optional[str] = None, run: Optional[Run] = None) -> Resolved:
        """The value that holds for a key, of a layer or of none in particular."""
        source = ctypes.c_char_p()
        run_handle = None if run is None else run._handle
        value = _resolve(self._handle, run_handle, utf8(layer), utf8(key), source)
        return Resolved(value.decode(), text(source.value))

    def validate(self) -> None:
        """Raises for a combination that cannot be."""
        call(lib.mnq_config_validate, self._handle)

    def to_dict(self) -> dict[str, Any]:
        """What was set; Config(...) takes it."""
        return dict(json.loads(buffer_bytes(lib.mnq_config_to_json, self._handle)))

    @staticmethod
    def keys() -> list[dict[str, Any]]:
        """Every key: its "key", "type", "default", "per_layer", "help"..."""
        return list(json.loads(buffer_bytes(lib.mnq_config_list_keys)))


def _resolve(config: Handle, run: Optional[Handle], layer: Any, key: Any, source: ctypes.c_char_p) -> bytes:
    """The buffer is not the last output here."""
    buffer = ctypes.c_void_p()
    call(lib.mnq_config_resolve, config, run, layer, key, ctypes.byref(buffer), ctypes.byref(source))
    held = Handle(buffer.value or 0, lib.mnq_buffer_free)
    return ctypes.string_at(lib.mnq_buffer_data(held), lib.mnq_buffer_size(held))


class Run:
    """What belongs to one job: its settings, its callbacks, its cancel. It can serve several, one after the other.

    progress  (done_bytes, total_bytes): at the start, about ten times a second and at the end
    observer  (index, count, layer, action, sqnr_db): each tensor that is done
    log       (level, message)

    What they raise stops the job and comes out of the call; so does progress or observer that returns False, as
    CancelledError. Ctrl-C stops a job, too.
    """

    def __init__(
        self,
        *,
        progress: Optional[Callable[[int, int], Any]] = None,
        observer: Optional[Callable[[int, int, str, str, float], Any]] = None,
        log: Optional[Callable[[LogLevel, str], Any]] = None,
        **settings: Setting,
    ) -> None:
        self._callbacks = _callbacks.RunCallbacks(progress, observer, log)
        self._number = _callbacks.keep(self._callbacks)
        self._handle: Handle = make(lib.mnq_run_free, lib.mnq_run_create)
        call(lib.mnq_run_set_progress, self._handle, _callbacks.progress, self._number)
        if observer is not None:
            call(lib.mnq_run_set_observer, self._handle, _callbacks.observer, self._number)
        if log is not None:
            call(lib.mnq_run_set_log_callback, self._handle, _callbacks.log, self._number)
        self.set(**settings)

    def __del__(self) -> None:
        _callbacks.drop(self._number)

    def set(self, **settings: Setting) -> None:
        """Sets keys for this job; they win over those of a config."""
        for key, value in settings.items():
            call(lib.mnq_run_set, self._handle, utf8(key), as_text(value))

    def set_for_layers(self, pattern: str, **settings: Setting) -> None:
        for key, value in settings.items():
            call(lib.mnq_run_set_for_layers, self._handle, utf8(pattern), utf8(key), as_text(value))

    def cancel(self) -> None:
        """Stops the job, or the next one; from any thread. The run stays cancelled until reset."""
        lib.mnq_run_cancel(self._handle)

    @property
    def is_cancelled(self) -> bool:
        return bool(lib.mnq_run_is_cancelled(self._handle))

    def reset(self) -> None:
        """Makes a cancelled run one that is not, for its next job."""
        lib.mnq_run_reset(self._handle)

    @property
    def _failures(self) -> Failures:
        return self._callbacks.failures


def config_of(config: Union[None, Config, Mapping[str, Any]]) -> Optional[Config]:
    return config if config is None or isinstance(config, Config) else Config(config)


def run_of(run: Optional[Run], settings: Mapping[str, Any]) -> Run:
    """The run of a job: the caller's, or one of its own with the settings of the call."""
    if run is None:
        return Run(**settings)
    if settings:
        raise TypeError(f"{', '.join(settings)}: give settings to the run, or to a call without one")
    return run
