"""What pylti1p3 wants to know of the server it works in: requests, cookies, redirects, and a way out to the portal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests
from pylti1p3.cookie import CookieService
from pylti1p3.message_launch import MessageLaunch
from pylti1p3.oidc_login import OIDCLogin
from pylti1p3.redirect import Redirect
from pylti1p3.request import Request
from pylti1p3.service_connector import ServiceConnector
from pylti1p3.session import SessionService
from pylti1p3.tool_config.dict import ToolConfDict

SECONDS = (3, 10)  # to connect, and to wait for an answer
COOKIES = "/courses/"


@dataclass(frozen=True)
class Asked:
    """`path` without the query; `fields` of the query or of the form, `lists` with all the values of each; `origin` as
    the browser says it, if it does."""

    method: str
    path: str
    fields: Mapping[str, str]
    lists: Mapping[str, Sequence[str]]
    cookies: Mapping[str, str]
    origin: str | None


@dataclass(frozen=True)
class Answer:
    status: HTTPStatus
    content: str = ""
    content_type: str = "text/html; charset=utf-8"
    headers: Sequence[tuple[str, str]] = ()
    # Where else than here its forms may be sent.
    sends_to: str = ""


def see(address: str, *cookies: str) -> Answer:
    headers = [("Location", address), *(("Set-Cookie", cookie) for cookie in cookies)]
    return Answer(HTTPStatus.SEE_OTHER, headers=headers)


def cookie(name: str, value: str, seconds: int) -> str:
    return f"{name}={value}; Path={COOKIES}; Max-Age={seconds}; HttpOnly"


class ToolRequest(Request):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def is_secure(self) -> bool:
        return False

    def get_param(self, key: str) -> str:
        return self.asked.fields.get(key, "")


class ToolCookies(CookieService):
    """Without SameSite: the state has to come along with the portal's form, from another site where the portal is
    visited by another name of this machine."""

    def __init__(self, request: ToolRequest) -> None:
        self._request = request
        self.made: list[str] = []

    def get_cookie(self, name: str) -> str | None:
        return self._request.asked.cookies.get(f"{self._cookie_prefix}-{name}")

    def set_cookie(self, name: str, value: str | int, exp: int | None = 3600) -> None:
        self.made.append(cookie(f"{self._cookie_prefix}-{name}", str(value), exp or 3600))


class ToolRedirect(Redirect[Answer]):
    def __init__(self, address: str, cookies: ToolCookies) -> None:
        self._address, self._cookies = address, cookies

    def do_redirect(self) -> Answer:
        return see(self._address, *self._cookies.made)

    def do_js_redirect(self) -> Answer:
        return self.do_redirect()

    def set_redirect_url(self, location: str) -> None:
        self._address = location

    def get_redirect_url(self) -> str:
        return self._address


class ToolLogin(OIDCLogin[ToolRequest, ToolConfDict, SessionService, ToolCookies, Answer]):
    def get_redirect(self, url: str) -> ToolRedirect:
        return ToolRedirect(url, self._cookie_service)


class ToolConnector(ServiceConnector):
    """Asks for a token each time: one that the portal no longer knows is never used."""

    def _get_cached_access_token(self, scope_key: str) -> None:
        return None

    def _cache_access_token(self, scope_key: str, access_token: str, expires_in: float) -> None:
        pass


class ToolLaunch(MessageLaunch[ToolRequest, ToolConfDict, SessionService, ToolCookies]):
    def _get_request_param(self, key: str) -> str:
        return self._request.get_param(key)


class ToThePortal(requests.Session):
    """Directly, whatever proxy the environment names; not for ever; and to the address that was asked, no other."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def request(self, *args: Any, **options: Any) -> requests.Response:
        response = super().request(*args, **{"timeout": SECONDS, **options, "allow_redirects": False})
        if response.is_redirect:
            raise requests.TooManyRedirects("it sends us elsewhere", response=response)
        return response
