"""What a job did, and what it cost."""

from __future__ import annotations

import ctypes
import functools
import json
from typing import Any, Optional

from ._errors import NotFoundError
from ._library import Handle, call, lib, text, utf8


class Report:
    """The fields are those of report.md, which is installed with the library."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @functools.cached_property
    def json(self) -> dict[str, Any]:
        """All of it. An exact result has the SQNR None and "exact"."""
        return dict(json.loads(text(lib.mnq_report_json(self._handle))))

    def number(self, name: str) -> Optional[float]:
        """One number of the whole model: "sqnr_db", "bytes_after", "seconds"... An exact result has an infinite
        sqnr_db; None where there is none."""
        value = ctypes.c_double()
        try:
            call(lib.mnq_report_number, self._handle, utf8(name), ctypes.byref(value))
        except NotFoundError:
            return None
        return value.value

    @property
    def sqnr_db(self) -> Optional[float]:
        return self.number("sqnr_db")

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Every tensor of the input, in its order."""
        return list(self.json["layers"])

    @property
    def warnings(self) -> list[str]:
        """What may be wrong."""
        return list(self.json["warnings"])

    @property
    def remarks(self) -> list[str]:
        """What is worth knowing."""
        return list(self.json["remarks"])

    @property
    def problems(self) -> list[str]:
        """What validating found."""
        count = lib.mnq_report_problem_count(self._handle)
        return [text(lib.mnq_report_problem(self._handle, index)) for index in range(count)]
