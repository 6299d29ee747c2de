"""Workers that can be stopped at any step and killed at any: each lives in a thread of its own, one alone at a time.

A step is a statement to the database, or a request on the wire, before it and after. A worker that is killed does
nothing any more: no statement of what it would tidy up reaches the database, as none of a killed process would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum, StrEnum
from time import monotonic
from typing import Any

import pytest
import requests
from django.db import connection

from outgoing import http
from outgoing.failures import Stage
from tests.faults.proxy import ENDLESS, UNHEARD, Fault, FaultProxy
from tests.faults.seeded_clock import PATH, Clock

# How long a worker waits for an answer that never comes; of all others it waits as long as in earnest.
IMPATIENT = 0.03
PATIENCE = 60.0
# What either takes in the time of the run.
ANSWERS, TIMES_OUT = 0.2, 12.0


class Fate(Enum):
    GOES_ON = 0
    STALLS = 1
    DIES = 2


class State(StrEnum):
    IDLE = "idle"
    STALLED = "stalled"
    WORKING = "working"


class Killed(BaseException):
    """Not an Exception: nothing that handles errors may handle it."""


# Asked at each step, with what is about to be done or is done, and whether it may stall there.
Fates = Callable[[str, bool], Fate]
Work = Callable[[], bool]


class Worker:
    def __init__(self, name: str, proxy: FaultProxy, clock: Clock) -> None:
        self.name, self._proxy, self._clock = name, proxy, clock
        self.state = State.IDLE
        self.stalled_at = ""
        self.request: requests.PreparedRequest | None = None  # what it is about to send, or has sent
        self.worked = False
        self.broke: BaseException | None = None
        self._dead = False
        self._work: Work | None = None
        self._fates: Fates = lambda step, may_stall: Fate.GOES_ON
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._session: requests.Session | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- For whoever directs it ---

    def begin(self, work: Work, fates: Fates) -> None:
        """Returns when it has done its work, has been killed, or stalls."""
        assert self.state is State.IDLE
        self._work, self._fates, self._dead, self.worked, self.broke = work, fates, False, False, None
        self.state = State.WORKING
        self._switch()

    def go_on(self, *, killed: bool = False) -> None:
        assert self.state is State.STALLED
        self._dead, self.state = killed, State.WORKING
        self._switch()

    def end(self) -> None:
        if self.state is State.STALLED:
            self.go_on(killed=True)
        self._work = None
        self._go.release()
        self._thread.join(PATIENCE)

    @property
    def killed(self) -> bool:
        return self._dead

    def _switch(self) -> None:
        self._go.release()
        assert self._back.acquire(timeout=PATIENCE), f"{self.name} hangs at {self.stalled_at or 'its work'}"

    # --- In its thread ---

    def _run(self) -> None:
        _current.worker = self
        with connection.cursor() as cursor:
            cursor.execute(PATH)
        with connection.execute_wrapper(self._statement):
            while self._go.acquire() and self._work is not None:
                try:
                    self.worked = self._work()
                except Killed:
                    self._dead = True
                except BaseException as error:
                    self.broke = error
                if self._dead and self._session is not None:
                    self._session.close()  # its connections go with it
                self.state = State.IDLE
                self._back.release()
        connection.close()

    def _statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        words = sql.split(None, 3)
        self.step(" ".join(words[:3]), may_stall=not connection.in_atomic_block)
        return execute(sql, params, many, context)

    def step(self, what: str, *, may_stall: bool) -> None:
        if not self._dead:
            fate = self._fates(what, may_stall)
            if fate is Fate.STALLS and may_stall:
                self.state, self.stalled_at = State.STALLED, what
                self._back.release()
                self._go.acquire()
            elif fate is Fate.DIES:
                self._dead = True
        if self._dead:
            raise Killed(what)

    def send(self, session: requests.Session, request: requests.PreparedRequest, bounds: http.Bounds) -> http.Response:
        """As the portal's own, with a step before and one after; an answer that never comes is waited for shortly."""
        self._session, self.request = session, request
        self.step(f"before {request.method}", may_stall=True)
        fault = self._proxy.plan(self._proxy.next_number)
        if fault in ENDLESS:
            bounds = replace(bounds, ends_at=min(bounds.ends_at, monotonic() + IMPATIENT))
        was_away, first = self._proxy.away, self._proxy.next_number
        try:
            answer: http.Response | http.RequestFailed = _send(session, request, bounds)
        except http.RequestFailed as error:
            answer = error
        if not (isinstance(answer, http.RequestFailed) and answer.stage < Stage.EXCHANGE):
            # However busy the machine is: what left now is noted as of now.
            assert self._proxy.has_heard(first, within=PATIENCE / 2), f"nobody heard {request.method}"
        self._clock.move(TIMES_OUT if fault in ENDLESS else ANSWERS)
        if was_away:  # it was refused a connection; whoever comes next is not
            self._proxy.come_back()
        if fault in ENDLESS and fault not in UNHEARD:
            assert all(passage.over.wait(PATIENCE) for passage in self._proxy.history[first:])
        self._await_closed(fault, first)
        self.step(f"after {request.method}", may_stall=True)
        if isinstance(answer, http.RequestFailed):
            raise answer
        return answer

    def _await_closed(self, fault: Fault | None, number: int) -> None:
        """Or the next request may leave on a connection that is closed meanwhile, and nobody hears of it."""
        if fault is Fault.AWAY:
            self._proxy.wait_until_closed()
        elif fault is Fault.CLOSED and self._proxy.next_number > number:
            assert self._proxy.history[number].closed.wait(PATIENCE)


class _Current(threading.local):
    worker: Worker | None = None


_current = _Current()
_send = http.send


def _send_of_whoever_works(
    session: requests.Session, request: requests.PreparedRequest, bounds: http.Bounds
) -> http.Response:
    worker = _current.worker
    return _send(session, request, bounds) if worker is None else worker.send(session, request, bounds)


@contextmanager
def workers(number: int, proxy: FaultProxy, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    monkeypatch.setattr(http, "send", _send_of_whoever_works)
    staff = [Worker(f"worker {name}", proxy, clock) for name in range(number)]
    try:
        yield staff
    finally:
        for worker in staff:
            worker.end()
