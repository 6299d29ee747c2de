"""The tool of tests/lti_tool.py as a site of its own: another site than the portal's, as a browser counts them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.lti_tool import LtiTool, Visit, query_of
from tests.serving import serving


@dataclass
class ToolSite:
    address: str = ""
    side: LtiTool | None = None
    # Whether it asks who came by a form, and not by a link; and where it sends the browser on to in the end.
    asks_by_form: bool = False
    sends_on_to: str = ""
    # What happens while the browser is there.
    meanwhile: Callable[[], object] = bool
    visit: Visit = field(default_factory=Visit)
    posted: list[dict[str, str]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)

    def login(self, told: dict[str, str]) -> tuple[str, str]:
        """An address to be sent to, or a page."""
        assert self.side is not None
        self.meanwhile()
        where = self.side.login(told, self.visit)
        if not self.asks_by_form:
            return where, ""
        fields = "".join(
            f'<input name="{name}" value="{html.escape(value)}">' for name, value in query_of(where).items()
        )
        page = f'<form method="post" action="{where.partition("?")[0]}">{fields}</form>'
        return "", f"{page}<script>document.forms[0].submit()</script>"

    def launch(self, posted: dict[str, str]) -> tuple[str, str]:
        assert self.side is not None
        self.posted.append(posted)
        if "id_token" not in posted:
            return "", f"<h1>Refused: {posted['error']}</h1>"
        self.claims.append(self.side.launch(posted, self.visit))
        return self.sends_on_to, "<h1>The course</h1>"


class _Handler(BaseHTTPRequestHandler):
    site: ToolSite

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self._send(*(self.site.login(query_of(self.path)) if path == "/login" else ("", "<h1>The player</h1>")))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._send(*self.site.launch(dict(parse_qsl(content))))

    def _send(self, location: str, page: str) -> None:
        content = f"<!doctype html><title>Tool</title><link rel=icon href=data:,>{page}".encode()
        self.send_response(302 if location else 200)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def running_tool() -> Iterator[ToolSite]:
    site = ToolSite()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    server.daemon_threads = True
    # The portal's pages are at another name: to a browser these are two sites.
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield site
