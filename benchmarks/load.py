"""Put load on an HTTP server from one process: requests made beforehand, sent over a number of kept connections."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import quantiles
from urllib.parse import urlencode

Address = tuple[str, int]
FIXED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /\r\n\r\n"


@dataclass
class Outcome:
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Outcome) -> None:
        self.statuses += other.statuses
        self.times += other.times
        self.seconds += other.seconds

    @property
    def per_second(self) -> float:
        return len(self.times) / self.seconds

    def percentile(self, percent: int) -> float:
        """Milliseconds."""
        return quantiles(self.times, n=100)[percent - 1] * 1000


def post(path: str, form: dict[str, str], *, cookies: dict[str, str], headers: dict[str, str]) -> bytes:
    body = urlencode(form).encode()
    lines = {
        "Host": "127.0.0.1",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def run(address: Address, requests: Iterator[bytes], *, connections: int, seconds: float) -> Outcome:
    """Each request once, until the time is over or there are no more; those under way are waited for."""
    return asyncio.run(_run(address, requests, connections, seconds))


async def _run(address: Address, requests: Iterator[bytes], connections: int, seconds: float) -> Outcome:
    outcome, started = Outcome(), time.perf_counter()
    lines = [_Line(address, requests, outcome, started + seconds) for _ in range(connections)]
    await asyncio.gather(*(line.serve() for line in lines))
    outcome.seconds = time.perf_counter() - started
    return outcome


class _Line:
    """One connection, made anew when the server has closed it."""

    def __init__(self, address: Address, requests: Iterator[bytes], outcome: Outcome, ends_at: float) -> None:
        self._address, self._requests, self._outcome, self._ends_at = address, requests, outcome, ends_at

    async def serve(self) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        for request in self._requests:
            started = time.perf_counter()
            if started > self._ends_at:
                break
            writer.write(request)
            status, keeps = await read(reader)
            self._outcome.times.append(time.perf_counter() - started)
            self._outcome.statuses[status] += 1
            if not keeps:
                writer.close()
                reader, writer = await asyncio.open_connection(*self._address)
        writer.close()


async def read(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """An answer to its end: its status, and whether the server keeps the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    if length:
        await reader.readexactly(length)
    return int(head[9:12]), b"connection: close" not in head


def ceiling(request: bytes, *, connections: int, seconds: float = 1.0) -> float:
    """Requests a second against a server that does nothing: what this process itself can ask for."""
    return asyncio.run(_ceiling(request, connections, seconds))


async def _ceiling(request: bytes, connections: int, seconds: float) -> float:
    server = await asyncio.get_running_loop().create_server(_Nothing, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    outcome = await _run(address, iter(lambda: request, b""), connections, seconds)
    server.close()
    return outcome.per_second


class _Nothing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(FIXED)
