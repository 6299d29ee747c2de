"""Connections that are kept for the next question: a few for each institution, in each process.

A library's system allows few terminals at once, and a new connection costs two more journeys there and back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import TypeVar

from libraries.cards.checks import Trouble
from libraries.cards.sip2 import NoCleanAnswer, Request
from libraries.cards.sip2_connection import Connection, Died, open_connection
from libraries.cards.systems import SystemFacts

# Less than what firewalls on the way forget a silent connection after.
IDLE_SECONDS = 60.0
A = TypeVar("A")


@dataclass
class _Kept:
    connection: Connection
    since: float


@dataclass
class Pool:
    """For one institution with one state of its settings."""

    facts: SystemFacts
    _kept: list[_Kept] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _is_retired: bool = False

    def __post_init__(self) -> None:
        self._places = BoundedSemaphore(max(1, self.facts.most_connections))

    def ask(self, request: Request[A], ends_at: float) -> A:
        """On a kept connection, or on a new one. Raises NoCleanAnswer.

        A kept connection may have died where that could not be seen yet: then the question is asked anew, once.
        """
        with self._place(ends_at):
            if kept := self._take():
                try:
                    return self._ask_on(kept, request, ends_at)
                except Died:
                    pass
            return self._ask_on(open_connection(self.facts, ends_at), request, ends_at)

    def close_idle(self, *, longer_than: float) -> None:
        with self._lock:
            idle = [kept for kept in self._kept if monotonic() - kept.since >= longer_than]
            self._kept = [kept for kept in self._kept if kept not in idle]
        for kept in idle:
            kept.connection.close()

    def retire(self) -> None:
        """Connections that are in use are closed after their question."""
        with self._lock:
            self._is_retired = True
        self.close_idle(longer_than=0)

    @contextmanager
    def _place(self, ends_at: float) -> Iterator[None]:
        if not self._places.acquire(timeout=max(0.0, ends_at - monotonic())):
            raise NoCleanAnswer(Trouble.BUSY)
        try:
            yield
        finally:
            self._places.release()

    def _ask_on(self, connection: Connection, request: Request[A], ends_at: float) -> A:
        """Only after a clean answer is the connection kept: otherwise the next one could be to this question."""
        try:
            answer = connection.ask(request, ends_at)
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return answer

    def _keep(self, connection: Connection) -> None:
        """Without numbered questions nothing would tell a late answer from the right one: used once only."""
        with self._lock:
            if self.facts.checksums and not self._is_retired:
                self._kept.append(_Kept(connection, monotonic()))
                return
        connection.close()

    def _take(self) -> Connection | None:
        """The one that was used last, so that those that are not needed grow old."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop().connection
            if connection.is_alive():
                return connection
            connection.close()


class Pools:
    def __init__(self) -> None:
        self._by_institution: dict[int, Pool] = {}
        self._lock = Lock()

    def for_system(self, facts: SystemFacts) -> Pool:
        """With changed settings, a secret among them, another one: nothing is asked on what was opened before."""
        with self._lock:
            old = self._by_institution.get(facts.institution_id)
            if old and old.facts == facts:
                return old
            pool = self._by_institution[facts.institution_id] = Pool(facts)
        if old:
            old.retire()
        return pool

    def close_idle(self, *, longer_than: float) -> None:
        with self._lock:
            pools = list(self._by_institution.values())
        for pool in pools:
            pool.close_idle(longer_than=longer_than)


def ask(facts: SystemFacts, request: Request[A], ends_at: float) -> A:
    """Raises NoCleanAnswer, with BUSY where no connection became free in time.

    Each question closes what lies idle for too long, of all institutions: their systems need the places.
    """
    _pools.close_idle(longer_than=IDLE_SECONDS)
    return _pools.for_system(facts).ask(request, ends_at)


def close_all() -> None:
    """Close what is not in use."""
    _pools.close_idle(longer_than=0)


def _start_anew() -> None:
    """In a process that was forked: its parent goes on using the connections, and holds the locks."""
    global _pools
    parents = _pools
    _pools = Pools()
    for pool in parents._by_institution.values():
        for kept in pool._kept:
            kept.connection.close()


_pools = Pools()
os.register_at_fork(after_in_child=_start_anew)
