"""How a function of Moodle's web services is called, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import requests
from requests.auth import AuthBase

from catalog.provider.client import Connection
from catalog.provider.errors import ProviderError, Refused, Unclear, Unreachable
from catalog.provider.exchange import Answer, Exchange

PATH = "/webservice/rest/server.php"
Row = Mapping[str, Any]

# By the `errorcode`. Whatever is not here is trouble of the server's own: a write may have happened.
_MEANINGS: Mapping[str, str] = {
    **dict.fromkeys(
        ("invalidtoken", "servicenotavailable", "servicerequireslogin", "forcepasswordchangenotice")
        + ("wsaccessusersuspended", "wsaccessuserdeleted", "wsaccessuserunconfirmed", "wsaccessuserexpired")
        + ("wsaccessusernologin", "enablewsdescription", "sitepolicynotagreed"),
        "bad_token",
    ),
    # Also of one function that the token's service does not hold.
    **dict.fromkeys(
        ("accessexception", "nopermissions", "requireloginerror", "errorcoursecontextnotvalid"), "not_allowed"
    ),
    **dict.fromkeys(("wsusercannotassign", "notingroup", "usernotupdatedadmin", "useradminodelete"), "not_allowed"),
    **dict.fromkeys(("invalidparameter", "missingparam", "invaliduser", "invaliduserid"), "bad_request"),
    **dict.fromkeys(("invalidrecord", "invalidrecordunknown", "usernotdeletederror"), "bad_request"),
    **dict.fromkeys(("wsnoinstance", "wscannotenrol", "wscannotunenrol", "manualpluginnotinstalled"), "course_closed"),
}
# Said before anything is done.
_CLOSED = frozenset({"sitemaintenance", "upgraderunning"})


class Moodle:
    """The functions called through one of these share one deadline. `errorcode` is Moodle's own of the last call."""

    def __init__(self, connection: Connection, session: requests.Session, about: Sequence[str | None]) -> None:
        self._exchange = Exchange(connection, session, about)
        self._auth = _TokenInBody(connection.token)
        self._last: Answer | None = None
        self.errorcode = ""

    def call(self, function: str, values: Mapping[str, str], *, writes: bool = False) -> Answer:
        """Returns what is no error; `writes` says whether it changes anything."""
        self._last, self.errorcode = None, ""
        form = {"moodlewsrestformat": "json", "wsfunction": function, **values}
        return self._exchange.send(
            "POST",
            PATH,
            body=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            auth=self._auth,
            asked=f"POST {function}",
            writes=writes,
            failure_in=self._failure,
        )

    def document(self, function: str, values: Mapping[str, str]) -> tuple[Answer, Mapping[str, Any]]:
        answer = self.call(function, values)
        return answer, answer.document()

    def listed(self, answer: Answer, found: object = None) -> Sequence[Row]:
        """The rows of an answer that is a list of them, or of a part of it; each has its id."""
        rows = answer.parsed() if found is None else found
        if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
            raise answer.not_understood()
        return rows

    def warnings_in(self, answer: Answer) -> Sequence[str]:
        """What was not done although the answer is no error; older servers answer null."""
        found = answer.parsed()
        listed = found.get("warnings") if isinstance(found, dict) else None
        if found is None or listed == []:
            return []
        if not isinstance(listed, list) or not all(isinstance(warning, dict) for warning in listed):
            raise answer.not_understood()
        return [str(warning.get("warningcode")) for warning in listed]

    def refused(self, code: str, text: str) -> Refused:
        return Refused(code, text, answer=self._told())

    def unclear(self, code: str, text: str) -> Unclear:
        return Unclear(code, text, answer=self._told())

    def _told(self) -> str:
        return self._last.told() if self._last else ""

    def _failure(self, answer: Answer) -> ProviderError | None:
        self._last = answer
        found = _parsed_or_failure(answer)
        if isinstance(found, ProviderError):
            return found
        if not isinstance(found, dict) or not ("exception" in found or "errorcode" in found):
            return None
        self.errorcode = str(found.get("errorcode"))
        text = f"{answer.asked} was answered with an exception"
        if self.errorcode in _CLOSED:
            return Unreachable("server_error", text, answer=answer.told())
        code = _MEANINGS.get(self.errorcode)
        return answer.refused(code, text) if code else answer.open_failure("server_error", text)


def _parsed_or_failure(answer: Answer) -> object:
    try:
        return answer.parsed()
    except ProviderError as error:
        return error


class _TokenInBody(AuthBase):
    """Carries the token, so that no dictionary of values in a traceback shows it. Never in the address: addresses are
    written into logs."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        form = request.body or b""
        assert isinstance(form, bytes)
        request.body = form + b"&" + urlencode({"wstoken": self._token}).encode()
        return request


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and type(row.get("id")) is int
