"""What can be made to go wrong at the library system, and how that looks on the wire."""

import re
import socket
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio.abc import SocketStream
from pysip2 import calculate_checksum

NOISE = b"HTTP/1.1 400 Bad Request\r\n\xff\xfe\x00\x80|AA|BLY|CQY|\r"
OTHER_NUMBER = b"28599999"
FLOOD = b"A" * 65536
DRIP_SECONDS = 0.2
ENDLESS = 10_000
_FRAME = re.compile(rb"(?P<told>.*?)(?:AY(?P<sequence>\d)AZ[0-9A-F]{4})?\r", re.DOTALL)


class Kind(StrEnum):
    """One at a time. They begin with the next answer, also on connections that are open already."""

    DOWN = "down"
    SLOW = "slow"
    NEVER_ANSWERS = "never_answers"
    DRIPS = "drips"
    CLOSES_AFTER_LOGIN = "closes_after_login"
    CUT_FRAME = "cut_frame"
    TWO_FRAMES = "two_frames"
    TOO_LONG = "too_long"
    GARBAGE = "garbage"
    BAD_CHECKSUM = "bad_checksum"
    WRONG_SEQUENCE = "wrong_sequence"
    OTHER_CARD = "other_card"
    MISSING_CQ = "missing_cq"
    OFFLINE = "offline"


class FaultFile(NamedTuple):
    """Holds the name of the fault that is switched on, so that another process can switch it."""

    path: Path

    def read(self) -> Kind | None:
        try:
            return Kind(self.path.read_text(encoding="utf-8").strip())
        except (OSError, ValueError):
            return None

    def switch(self, kind: Kind | None) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_text(kind or "", encoding="utf-8")
        new.replace(self.path)


class FaultyStream(SocketStream):
    """A connection of the library system, on which answers go wrong as long as a fault is switched on.

    What is received is also added to `heard`, where that is wanted.
    """

    def __init__(self, stream: SocketStream, file: FaultFile, *, slow: float, heard: list[bytes] | None) -> None:
        self._stream, self._file, self._slow, self._heard = stream, file, slow, heard

    async def receive(self, max_bytes: int = 65536) -> bytes:
        received = await self._stream.receive(max_bytes)
        if self._heard is not None:
            self._heard.append(received)
        return received

    async def send(self, item: bytes) -> None:
        kind = self._file.read()
        if kind == Kind.DOWN:
            return await self.aclose()
        if kind == Kind.NEVER_ANSWERS:
            return
        if kind == Kind.SLOW:
            await anyio.sleep(self._slow)
        if kind == Kind.DRIPS:
            return await self._drip(item)
        if kind == Kind.TOO_LONG:
            return await self._flood()
        await self._stream.send(_SPOILED[kind](item) if kind in _SPOILED else item)
        if kind == Kind.CUT_FRAME or (kind == Kind.CLOSES_AFTER_LOGIN and item.startswith(b"94")):
            await self.aclose()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _drip(self, item: bytes) -> None:
        for byte in item:
            await self._stream.send(bytes([byte]))
            await anyio.sleep(DRIP_SECONDS)

    async def _flood(self) -> None:
        """A frame without an end, until the other side hangs up."""
        for _ in range(ENDLESS):
            await self._stream.send(FLOOD)

    @property
    def _raw_socket(self) -> socket.socket:
        return self._stream._raw_socket


def _noise(frame: bytes) -> bytes:
    return NOISE


def _doubled(frame: bytes) -> bytes:
    return frame * 2


def _cut(frame: bytes) -> bytes:
    return frame[: len(frame) // 2]


def _with_bad_checksum(frame: bytes) -> bytes:
    wrong = b"0000" if frame[-5:-1] != b"0000" else b"0001"
    return frame[:-5] + wrong + b"\r" if frame[-7:-5] == b"AZ" else frame


def _with_wrong_sequence(frame: bytes) -> bytes:
    return _told_otherwise(frame, lambda told: told, step=1)


def _of_other_card(frame: bytes) -> bytes:
    return _told_otherwise(frame, lambda told: re.sub(rb"\|AA[^|]*\|", b"|AA" + OTHER_NUMBER + b"|", told, count=1))


def _without_cq(frame: bytes) -> bytes:
    return _told_otherwise(frame, lambda told: re.sub(rb"\|CQ[YN]\|", b"|", told))


def _offline(frame: bytes) -> bytes:
    return _told_otherwise(frame, lambda told: re.sub(rb"\A98Y", b"98N", told))


def _told_otherwise(frame: bytes, change: Callable[[bytes], bytes], *, step: int = 0) -> bytes:
    """The frame with other contents and a checksum that is right for them."""
    found = _FRAME.fullmatch(frame)
    if found is None:
        return frame
    told = change(found["told"])
    if found["sequence"] is None:
        return told + b"\r"
    told += b"AY%dAZ" % ((int(found["sequence"]) + step) % 10)
    return told + calculate_checksum(told).encode() + b"\r"


_SPOILED: dict[Kind, Callable[[bytes], bytes]] = {
    Kind.CUT_FRAME: _cut,
    Kind.TWO_FRAMES: _doubled,
    Kind.GARBAGE: _noise,
    Kind.BAD_CHECKSUM: _with_bad_checksum,
    Kind.WRONG_SEQUENCE: _with_wrong_sequence,
    Kind.OTHER_CARD: _of_other_card,
    Kind.MISSING_CQ: _without_cq,
    Kind.OFFLINE: _offline,
}
