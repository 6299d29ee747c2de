"""A stand-in for a training company's Moodle: its web services over REST, a page for people, switches for faults.

    python -m portal.sandbox.moodle --port 8301 --state moodle.jsonl --token … --course C1 --course C2

On the loopback address only, with the manners of a real one: every error is answered with 200. The page and
/state.json show the accounts to whoever sits at this machine. Nothing is logged.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from portal.sandbox.moodle_functions import FUNCTIONS, RELEASE, MoodleException
from portal.sandbox.moodle_site import MoodleUser, Site
from portal.sandbox.platform import Handler, PlatformServer
from portal.sandbox.platform_faults import Calls, Faults, Kind

PATH = "/webservice/rest/server.php"
SITE_INFO = "core_webservice_get_site_info"
CREATE = "core_user_create_users"
Reply = tuple[int, dict[str, str], bytes]


class MoodlePlatform:
    """What is behind the address. `functions` are those that the token's service holds."""

    def __init__(self, state: Path, token: str, courses: Sequence[str] = ()) -> None:
        self.storage = Site(state, courses)
        self.faults = Faults()
        self.calls = Calls()
        self.functions = {SITE_INFO, *FUNCTIONS}
        self._token = token

    def answer(self, form: Mapping[str, str]) -> Reply | None:
        """None: close the connection without an answer."""
        function = form.get("wsfunction", "")
        self.calls.count(function or "?")
        if reply := self._turned_away():
            return reply
        status, told = HTTPStatus.OK, self._told(function, form)
        if slow := self.faults.take(Kind.SLOW):
            time.sleep(slow.seconds)
        failed = isinstance(told, dict) and "exception" in told
        if failed or "_get_" in function:
            return _json(status, told)
        if function == CREATE and self.faults.take(Kind.ERROR_AFTER_CREATING):
            return _json(status, MoodleException("generalexceptionmessage", "Exception - Something broke").told)
        return None if self.faults.take(Kind.DROPPED_REPLY) else _json(status, told)

    def _turned_away(self) -> Reply | None:
        if self.faults.take(Kind.DOWN):
            html = b"<!DOCTYPE html><html><body><h1>Site maintenance</h1></body></html>"
            return HTTPStatus.SERVICE_UNAVAILABLE, {"Content-Type": "text/html; charset=utf-8"}, html
        if fault := self.faults.take(Kind.TOO_MANY):
            headers = {"Content-Type": "text/plain", "Retry-After": f"{fault.seconds:.0f}"}
            return HTTPStatus.TOO_MANY_REQUESTS, headers, b"Too many requests.\n"
        return None

    def _told(self, function: str, form: Mapping[str, str]) -> object:
        try:
            return self._done(function, form)
        except MoodleException as error:
            return error.told
        except (KeyError, ValueError, TypeError):
            return MoodleException("invalidparameter", "Invalid parameter value detected").told

    def _done(self, function: str, form: Mapping[str, str]) -> object:
        if form.get("wstoken") != self._token:
            raise MoodleException("invalidtoken", "Invalid token - token not found")
        if function not in self.functions:
            raise MoodleException("accessexception", "Access control exception", "webservice_access_exception")
        if function == CREATE and self.faults.take(Kind.REFUSE):
            message = "Sorry, but you do not currently have permissions to do that (Create users)."
            raise MoodleException("nopermissions", message, "required_capability_exception")
        if function == SITE_INFO:
            functions = [{"name": name, "version": "2024042200"} for name in sorted(self.functions)]
            return {"sitename": "Sandbox", "release": RELEASE, "functions": functions}
        with self.storage.lock:
            return FUNCTIONS[function](self.storage, nested(form))

    def accounts(self) -> list[dict[str, object]]:
        """Newest first."""
        with self.storage.lock:
            return [_seen(user) for user in sorted(self.storage.users.values(), key=lambda user: -user.id)]

    def state(self) -> dict[str, object]:
        with self.storage.lock:
            enrolments = [vars(enrolment).copy() for enrolment in self.storage.enrolments.values()]
        return {
            "accounts": self.accounts(),
            "enrolments": enrolments,
            "faults": self.faults.listing(),
            "calls": self.calls.listing(),
        }


class MoodleHandler(Handler):
    server: MoodleServer

    def do_GET(self) -> None:
        body = self._body()
        if body is None:
            return self._reply((HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain", b"Too large.\n"))
        path = urlsplit(self.path).path
        if path == PATH:
            return self._web_service(body)
        self._reply(self._faults(body) if (self.command, path) == ("POST", "/faults") else self._look(path))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _web_service(self, body: bytes) -> None:
        asked = f"{urlsplit(self.path).query}&{body.decode(errors='replace')}"
        reply = self.server.platform.answer(dict(parse_qsl(asked, keep_blank_values=True)))
        if reply is None:
            self.close_connection = True
            return
        self._send(*reply)


class MoodleServer(PlatformServer):
    platform: MoodlePlatform  # type: ignore[assignment]

    def __init__(self, port: int, platform: MoodlePlatform) -> None:
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", port), MoodleHandler)
        self.platform = platform
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.connections = set()
        self._connections_lock = threading.Lock()


def nested(form: Mapping[str, str]) -> dict[str, Any]:
    """`users[0][email]=…` as PHP reads it."""
    found: dict[str, Any] = {}
    for name, value in form.items():
        first, *keys = [name.partition("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        place = found
        for key in keys:
            place = place.setdefault(first, {})
            first = key
        place[first] = value
    return found


def _json(status: HTTPStatus, told: object) -> Reply:
    return status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(told).encode()


def _seen(user: MoodleUser) -> dict[str, object]:
    return {
        "id": str(user.id),
        "external_id": user.idnumber or None,
        "user_name": user.username,
        "name": f"{user.firstname} {user.lastname}",
        "email": user.email,
        "language": user.lang,
        "active": not user.suspended,
        "created": user.created,
        "version": None,
    }


def _end(signal_number: int, frame: object) -> None:
    raise SystemExit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for a training company's Moodle.")
    parser.add_argument("--port", type=int, required=True, help="0: any free port")
    parser.add_argument("--state", type=Path, required=True, help="the file that keeps the accounts")
    parser.add_argument("--token", default=os.environ.get("SANDBOX_PLATFORM_TOKEN"), help="the web service's token")
    parser.add_argument("--course", action="append", default=[], help="the ID number of a course; may be repeated")
    options = parser.parse_args()
    if not options.token:
        parser.error("--token or SANDBOX_PLATFORM_TOKEN is needed")
    signal.signal(signal.SIGTERM, _end)
    server = MoodleServer(options.port, MoodlePlatform(options.state, options.token, options.course))
    print(f"Moodle on {server.address}/", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
