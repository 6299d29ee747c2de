"""A provider's platform on Authlib, a library that no one here wrote: the other side of single sign-on (OpenID
Connect). Beside the client itself a small site, for browsers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, HttpResponseRedirect

from tests.serving import serving

CALLBACK = "/signed-in?from=portal"


def client_of(site: str, client_id: str, secret: str, **how: Any) -> Any:
    """What the platform was told when it was registered; the rest it finds out."""
    told = {"scope": "openid profile email", "code_challenge_method": "S256", **how}
    return OAuth().register(
        "portal",
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=f"{site}/.well-known/openid-configuration",
        client_kwargs=told,
    )


class Site:
    """It sends whoever wants to sign in to the portal, by a link or by a form, and shows what it was told. `client` is
    what it was given by `client_of`."""

    client: Any
    address: str

    def __init__(self) -> None:
        self._sessions: dict[str, dict[str, Any]] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        request = WSGIRequest(environ)
        key = request.COOKIES.get("platform") or secrets.token_urlsafe()
        request.session = self._sessions.setdefault(key, {})  # type: ignore[assignment]
        answer = self._answer(request)
        answer.set_cookie("platform", key, httponly=True, samesite="Lax")
        cookies = [("Set-Cookie", each.OutputString()) for each in answer.cookies.values()]
        start(f"{answer.status_code} {answer.reason_phrase}", [*answer.items(), *cookies])
        return [answer.content]

    def _answer(self, request: WSGIRequest) -> HttpResponse:
        session: Any = request.session
        if request.path == "/sign-in":
            redirect: HttpResponse = self.client.authorize_redirect(request, f"{self.address}{CALLBACK}")
            return redirect
        if request.path != "/signed-in":
            told = session.get("told")
            return _page("Your courses", f"<p>{escape(str(told))}</p>" if told else _WAYS)
        try:
            token = self.client.authorize_access_token(request)
            session["told"] = dict(token["userinfo"]) | dict(self.client.userinfo(token=token))
        except OAuthError as error:
            return _page(f"Refused: {error.error}", _WAYS)
        return HttpResponseRedirect("/")


_WAYS = """<p><a href="/sign-in">Sign in with your library</a></p>
<form method="post" action="/sign-in"><button>Sign in by a form</button></form>"""


def _page(heading: str, body: str) -> HttpResponse:
    title = "<!doctype html><html lang=en><title>Platform</title><link rel=icon href=data:,>"
    return HttpResponse(f"{title}<main><h1>{escape(heading)}</h1>{body}</main>")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def running_site() -> Iterator[Site]:
    """At another name of this machine than 127.0.0.1: to a browser, two sites."""
    site = Site()
    server = make_server("127.0.0.1", 0, site, _Server, _Quiet)
    site.address = f"http://localhost:{server.server_port}"
    with serving(server):
        yield site
