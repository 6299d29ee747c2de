"""Connections for `requests` that go only where they may, check certificates, and end when they must."""

from __future__ import annotations

import http.client
import io
import math
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from time import monotonic
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection

from outgoing import addresses, failures
from outgoing.failures import RequestFailed

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


@contextmanager
def until(ends_at: float) -> Iterator[None]:
    """What the connections of this thread do meanwhile ends then (`time.monotonic`)."""
    token = _ends_at.set(ends_at)
    try:
        yield
    finally:
        _ends_at.reset(token)


class _PacedReader(io.RawIOBase):
    """Reads a socket until the deadline of the current exchange.

    A socket's own timeout starts anew with every byte: a server that drips one a second, in the headers or
    in the body, would hold us as long as it likes.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._longest = sock.gettimeout() or math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        wait = min(self._longest, _ends_at.get() - monotonic())
        if wait <= 0:
            raise TimeoutError("deadline")
        self._sock.settimeout(wait if wait < math.inf else None)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp.close()
        self.fp = io.BufferedReader(_PacedReader(sock))


class _GuardedHTTP(HTTPConnection):
    response_class = _PacedResponse

    def __init__(self, *arguments: Any, private: bool, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._private = private

    def _new_conn(self) -> socket.socket:
        longest = self.timeout if isinstance(self.timeout, int | float) else math.inf
        ends_at = min(_ends_at.get(), monotonic() + longest)
        try:
            sock = addresses.connect(self.host, self.port, private=self._private, ends_at=ends_at)
        except addresses.CannotConnect as error:
            raise failures.of_connecting(error) from None
        # For the handshake; the connection is given its time to read after it.
        sock.settimeout(max(0.001, ends_at - monotonic()))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


class _GuardedHTTPS(_GuardedHTTP, HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except RequestFailed:
            raise
        except OSError as error:
            raise failures.of_handshake(error) from None


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _GuardedHTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPS


class GuardedAdapter(HTTPAdapter):
    """`private`: to private networks too. Redirects are the caller's to refuse: none is followed down here."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": partial(_HTTPPool, private=self._private),
            "https": partial(_HTTPSPool, private=self._private),
        }

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, ({**pool, "ssl_context": _trusting()} if verify is True else pool)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The certificates to trust are read once, not again for each connection."""
        if verify is True:
            conn.cert_reqs = "CERT_REQUIRED"
        else:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]


@cache
def _trusting() -> ssl.SSLContext:
    """Whom the machine trusts (SSL_CERT_FILE and SSL_CERT_DIR name others), and whom `certifi` does."""
    context = ssl.create_default_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context
