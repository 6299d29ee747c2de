"""One connection to a library's system that speaks SIP2: one question at a time, each before a deadline.

`ends_at` is a time of `time.monotonic`, for everything together: a system that drips a byte a second gains nothing.
Whatever goes wrong is NoCleanAnswer, and the connection is of no use any more.
"""

from __future__ import annotations

import socket
import ssl
from time import monotonic
from typing import TypeVar

from libraries.cards import sip2
from libraries.cards.checks import Trouble
from libraries.cards.sip2 import NoCleanAnswer, Request
from libraries.cards.systems import SystemFacts
from outgoing import addresses
from outgoing.failures import RequestFailed, of_connecting, of_handshake

MOST_RESENDS = 5
A = TypeVar("A")

_LINE_ENDS = b"\r\n"
_PIECE = 4096


class Died(NoCleanAnswer):
    """The other side had closed, and said nothing to the question."""

    def __init__(self) -> None:
        super().__init__(Trouble.CLOSED)


class Connection:
    """Numbers its questions where checksums are on, so that no answer is taken for that to another question."""

    def __init__(self, sock: socket.socket, *, checksums: bool) -> None:
        self._socket = sock
        self._checksums = checksums
        self._next = 0

    def ask(self, request: Request[A], ends_at: float) -> A:
        sequence = self._next if self._checksums else None
        self._next = (self._next + 1) % 10
        frame = request.frame(sequence)
        for _ in range(1 + MOST_RESENDS):
            self._send(frame, ends_at)
            answer = self._receive(ends_at)
            if not sip2.is_resend(answer):
                return request.read(answer, sequence)
        raise NoCleanAnswer(Trouble.GARBLED)

    def is_alive(self) -> bool:
        """Whether the next question may be asked: it is open, and nothing that nobody asked for lies in it."""
        self._socket.settimeout(0)
        try:
            return self._socket.recv(len(_LINE_ENDS)) in (b"\n", _LINE_ENDS)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Only here: a process that was forked has the same connection."""
        self._socket.close()

    def _send(self, frame: bytes, ends_at: float) -> None:
        try:
            self._socket.settimeout(time_left(ends_at))
            self._socket.sendall(frame)
        except TimeoutError:
            raise NoCleanAnswer(Trouble.TIMED_OUT) from None
        except OSError:
            raise Died from None

    def _receive(self, ends_at: float) -> bytes:
        """One frame without its end, and nothing behind it but the rest of a line end."""
        received = b""
        while sip2.END not in received:
            received = (received + self._piece(ends_at, is_first=not received)).lstrip(_LINE_ENDS)
            if len(received) > sip2.MAX_FRAME:
                raise NoCleanAnswer(Trouble.GARBLED)
        frame, _, behind = received.partition(sip2.END)
        if behind.strip(_LINE_ENDS):
            raise NoCleanAnswer(Trouble.GARBLED)
        return frame

    def _piece(self, ends_at: float, *, is_first: bool) -> bytes:
        try:
            self._socket.settimeout(time_left(ends_at))
            piece = self._socket.recv(_PIECE)
        except TimeoutError:
            raise NoCleanAnswer(Trouble.TIMED_OUT) from None
        except OSError:
            piece = b""
        if not piece:
            raise Died if is_first else NoCleanAnswer(Trouble.GARBLED)
        return piece


def open_connection(facts: SystemFacts, ends_at: float) -> Connection:
    """Connected, encrypted and logged in, as the settings say."""
    login = login_request(facts)
    sock = reach(facts, ends_at)
    if facts.tls:
        sock = encrypt(sock, facts, ends_at)
    connection = Connection(sock, checksums=facts.checksums)
    try:
        if login:
            log_in(connection, login, ends_at)
    except BaseException:
        connection.close()
        raise
    return connection


def resolve(facts: SystemFacts, ends_at: float) -> None:
    try:
        addresses.resolve(facts.address, facts.port, private=facts.private, ends_at=ends_at)
    except addresses.CannotConnect as error:
        raise _no_answer(of_connecting(error)) from None


def reach(facts: SystemFacts, ends_at: float) -> socket.socket:
    try:
        return addresses.connect(facts.address, facts.port, private=facts.private, ends_at=ends_at)
    except addresses.CannotConnect as error:
        raise _no_answer(of_connecting(error)) from None


def encrypt(sock: socket.socket, facts: SystemFacts, ends_at: float) -> ssl.SSLSocket:
    """The certificate must be good, and for the name that the settings hold. Closes the socket when it is not."""
    try:
        sock.settimeout(time_left(ends_at))
        return ssl.create_default_context().wrap_socket(sock, server_hostname=facts.address)
    except OSError as error:
        sock.close()
        raise _no_answer(of_handshake(error)) from None
    except ValueError:  # no name that a certificate could be for
        sock.close()
        raise NoCleanAnswer(Trouble.TLS_FAILED) from None


def login_request(facts: SystemFacts) -> Request[bool] | None:
    """None where the settings hold no login. Raises sip2.Unsendable."""
    if not facts.login:
        return None
    return sip2.log_in(login=facts.login, password=facts.login_secret, location=facts.location, encoding=facts.encoding)


def log_in(connection: Connection, request: Request[bool], ends_at: float) -> None:
    if not connection.ask(request, ends_at):
        raise NoCleanAnswer(Trouble.LOGIN_REFUSED)


def require_status(connection: Connection, facts: SystemFacts, ends_at: float) -> None:
    """That the system is there for its terminals, and answers the questions that the settings need: 63 for an expiry,
    and for every question without a PIN, 23 for the others."""
    status = connection.ask(sip2.ask_status(encoding=facts.encoding), ends_at)
    if not status.is_online:
        raise NoCleanAnswer(Trouble.OFFLINE)
    needs_information = facts.asks_expiry or facts.looks_up or not facts.asks_pin
    needs_status = facts.asks_pin and not facts.asks_expiry
    if (needs_information and not status.answers_information) or (needs_status and not status.answers_status):
        raise NoCleanAnswer(Trouble.CANNOT_ASK)


def time_left(ends_at: float) -> float:
    """Never 0, with which a socket would not wait at all. Raises TimeoutError."""
    left = ends_at - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _no_answer(failed: RequestFailed) -> NoCleanAnswer:
    """What can go wrong on the way has the same names here as in `outgoing`."""
    return NoCleanAnswer(Trouble(failed.code.value))
