"""The sandbox's library system, running on a free loopback port for a test."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from portal.sandbox.library import INSTITUTION, LOCATION, USER, LibraryServer
from portal.sandbox.library_cards import Condition, LibraryCard, cards_of
from portal.sandbox.library_faults import FaultFile, Kind

PASSWORD = "not-a-secret-only-for-tests"  # as in the environment of the tests

__all__ = ["INSTITUTION", "LOCATION", "PASSWORD", "USER", "Condition", "Kind", "RunningLibrary", "a_card", "library"]


@dataclass(frozen=True)
class RunningLibrary:
    server: LibraryServer
    port: int
    heard: list[bytes]

    def fault(self, kind: Kind | None) -> None:
        """Returns when it is so."""
        self.server.fault.switch(kind)
        while self._listens() == (kind == Kind.DOWN):
            time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def questions(self, code: str = "23") -> int:
        """How many messages of this kind have come so far."""
        return sum(frame.startswith(code.encode()) for frame in b"".join(self.heard).split(b"\r"))


@contextmanager
def running_library(folder: Path, **options: Any) -> Iterator[RunningLibrary]:
    heard: list[bytes] = []
    fault = FaultFile(folder / "library.fault")
    server = LibraryServer(password=PASSWORD, fault=fault, heard=heard, **options)
    with start_blocking_portal() as portal:
        ending, port = portal.start_task(server.run, 0)
        try:
            yield RunningLibrary(server, port, heard)
        finally:
            ending.cancel()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[RunningLibrary]:
    with running_library(tmp_path) as running:
        yield running


def a_card(condition: Condition = Condition.GOOD) -> LibraryCard:
    return cards_of(condition)[0]
