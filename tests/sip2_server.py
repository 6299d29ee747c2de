"""A library's system that speaks SIP2 over real sockets and does what a test says, faults included."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

from libraries.cards.sip2 import checksum
from libraries.cards.systems import SystemFacts

NOW = "20260701    120000"
NO_FLAGS = " " * 14
Script = Callable[["Peer", bytes], None]


def numbered(body: str | bytes, question: bytes) -> bytes:
    """The body as an answer to the question: with its sequence number, and a checksum."""
    raw = body.encode("cp850") if isinstance(body, str) else body
    text = raw + b"AY" + question[-7:-6] + b"AZ"
    return text + checksum(text) + b"\r"


def patron(
    number: str = "2100",
    *,
    flags: str = NO_FLAGS,
    rest: str = "BLY|CQY|",
    code: str = "24",
) -> str:
    counts = "0000" * 6 if code == "64" else ""
    return f"{code}{flags}001{NOW}{counts}AOcity|AA{number}|AEAda Peeters|{rest}"


# How long the fields of fixed length are, with the code.
STARTS = {b"93": 4, b"99": 10, b"23": 23, b"63": 33}


def value(question: bytes, name: bytes) -> str:
    """Of a field in a question; empty where it is not there."""
    fields = question[STARTS.get(question[:2], 0) :].split(b"|")
    return next((each[2:].decode("cp850") for each in fields if each[:2] == name), "")


@dataclass
class Peer:
    """One connection, seen from the server. `count` is how many questions came on it."""

    sock: socket.socket
    count: int = 0

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@dataclass
class Sip2Server:
    """Answers logins and status by itself; what it does with a question about a card is up to the script."""

    script: Script
    context: ssl.SSLContext | None = None
    answers_login: bool = True
    questions: list[bytes] = field(default_factory=list)
    connections: int = 0
    # How many are open at once, and how many were at most.
    open: int = 0
    most_open: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._peers: list[Peer] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def cards_asked(self) -> list[bytes]:
        return [each for each in self.questions if each[:2] in (b"23", b"63")]

    def facts(self, **changed: object) -> SystemFacts:
        facts: dict[str, object] = {
            "institution_id": self.port,
            "address": "127.0.0.1",
            "port": self.port,
            "tls": False,
            "institution_code": "city",
            "private": True,
            "timeout_seconds": 2,
        }
        return SystemFacts(**{**facts, **changed})  # type: ignore[arg-type]

    def wait(self, seconds: float) -> None:
        """As long as the test goes on."""
        self._is_over.wait(seconds)

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve_one, args=(sock,), daemon=True).start()

    def stop(self) -> None:
        self._is_over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_peers()

    def close_peers(self) -> None:
        """What is open at this moment, as a system that is started anew does."""
        for peer in list(self._peers):
            peer.close()

    def opens_at_last(self, count: int) -> bool:
        """Whether so many connections are open; those that were just closed are waited for."""
        ends_at = monotonic() + 2
        while self.open != count and monotonic() < ends_at:
            self._is_over.wait(0.005)
        return self.open == count

    def _serve_one(self, sock: socket.socket) -> None:
        with self._lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            with suppress(OSError, ValueError):
                self._talk(Peer(self.context.wrap_socket(sock, server_side=True) if self.context else sock))
        finally:
            sock.close()
            with self._lock:
                self.open -= 1

    def _talk(self, peer: Peer) -> None:
        self._peers.append(peer)
        received = b""
        try:
            while piece := peer.sock.recv(4096):
                received += piece
                while b"\r" in received:
                    question, _, received = received.partition(b"\r")
                    self._take(peer, question)
        finally:
            peer.close()

    def _take(self, peer: Peer, question: bytes) -> None:
        self.questions.append(question)
        peer.count += 1
        if question.startswith(b"93") and self.answers_login:
            peer.send(numbered("941" if value(question, b"CO") == "right" else "940", question))
        elif question.startswith(b"99") and self.answers_login:
            peer.send(numbered(f"98YYYYYN100003{NOW}2.00AOcity|BXYYYYYYYYYYYYYYYY|", question))
        else:
            self.script(peer, question)


@contextmanager
def serving(
    script: Script, context: ssl.SSLContext | None = None, *, answers_login: bool = True
) -> Iterator[Sip2Server]:
    server = Sip2Server(script, context, answers_login)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)


def answering(body: str | Callable[[bytes], str]) -> Script:
    """A system that works, and says this."""

    def script(peer: Peer, question: bytes) -> None:
        peer.send(numbered(body if isinstance(body, str) else body(question), question))

    return script
