"""A proxy that does to requests what networks, proxies and servers do to them, between the portal and a real provider.

Which fault befalls a request is decided by its number alone (a `Plan`), so that a seed repeats it. What happened is
kept in `history`: when, which request, which fault, and whether the provider has heard of it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from random import Random
from time import monotonic, sleep
from typing import Any

LOOPBACK = "127.0.0.1"


class Fault(StrEnum):
    # The provider never hears of the request.
    RESET_BEFORE = "reset before it is forwarded"
    DEAF = "neither forwarded nor answered"
    AWAY = "reset, and whoever comes next is refused a connection"
    TOO_MANY = "429 with seconds"
    TOO_MANY_UNTIL = "429 with a date"
    TOO_MANY_BARE = "429 without Retry-After"
    DOWN = "503 with seconds"
    DOWN_BARE = "503 without Retry-After"
    ERROR = "500"
    HTML = "a page of HTML with 200 instead"
    # The provider does what is asked; the portal hears something else, or nothing.
    RESET_AFTER = "reset once it is forwarded"
    DROPPED = "the answer is dropped"
    SILENT = "forwarded, never answered"
    LATE = "never answered, and forwarded long after the portal gave up"
    CUT = "the answer is cut off"
    ERROR_AFTER = "500 after it was done"
    HTML_AFTER = "a page of HTML with 200 after it was done"
    BROKEN = "broken JSON with 200 after it was done"
    HUGE = "an answer without end"
    DRIP = "the answer comes a byte at a time"
    # Harmless, but not for whoever takes it for granted.
    SLOW = "the answer takes its time"
    CLOSED = "the connection is closed after the answer, without a word"


UNHEARD = frozenset(list(Fault)[: list(Fault).index(Fault.RESET_AFTER)])
# These last until the portal gives up.
ENDLESS = frozenset({Fault.DEAF, Fault.SILENT, Fault.LATE, Fault.DRIP})
Plan = Callable[[int], Fault | None]

_ANSWERS: dict[Fault, tuple[str, str]] = {
    Fault.TOO_MANY: ("429 Too Many Requests", "Retry-After: {seconds:.0f}"),
    Fault.TOO_MANY_UNTIL: ("429 Too Many Requests", "Retry-After: {date}"),
    Fault.TOO_MANY_BARE: ("429 Too Many Requests", "X-Nothing: said"),
    Fault.DOWN: ("503 Service Unavailable", "Retry-After: {seconds:.0f}"),
    Fault.DOWN_BARE: ("503 Service Unavailable", "X-Nothing: said"),
    Fault.ERROR: ("500 Internal Server Error", "X-Nothing: said"),
    Fault.ERROR_AFTER: ("500 Internal Server Error", "X-Nothing: said"),
    Fault.HTML: ("200 OK", "Content-Type: text/html"),
    Fault.HTML_AFTER: ("200 OK", "Content-Type: text/html"),
}
_PAGE = b"<!doctype html><title>Maintenance</title><p>We will be back soon.</p>"
_HUGE_CHUNK = b'{"Resources": [' + b" " * 262_000


def no_faults(number: int) -> Fault | None:
    return None


def seeded(seed: object, *, rate: float, faults: Sequence[Fault] = tuple(Fault)) -> Plan:
    def plan(number: int) -> Fault | None:
        dice = Random(f"{seed}-{number}")
        return dice.choice(faults) if dice.random() < rate else None

    return plan


@dataclass
class Passage:
    """One request. `status` is what the provider answered, whatever the portal was told."""

    number: int
    at: datetime
    method: str
    path: str
    fault: Fault | None
    forwarded: bool = False
    status: int | None = None
    over: threading.Event = field(default_factory=threading.Event, repr=False)
    closed: threading.Event = field(default_factory=threading.Event, repr=False)  # its connection, by the proxy


@dataclass
class Message:
    """A request or an answer as it went over the wire; `head` ends with the empty line."""

    head: bytes = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def first(self) -> list[str]:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def whole(self) -> bytes:
        return self.head + self.body


class Upstream:
    """The provider's end of one client's connection, kept alive as that one is."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Message) -> Message:
        if self._ends is None or self._ends[0].at_eof():
            self.close()
            self._ends = await asyncio.open_connection(LOOPBACK, self._port)
        reader, writer = self._ends
        writer.write(request.whole)
        return await _read(reader, has_body=True)

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
        self._ends = None


class FaultProxy:
    """Its work is done in a thread of its own; everything public may be called from any thread."""

    def __init__(self, port: int, plan: Plan, clock: Callable[[], datetime]) -> None:
        self.plan, self.clock = plan, clock
        self.seconds = 2.0  # what is asked for in Retry-After
        self.takes = 0.002  # what a slow answer takes
        self.history: list[Passage] = []
        self.most_at_once = 0
        self.late: list[Message] = []
        self._at_once = 0
        self._upstream_port = port
        self._clients: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self.port = 0

    @property
    def next_number(self) -> int:
        return len(self.history)

    def has_heard(self, number: int, *, within: float) -> bool:
        """Waits until the request with this number is noted; not more seconds than this."""
        until = monotonic() + within
        while self.next_number <= number and monotonic() < until:
            sleep(0.001)
        return self.next_number > number

    @property
    def away(self) -> bool:
        return self._server is None

    def come_back(self) -> None:
        self._call(self._listen())

    def go_away(self) -> None:
        self._call(self._leave())

    def deliver_late(self) -> int:
        """What was held back reaches the provider now."""
        held, self.late = self.late, []
        for request in held:
            self._call(self._forward_late(request))
        return len(held)

    def wait_until_closed(self) -> None:
        """What it closes after its answer is closed: whoever asks at once would else come in between."""
        while self._clients:
            self._call(asyncio.sleep(0.001))
        self._call(asyncio.sleep(0.001))  # the loop closes in a step of its own

    # --- Its thread ---

    def run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        ready.set()
        self._loop.run_forever()
        for task in (tasks := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0.01))  # what was closed last is closed by the loop
        self._loop.close()

    def stop(self) -> None:
        self._call(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _call(self, doing: Any) -> None:
        asyncio.run_coroutine_threadsafe(doing, self._loop).result(timeout=30)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _leave(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for client in list(self._clients):
            _reset(client)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = Upstream(self._upstream_port)
        self._clients.add(writer)
        passages: list[Passage] = []
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._pass(await _read(reader, has_body=False), passages, upstream, reader, writer):
                    pass
        finally:  # also when the proxy is stopped
            self._clients.discard(writer)
            upstream.close()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            for passage in passages:
                passage.closed.set()

    async def _pass(
        self,
        request: Message,
        passages: list[Passage],
        upstream: Upstream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Says whether the connection goes on."""
        method, path, _version = request.first
        number = self.next_number
        passage = Passage(number, self.clock(), method, path, self.plan(number))
        self.history.append(passage)
        passages.append(passage)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if passage.fault in UNHEARD:
                return await self._turn_away(passage.fault, reader, writer)
            if passage.fault is Fault.LATE:
                self.late.append(request)
                return await _until_gone(reader)
            answer = await upstream.ask(request)
            passage.status, passage.forwarded = int(answer.first[1]), True
            return await self._answer(passage.fault, answer, reader, writer)
        finally:
            self._at_once -= 1
            passage.over.set()

    async def _turn_away(self, fault: Fault | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if fault is Fault.DEAF:
            return await _until_gone(reader)
        if fault is Fault.AWAY:
            await self._leave()
            return False
        if fault is Fault.RESET_BEFORE:
            return _reset(writer)
        return await self._say(fault, writer)

    async def _answer(
        self, fault: Fault | None, answer: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if fault is Fault.RESET_AFTER:
            return _reset(writer)
        if fault is Fault.DROPPED:
            return False
        if fault is Fault.SILENT:
            return await _until_gone(reader)
        if fault is Fault.DRIP:
            return await _drip(answer, writer)
        if fault is Fault.HUGE:
            return await _without_end(writer)
        if fault in _ANSWERS:
            return await self._say(fault, writer)
        if fault is Fault.SLOW:
            await asyncio.sleep(self.takes)
        whole = _broken(answer) if fault is Fault.BROKEN else answer.whole
        writer.write(whole[: len(whole) * 2 // 3] if fault is Fault.CUT else whole)
        await writer.drain()
        return fault not in (Fault.CUT, Fault.CLOSED)

    async def _say(self, fault: Fault | None, writer: asyncio.StreamWriter) -> bool:
        assert fault is not None
        status, header = _ANSWERS[fault]
        # A date has no fractions of a second, and it is read with another clock.
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=self.seconds + 1), usegmt=True)
        told = header.format(seconds=self.seconds, date=date)
        writer.write(f"HTTP/1.1 {status}\r\n{told}\r\nContent-Length: {len(_PAGE)}\r\n\r\n".encode() + _PAGE)
        await writer.drain()
        return True

    async def _forward_late(self, request: Message) -> None:
        upstream = Upstream(self._upstream_port)
        await upstream.ask(request)
        upstream.close()


async def _read(reader: asyncio.StreamReader, *, has_body: bool) -> Message:
    """A request without a length has no body; an answer without one does not come from the servers here."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lines[0].partition(b":")[2]) if lines else 0
    assert lines or not has_body or head.split(b" ", 2)[1] == b"204", "an answer without a length"
    return Message(head, await reader.readexactly(length))


def _reset(writer: asyncio.StreamWriter) -> bool:
    """As when a machine on the way loses its memory: RST, not FIN."""
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def _until_gone(reader: asyncio.StreamReader) -> bool:
    await reader.read()
    return False


async def _drip(answer: Message, writer: asyncio.StreamWriter) -> bool:
    """Never so long without a byte that a timeout for reading would notice, and never done."""
    for byte in answer.whole[:-1]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.005)
    return False


async def _without_end(writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/scim+json\r\n\r\n")
    for _ in range(40):
        writer.write(_HUGE_CHUNK)
        await writer.drain()
    return False


def _broken(answer: Message) -> bytes:
    body = answer.body[: len(answer.body) // 2] or b'{"id": '
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def right_now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def fault_proxy(
    port: int, plan: Plan = no_faults, *, clock: Callable[[], datetime] = right_now
) -> Iterator[FaultProxy]:
    """Before the server that listens on this port of the loopback address."""
    proxy, ready = FaultProxy(port, plan, clock), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(ready,), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(30)


def passing_time(proxy: FaultProxy, seconds: float) -> bool:
    """Waits until the requests that are under way are over; says whether they are."""
    until = monotonic() + seconds
    return all(passage.over.wait(max(0.0, until - monotonic())) for passage in proxy.history)
