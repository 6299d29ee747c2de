"""A server with bad manners: it says to every request exactly what a test tells it to."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Talk = Callable[[socket.socket], None]


@dataclass
class OddServer:
    base_url: str
    requests: list[bytes] = field(default_factory=list)


@contextmanager
def odd_server(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[OddServer]:
    """`talk` is called once for every request, with the connection; the connection is closed after it."""
    listener = socket.create_server(("127.0.0.1", 0))
    if tls is not None:
        listener = tls.wrap_socket(listener, server_side=True)
    scheme = "http" if tls is None else "https"
    odd = OddServer(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v2")
    thread = threading.Thread(target=_serve, args=(listener, talk, odd), daemon=True)
    thread.start()
    try:
        yield odd
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)
        listener.close()


def _serve(listener: socket.socket, talk: Talk, odd: OddServer) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                odd.requests.append(_read_request(connection))
                talk(connection)


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and (chunk := connection.recv(65_536)):
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    while len(body) < _length(head) and (chunk := connection.recv(65_536)):
        body += chunk
    return head + b"\r\n\r\n" + body


def _length(head: bytes) -> int:
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(lines[0].partition(b":")[2]) if lines else 0


def saying(status: str, body: bytes = b"", *headers: str) -> Talk:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + body)


def in_turn(*talks: Talk) -> Talk:
    """The first request gets the first talk, and so on."""
    left = iter(talks)
    return lambda connection: next(left)(connection)
