"""A provider's platform on pylti1p3next, a library that no one here wrote: the tool's side of a launch (LTI 1.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from pylti1p3.cookie import CookieService
from pylti1p3.message_launch import MessageLaunch
from pylti1p3.oidc_login import OIDCLogin
from pylti1p3.redirect import Redirect
from pylti1p3.request import Request
from pylti1p3.session import SessionService
from pylti1p3.tool_config.dict import ToolConfDict


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


@dataclass
class Visit:
    """One browser at the tool: what it was given to keep."""

    session: dict[str, Any] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)


@dataclass
class LtiTool:
    """`keys` is asked for the platform's keys each time; `launch_url` is where it wants its answers."""

    issuer: str
    client_id: str
    deployment_id: str
    authorization: str
    token: str
    launch_url: str
    keys: Callable[[], dict[str, Any]]

    def login(self, told: Mapping[str, str], visit: Visit) -> str:
        """Where the browser is sent to ask who it is. Raises OIDCException."""
        request = _Request(told, visit)
        login = _Login(request, self._config(), session_service=SessionService(request), cookie_service=_Cookies(visit))
        return login.redirect(self.launch_url)

    def launch(self, posted: Mapping[str, str], visit: Visit) -> dict[str, Any]:
        """What a launch tells, once all of it has been checked. Raises LtiException."""
        return cast(dict[str, Any], self.message(posted, visit).get_launch_data())

    def message(self, posted: Mapping[str, str], visit: Visit) -> _Message:
        request = _Request(posted, visit)
        message = _Message(
            request, self._config(), session_service=SessionService(request), cookie_service=_Cookies(visit)
        )
        message.validate()
        return message

    def _config(self) -> ToolConfDict:
        told = {
            "client_id": self.client_id,
            "auth_login_url": self.authorization,
            "auth_token_url": self.token,
            "key_set": self.keys(),
            "deployment_ids": [self.deployment_id],
        }
        return ToolConfDict({self.issuer: cast(Any, told)})


class _Request(Request):
    def __init__(self, parameters: Mapping[str, str], visit: Visit) -> None:
        self._parameters, self._visit = parameters, visit

    @property
    def session(self) -> dict[str, Any]:
        return self._visit.session

    def is_secure(self) -> bool:
        return False

    def get_param(self, key: str) -> str:
        return self._parameters.get(key, "")


class _Cookies(CookieService):
    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def get_cookie(self, name: str) -> str | None:
        return self._visit.cookies.get(name)

    def set_cookie(self, name: str, value: str | int, exp: int | None = 3600) -> None:
        self._visit.cookies[name] = str(value)


class _Redirect(Redirect[str]):
    def __init__(self, location: str) -> None:
        self._location = location

    def do_redirect(self) -> str:
        return self._location

    def do_js_redirect(self) -> str:
        raise NotImplementedError

    def set_redirect_url(self, location: str) -> None:
        self._location = location

    def get_redirect_url(self) -> str:
        return self._location


class _Login(OIDCLogin[_Request, ToolConfDict, SessionService, _Cookies, str]):
    def get_redirect(self, url: str) -> _Redirect:
        return _Redirect(url)


class _Message(MessageLaunch[_Request, ToolConfDict, SessionService, _Cookies]):
    def _get_request_param(self, key: str) -> str:
        return self._request.get_param(key)
