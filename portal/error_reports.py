"""What is told of errors: in the mail to `ADMINS` what failed and where, never with what; in the log no rows.

Django's own report shows every local variable, form field, cookie and header unless somebody marked it as sensitive.
What passes through here are PINs, names and messages of library systems, and one forgotten mark is enough.
"""

from __future__ import annotations

import logging
import re
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

# PostgreSQL quotes the row that broke a rule: somebody's name, address and card.
_ROW = re.compile(r"DETAIL:.*?(?=\n\s*\n|\n(?:CONTEXT|HINT|Traceback)|\Z)", re.DOTALL)


class RowlessFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _ROW.sub("DETAIL: (left out)", super().format(record))


class NoValues(SafeExceptionReporterFilter):
    def get_safe_settings(self) -> dict[str, Any]:
        return {}

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
        return {}

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return {}

    def get_traceback_frame_variables(self, request: HttpRequest, tb_frame: FrameType) -> Any:
        return ()


class PlaceReporter(ExceptionReporter):
    """The kinds of the errors, the lines of the code, the page. An error's own words are left out as well: they may
    quote what could not be handled."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filter = NoValues()

    def get_traceback_data(self) -> dict[str, Any]:
        data = super().get_traceback_data()
        if place := data["template_info"]:
            data["template_info"] = place | {"message": ""}
        data |= dict.fromkeys(("exception_value", "exception_notes", "unicode_hint"), "")
        return data | dict.fromkeys(("request_GET_items", "request_FILES_items"), ())

    def get_traceback_frames(self) -> list[Any]:
        frames: list[Any] = super().get_traceback_frames()
        return [frame | {"exc_cause": _kind_of(frame["exc_cause"])} for frame in frames]

    def _get_raw_insecure_uri(self) -> str:
        """Without its query."""
        return str(self.request.path) if self.request else ""


def _kind_of(error: BaseException | None) -> str:
    return type(error).__name__ if error else ""
