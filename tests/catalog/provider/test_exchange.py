"""Servers that drip, flood, redirect, hang up or say nothing."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from catalog.provider.client import Connection
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unclear, Unreachable
from catalog.provider.exchange import Exchange, new_session, retry_after
from tests.catalog.provider.odd_server import Talk, odd_server, saying

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRET = "very-secret-token"


def exchange_with(base_url: str, **settings: float) -> Exchange:
    bounds = replace(Connection(base_url, SECRET, 0.5, 0.5, 1.0, max_bytes=10_000), **settings)  # type: ignore[arg-type]
    return Exchange(bounds, new_session())


def outcome(base_url: str, method: str, **settings: float) -> ProviderError:
    with pytest.raises(ProviderError) as error:
        exchange_with(base_url, **settings).send(method, "/Users", body=b"{}" if method == "POST" else None)
    return error.value


def summary(error: ProviderError) -> tuple[type[ProviderError], str]:
    return type(error), error.code


def dripping(start: bytes, piece: bytes) -> Talk:
    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(40):
            time.sleep(0.05)
            connection.sendall(piece)

    return drip


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["status", "headers", "continue", "body", "chunks", "endless"],
)
@pytest.mark.parametrize(("method", "error"), [("GET", Unreachable), ("POST", Unclear)])
def test_dripping_server_is_left_at_the_deadline(
    start: bytes, piece: bytes, method: str, error: type[ProviderError]
) -> None:
    with odd_server(dripping(start, piece)) as odd:
        began = time.monotonic()
        found = outcome(odd.base_url, method, deadline=0.4)
        took = time.monotonic() - began
    assert summary(found) == (error, "timeout")
    assert 0.35 < took < 0.9


def test_silent_server_is_left_at_the_read_timeout() -> None:
    with odd_server(lambda connection: time.sleep(0.6)) as odd:
        assert summary(outcome(odd.base_url, "GET")) == (Unreachable, "timeout")
        assert summary(outcome(odd.base_url, "POST")) == (Unclear, "timeout")


def test_all_requests_of_an_exchange_share_its_deadline() -> None:
    with odd_server(saying("200 OK", b"{}")) as odd:
        exchange = exchange_with(odd.base_url, deadline=1)
        assert exchange.send("GET", "/Users").status == 200
        time.sleep(1)
        with pytest.raises(Unreachable):
            exchange.send("POST", "/Users", body=b"{}")
    assert len(odd.requests) == 1


@pytest.mark.parametrize("head", [b"Content-Length: 20000\r\n\r\n", b"\r\n"])
def test_huge_body_is_not_taken_in(head: bytes) -> None:
    with odd_server(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"x" * 20_000)) as odd:
        assert summary(outcome(odd.base_url, "GET")) == (Unreachable, "answer_too_large")
        assert summary(outcome(odd.base_url, "POST")) == (Unclear, "answer_too_large")


def test_packed_body_is_not_unpacked() -> None:
    with odd_server(saying("200 OK", b"\x1f\x8b packed", "Content-Encoding: gzip")) as odd:
        assert exchange_with(odd.base_url).send("GET", "/Users").content == b"\x1f\x8b packed"
    assert b"Accept-Encoding: identity\r\n" in odd.requests[0]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_redirect_is_refused_and_not_followed(status: str) -> None:
    with odd_server(saying(status, b"", "Location: /v2/elsewhere")) as odd:
        assert summary(outcome(odd.base_url, "POST")) == (Refused, "redirected")
    assert len(odd.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        ("400 Bad Request", b"", "bad_request"),
        ("401 Unauthorized", b"", "bad_token"),
        ("403 Forbidden", b"no", "not_allowed"),
        ("403 Forbidden", b"License LIMIT reached", "limit_reached"),
        ("404 Not Found", b"", "not_found"),
        ("409 Conflict", b"", "conflict"),
        ("501 Not Implemented", b"", "bad_request"),
    ],
)
def test_permanent_answers_are_refused(status: str, body: bytes, code: str) -> None:
    with odd_server(saying(status, body)) as odd:
        assert summary(outcome(odd.base_url, "POST")) == (Refused, code)


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Down", "504 Late", "408 Timeout"])
def test_server_errors_leave_a_write_unclear(status: str) -> None:
    with odd_server(saying(status, b"", "Retry-After: 40")) as odd:
        read, write = outcome(odd.base_url, "GET"), outcome(odd.base_url, "POST")
    assert [summary(read), summary(write)] == [(Unreachable, "server_error"), (Unclear, "server_error")]
    assert (read.after, write.after) == (40.0, 40.0)


def test_dropped_connection_leaves_a_write_unclear() -> None:
    with odd_server(lambda connection: None) as odd:
        assert summary(outcome(odd.base_url, "GET")) == (Unreachable, "connection_lost")
        assert summary(outcome(odd.base_url, "POST")) == (Unclear, "connection_lost")


def test_answer_cut_short_leaves_a_write_unclear() -> None:
    cut = b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"
    with odd_server(lambda connection: connection.sendall(cut)) as odd:
        assert summary(outcome(odd.base_url, "POST")) == (Unclear, "connection_lost")


def test_answer_that_is_not_http_leaves_a_write_unclear() -> None:
    with odd_server(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n")) as odd:
        assert summary(outcome(odd.base_url, "POST")) == (Unclear, "connection_lost")


def test_refused_connection_means_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert summary(outcome(f"http://127.0.0.1:{port}/v2", "POST")) == (Unreachable, "unreachable")


def test_connection_that_is_never_accepted_means_nothing_was_sent() -> None:
    with full_listener() as port:
        assert summary(outcome(f"http://127.0.0.1:{port}/v2", "POST")) == (Unreachable, "unreachable")


class full_listener:
    """A port whose queue is full: the next connection is neither accepted nor refused."""

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        port: int = self.listener.getsockname()[1]
        self.waiting = [socket.socket() for _ in range(4)]
        for client in self.waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        return port

    def __exit__(self, *_: object) -> None:
        for client in [*self.waiting, self.listener]:
            client.close()


@pytest.mark.parametrize("base_url", ["", "nonsense", "ftp://example.be/v2", "http:///v2", "http://a:b:c/v2"])
def test_unusable_address_is_refused(base_url: str) -> None:
    assert summary(outcome(base_url, "POST")) == (Refused, "bad_address")


@pytest.mark.parametrize("token", ["", "two\r\nlines", "sécret"])
def test_unusable_token_is_refused_before_anything_is_sent(token: str) -> None:
    with odd_server(saying("200 OK")) as odd, pytest.raises(Refused) as refusal:
        Exchange(Connection(odd.base_url, token), new_session()).send("GET", "/Users")
    assert refusal.value.code == "bad_token"
    assert odd.requests == []


class Turns:
    """Notes when a request takes its turn, and when one is built."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @contextmanager
    def __call__(self, *, writes: bool) -> Iterator[None]:
        self.seen.append(f"turn writes={writes}")
        yield

    def auth(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self.seen.append("built")
        return request


def test_request_is_built_before_its_turn() -> None:
    turns = Turns()
    with odd_server(saying("200 OK", b"{}")) as odd:
        exchange = Exchange(Connection(odd.base_url, SECRET, turn=turns), new_session())
        exchange.send("GET", "/Users", auth=turns.auth)  # type: ignore[arg-type]
        exchange.send("POST", "/Users", body=b"{}")
        exchange.send("POST", "/find", body=b"{}", writes=False)
    assert turns.seen == ["built", "turn writes=False", "turn writes=True", "turn writes=False"]


@pytest.mark.parametrize(
    ("base_url", "headers", "deadline", "code"),
    [
        ("http://127.0.0.1:9/v2", {"If-Match": "two\r\nlines"}, 9.0, "bad_request"),
        ("http://127.0.0.1:99999/v2", {}, 9.0, "bad_address"),
        ("ftp://127.0.0.1/v2", {}, 9.0, "bad_address"),
        ("http://127.0.0.1:9/v2", {}, 0.0, "timeout"),
    ],
)
def test_request_that_cannot_be_sent_takes_no_turn(
    base_url: str, headers: dict[str, str], deadline: float, code: str
) -> None:
    turns = Turns()
    exchange = Exchange(Connection(base_url, SECRET, deadline=deadline, turn=turns), new_session())
    with pytest.raises(ProviderError) as error:
        exchange.send("PATCH", "/Users", headers=headers, body=b"{}")
    assert (error.value.code, turns.seen) == (code, [])
    assert not isinstance(error.value, Unclear)


def test_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with odd_server(saying("200 OK", b"{}", "Set-Cookie: kept=1; Path=/")) as odd:
        session = new_session()
        for _ in range(2):
            Exchange(Connection(odd.base_url, SECRET), session).send("GET", "/Users")
    assert [b"Cookie:" in request for request in odd.requests] == [False, False]


@pytest.mark.parametrize(
    "talk",
    [saying("401 No", b"ada@example.be"), saying("302 Found"), lambda connection: None],
    ids=["401", "302", "drop"],
)
def test_errors_carry_neither_the_token_nor_what_was_sent(talk: Talk) -> None:
    with odd_server(talk) as odd, pytest.raises(ProviderError) as error:
        exchange_with(odd.base_url).send("POST", "/Users", body=b"ada@example.be")
    told = f"{error.value!r} {error.value} {error.value.__dict__}"
    assert (SECRET in told, "ada" in told) == (False, False)
    assert (error.value.__cause__, error.value.__context__) == (None, None)


def test_connection_hides_its_token() -> None:
    assert SECRET not in repr(Connection("http://x/v2", SECRET))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("0", 1.0),
        ("-5", 1.0),
        ("9" * 5000, 3600.0),
        ("1e999", 3600.0),
        ("nan", 30.0),
        ("", 30.0),
        ("soon", 30.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 1.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Mon, 02 Mar 2026 09:01:00 -0000", 60.0),
        ("Mon, 99 Mar 2026 09:01:00 GMT", 30.0),
        ("Mon, 02 Mar 2026 09:01:00 +9999", 30.0),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=NOW) == seconds


@pytest.mark.parametrize(("header", "after"), [("Retry-After: 12", 12.0), ("Retry-After: what", 30.0), ("X: y", 30.0)])
def test_rate_limit_always_says_how_long(header: str, after: float) -> None:
    with odd_server(saying("429 Too Many Requests", b"", header)) as odd:
        error = outcome(odd.base_url, "POST")
    assert (type(error), error.after) == (RateLimited, after)


def test_rate_limit_understands_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    with odd_server(saying("429 Too Many Requests", b"", f"Retry-After: {date}")) as odd:
        error = outcome(odd.base_url, "GET")
    assert isinstance(error, RateLimited)
    assert 95 < error.after <= 100
