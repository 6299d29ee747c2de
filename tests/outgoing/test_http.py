"""What another system may do to the portal when it is asked over HTTP: nothing."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from time import monotonic, sleep

import pytest
import requests

from outgoing import http
from outgoing.guarded import GuardedAdapter
from outgoing.http import Bounds, Failure, RequestFailed, Response, Stage, download
from tests.catalog.provider.odd_server import Talk, odd_server, saying
from tests.certificates import HERE, Authority

PLAIN = ("https", "http")
ROSTER = b"number;valid_until\r\n2100;2026-12-31\r\n"
Ended = tuple[Failure, Stage]


def get(url: str, *, private: bool = True, schemes: tuple[str, ...] = PLAIN, **bounds: float) -> Response:
    whole = Bounds(ends_at=monotonic() + bounds.pop("deadline", 1.0), max_bytes=10_000, **bounds)
    with http.new_session(private=private, schemes=schemes) as session:
        return http.send(session, requests.Request("GET", url), whole)


def get_ends(url: str, **settings: object) -> Ended:
    with pytest.raises(RequestFailed) as failed:
        get(url, **settings)  # type: ignore[arg-type]
    return failed.value.code, failed.value.stage


def downloaded(url: str, *, login: str = "", secret: str = "", max_bytes: int = 10_000, deadline: float = 1.0) -> bytes:
    file = BytesIO()
    download(
        url,
        file,
        private=True,
        login=login,
        secret=secret,
        max_bytes=max_bytes,
        deadline=deadline,
        schemes=PLAIN,
    )
    return file.getvalue()


def download_ends(url: str, **settings: object) -> Ended:
    with pytest.raises(RequestFailed) as failed:
        downloaded(url, **settings)  # type: ignore[arg-type]
    return failed.value.code, failed.value.stage


def dripping(start: bytes, piece: bytes) -> Talk:
    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(20):
            sleep(0.05)
            connection.sendall(piece)

    return drip


@contextmanager
def talking_first(talk: Talk) -> Iterator[str]:
    """A server that does not wait for what it is asked. Gives its https address."""

    def serve() -> None:
        with listener.accept()[0] as connection, suppress(OSError):
            talk(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(timeout=10)


DRIPS = {
    "status": (b"", b"H"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}
BROKEN = {
    "hangs up": (b"", Failure.CLOSED),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nx", Failure.CLOSED),
    "cut in a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nx", Failure.CLOSED),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", Failure.GARBLED),
    "endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n", Failure.GARBLED),
    "too large": (b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000, Failure.TOO_LARGE),
}


# --- Where it goes ---


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "koha.example",
        "//koha.example",
        "ftp://koha.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https://",
        "https://:443/",
        "https://koha.example:0/",
        "https://koha.example:99999/",
        "https://koha.example:x/",
        "https://lin:secret@koha.example/",
        "https://koha.example@127.0.0.1/",
        "https://koha.example\\@127.0.0.1/",
        "https://koha.example/a b",
        "https://koha.example/\r\nX: y",
        "https://koha.example\t/",
        "https://[::1/",
        "https://a..b/",
        "https://" + "x" * 64 + ".example/",
    ],
)
def test_unusable_address_is_refused(url: str) -> None:
    assert get_ends(url) == (Failure.ADDRESS_UNUSABLE, Stage.ADDRESS)


def test_plain_http_is_refused_unless_it_is_allowed() -> None:
    with odd_server(saying("200 OK")) as odd:
        assert get_ends(odd.base_url, schemes=("https",)) == (Failure.ADDRESS_UNUSABLE, Stage.ADDRESS)
        with pytest.raises(RequestFailed) as failed:
            download(odd.base_url, BytesIO(), private=True, max_bytes=10, deadline=1.0)
    assert (failed.value.code, odd.requests) == (Failure.ADDRESS_UNUSABLE, [])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"])
def test_private_address_is_forbidden_in_every_spelling(host: str) -> None:
    with odd_server(saying("200 OK")) as odd:
        url = odd.base_url.replace("127.0.0.1", host)
        assert get_ends(url, private=False) == (Failure.ADDRESS_FORBIDDEN, Stage.RESOLVE)
    assert odd.requests == []


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "0.0.0.0"])
def test_metadata_address_is_forbidden_even_where_private_ones_are_allowed(host: str) -> None:
    assert get_ends(f"http://{host}/latest/meta-data/") == (Failure.ADDRESS_FORBIDDEN, Stage.RESOLVE)


def test_name_that_is_not_there_is_told() -> None:
    assert get_ends("https://nowhere.invalid/") == (Failure.NAME_UNKNOWN, Stage.RESOLVE)


def test_name_is_resolved_once_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer of a rebinding name is never asked for."""
    real, asked = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: str, port: int, *arguments: object, **named: object) -> object:
        asked.append(host)
        return real("127.0.0.1", port, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with odd_server(saying("200 OK", b"{}")) as odd:
        assert get(odd.base_url.replace("127.0.0.1", "koha.example")).content == b"{}"
        assert get_ends(odd.base_url.replace("127.0.0.1", "koha.example"), private=False)[0] == "address_forbidden"
    assert [host for host in asked if host != "127.0.0.1"] == ["koha.example"] * 2


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 Other", "307 Temporary", "308 Permanent"])
def test_redirect_is_not_followed(status: str) -> None:
    with odd_server(saying("200 OK")) as inside, odd_server(saying(status, b"", f"Location: {inside.base_url}")) as odd:
        assert get(odd.base_url).status == int(status[:3])
        assert download_ends(odd.base_url) == (Failure.REDIRECTED, Stage.EXCHANGE)
    assert (len(odd.requests), inside.requests) == (2, [])


def test_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:
        file.write("machine 127.0.0.1 login lin password secret\n")
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", netrc)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    answering = saying("200 OK", b"{}", "Set-Cookie: kept=1; Path=/")
    with odd_server(answering) as odd, http.new_session(private=True, schemes=PLAIN) as session:
        for _ in range(2):
            bounds = Bounds(ends_at=monotonic() + 1, max_bytes=10)
            assert http.send(session, requests.Request("GET", odd.base_url), bounds).status == 200
    assert [b"authorization" in one.lower() or b"cookie" in one.lower() for one in odd.requests] == [False, False]


def test_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert get_ends(f"http://127.0.0.1:{port}/") == (Failure.REFUSED, Stage.CONNECT)


# --- How long and how much ---


@pytest.mark.parametrize(("start", "piece"), DRIPS.values(), ids=DRIPS.keys())
def test_dripping_server_is_left_at_the_deadline(start: bytes, piece: bytes) -> None:
    with odd_server(dripping(start, piece)) as odd:
        for ends in (get_ends, download_ends):
            began = monotonic()
            assert ends(odd.base_url, deadline=0.2) == (Failure.TIMED_OUT, Stage.EXCHANGE)
            assert 0.15 < monotonic() - began < 0.5


def test_dripping_handshake_is_left_at_the_deadline() -> None:
    """A TLS record of 16,000 bytes, one byte at a time."""
    with talking_first(dripping(b"\x16\x03\x03\x3e\x80", b"x")) as url:
        began = monotonic()
        assert get_ends(url, deadline=0.3) == (Failure.TIMED_OUT, Stage.TLS)
        assert monotonic() - began < 0.6


def test_time_that_is_over_sends_nothing() -> None:
    with odd_server(saying("200 OK")) as odd:
        assert get_ends(odd.base_url, deadline=0) == (Failure.TIMED_OUT, Stage.ADDRESS)
    assert odd.requests == []


@pytest.mark.parametrize(("said", "failure"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_answer_is_told_by_what_broke(said: bytes, failure: Failure) -> None:
    with odd_server(lambda connection: connection.sendall(said)) as odd:
        assert get_ends(odd.base_url) == (failure, Stage.EXCHANGE)
        assert download_ends(odd.base_url) == (failure, Stage.EXCHANGE)
    assert len(odd.requests) == 2


def test_every_status_is_an_answer() -> None:
    with odd_server(saying("503 Down", b"later", "X-Reason: work")) as odd:
        response = get(odd.base_url)
    assert (response.status, response.content, response.headers["X-Reason"]) == (503, b"later", "work")


# --- Certificates ---


def test_server_with_a_good_certificate_is_spoken_to(trusted: Authority) -> None:
    with odd_server(saying("200 OK", b"{}"), trusted.server(HERE)) as odd:
        assert get(odd.base_url, schemes=("https",)).content == b"{}"


@pytest.mark.parametrize(
    ("context", "failure"),
    [
        (lambda authority: authority.server(HERE, ends=-1), Failure.TLS_EXPIRED),
        (lambda authority: authority.server("127.0.0.2"), Failure.TLS_OTHER_NAME),
    ],
    ids=["expired", "other name"],
)
def test_server_with_a_bad_certificate_is_sent_nothing(trusted: Authority, context: object, failure: Failure) -> None:
    tls = context(trusted)  # type: ignore[operator]
    with odd_server(saying("200 OK"), tls) as odd:
        assert get_ends(odd.base_url) == (failure, Stage.TLS)
    assert odd.requests == []


def test_server_with_a_certificate_of_an_unknown_authority_is_sent_nothing(authority: Authority) -> None:
    with odd_server(saying("200 OK"), authority.server(HERE)) as odd:
        assert get_ends(odd.base_url) == (Failure.TLS_UNTRUSTED, Stage.TLS)
    assert odd.requests == []


def test_server_without_tls_is_told() -> None:
    with talking_first(lambda connection: connection.sendall(b"220 hello\r\n")) as url:
        assert get_ends(url) == (Failure.TLS_FAILED, Stage.TLS)


def test_certificates_of_another_session_are_not_trusted(authority: Authority) -> None:
    with odd_server(saying("200 OK", b"{}"), authority.server(HERE)) as odd:
        with http.new_session(private=True) as session:
            session.verify = str(authority.path)
            bounds = Bounds(ends_at=monotonic() + 1, max_bytes=10)
            assert http.send(session, requests.Request("GET", odd.base_url), bounds).status == 200
        assert get_ends(odd.base_url) == (Failure.TLS_UNTRUSTED, Stage.TLS)


# --- Downloads ---


def test_download_writes_what_stands_there() -> None:
    with odd_server(saying("200 OK", ROSTER)) as odd:
        assert downloaded(odd.base_url) == ROSTER
    assert b"authorization" not in odd.requests[0].lower()


def test_download_in_chunks_is_put_together() -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with odd_server(lambda connection: connection.sendall(said)) as odd:
        assert downloaded(odd.base_url) == b"abcde"


def test_download_signs_in_where_it_is_told_to() -> None:
    with odd_server(saying("200 OK", ROSTER)) as odd:
        downloaded(odd.base_url, login="línea", secret="pá:ss")
    assert b"Authorization: Basic bMOtbmVhOnDDoTpzcw==\r\n" in odd.requests[0]


def test_download_of_the_most_bytes_is_whole_and_one_more_is_too_much() -> None:
    with odd_server(saying("200 OK", ROSTER)) as odd:
        assert downloaded(odd.base_url, max_bytes=len(ROSTER)) == ROSTER
        assert download_ends(odd.base_url, max_bytes=len(ROSTER) - 1) == (Failure.TOO_LARGE, Stage.EXCHANGE)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("204 No Content", Failure.SYSTEM_ERROR),
        ("206 Partial Content", Failure.SYSTEM_ERROR),
        ("400 Bad Request", Failure.SYSTEM_ERROR),
        ("401 Unauthorized", Failure.LOGIN_REFUSED),
        ("403 Forbidden", Failure.LOGIN_REFUSED),
        ("404 Not Found", Failure.NOT_FOUND),
        ("410 Gone", Failure.NOT_FOUND),
        ("429 Too Many Requests", Failure.SYSTEM_ERROR),
        ("500 Oops", Failure.SYSTEM_ERROR),
    ],
)
def test_download_of_anything_else_writes_nothing(status: str, failure: Failure) -> None:
    file = BytesIO()
    with odd_server(saying(status, b"<html>")) as odd, pytest.raises(RequestFailed) as failed:
        download(odd.base_url, file, private=True, max_bytes=100, deadline=1, schemes=PLAIN)
    assert (failed.value.code, file.getvalue()) == (failure, b"")


@pytest.mark.parametrize("head", [b"", b"Content-Encoding: gzip\r\nContent-Length: 39\r\n"], ids=["no end", "packed"])
def test_download_that_might_not_be_whole_is_refused(head: bytes) -> None:
    """A list that is cut would put out all whose cards stand behind the cut."""
    with odd_server(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + ROSTER)) as odd:
        assert download_ends(odd.base_url) == (Failure.GARBLED, Stage.EXCHANGE)


def test_file_that_cannot_be_written_is_no_failure_of_the_other_system() -> None:
    class Full(BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    with odd_server(saying("200 OK", ROSTER)) as odd, pytest.raises(OSError, match="No space left") as error:
        download(odd.base_url, Full(), private=True, max_bytes=100, deadline=1, schemes=PLAIN)
    assert not isinstance(error.value, RequestFailed)


# --- What is told ---


@pytest.mark.parametrize("said", [b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", b"garbage\r\n\r\n"])
def test_failure_holds_neither_the_secret_nor_the_address(said: bytes) -> None:
    with odd_server(lambda connection: connection.sendall(said)) as odd, pytest.raises(RequestFailed) as failed:
        downloaded(f"{odd.base_url}?cardnumber=2100", login="lin", secret="canary")
    error = failed.value
    assert (str(error), error.args) == (error.code.value, (error.code.value,))
    assert (error.__cause__, error.__context__) == (None, None)


def test_addresses_that_are_asked_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Card numbers stand in them. A malformed header makes urllib3 warn, with the address."""
    caplog.set_level(logging.DEBUG)
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nnot a header\r\nX: y\r\n\r\n{}"
    with odd_server(lambda connection: connection.sendall(said)) as odd:
        get(f"{odd.base_url}?cardnumber=2100")
    assert [record for record in caplog.records if "2100" in record.getMessage()] == []


def test_answer_and_way_to_sign_in_do_not_show_what_they_hold() -> None:
    shown = repr([Response(200, {"X": "canary"}, b"canary"), http.basic("lin", "canary"), http.Bearer("canary")])
    assert "canary" not in shown


def test_certificates_are_checked_by_default() -> None:
    context = GuardedAdapter(private=False).build_connection_pool_key_attributes(
        requests.Request("GET", "https://koha.example/").prepare(), True
    )[1]["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
