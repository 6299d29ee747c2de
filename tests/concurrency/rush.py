"""A rush: many connections at once ask for everything that can be asked about seats, and each answer that somebody was
given is written down, with ids only. `rush_checker` says whether the database stands by these answers.

What each client asks is drawn from dice of its own, so that a seed repeats it; what the others did meanwhile is not
repeated.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count, islice
from pathlib import Path
from random import Random
from threading import Barrier, Event, Lock, Thread
from typing import Any, TextIO

from django.db import DatabaseError, connection
from django.db.models import Model

from enrollment import applying, asking, cap, card_checking, ending, prioritizing, renewing
from enrollment.models import Enrollment
from libraries.models import Card
from tests.concurrency.rush_clients import SWEEPS, Step, World, client
from tests.factories import NOW

CLIENTS = 64
# Between one operation and the next; the clock of the rush knows no other time.
TICK = timedelta(hours=2)
# A client that is not done then will never be.
PATIENCE, PER_OPERATION = 120.0, 0.5
REFUSALS = (
    applying.Ineligible,
    asking.TooManyTries,
    cap.CannotChange,
    cap.Overtaken,
    card_checking.CannotDecide,
    ending.NotYours,
    prioritizing.CannotGive,
    renewing.CannotRenew,
)

_SAMPLE = """
SELECT 'pool', p.id, p.cap, p.taken,
       (SELECT count(*) FROM enrollment_enrollment e WHERE e.pool_id = p.id AND e.state IN ('held', 'seated'))
FROM enrollment_seatpool p
UNION ALL
SELECT 'share', s.id, s.ceiling, s.taken,
       (SELECT count(*) FROM enrollment_enrollment e WHERE e.share_id = s.id AND e.state IN ('held', 'seated'))
FROM enrollment_share s
ORDER BY 1, 2
"""


class Line(StrEnum):
    """What a line of the history tells: how much is to come, one answer, or how things were at one moment."""

    PLAN = "plan"
    ANSWER = "answer"
    SAMPLE = "sample"


class Clock:
    """Every operation has a moment of its own, by which its events are found again."""

    def __init__(self) -> None:
        self._ticks = count(1)

    def __call__(self) -> datetime:
        return NOW + next(self._ticks) * TICK


class History:
    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, Lock()

    def write(self, line: Line, **facts: Any) -> None:
        with self._lock:
            self._file.write(json.dumps({"line": line, **facts}) + "\n")
            self._file.flush()


def run(world: World, *, seed: int, operations: int, path: Path, clients: int = CLIENTS) -> datetime:
    """So many operations, shared among the clients; then what has come due by the moment that is given back."""
    with path.open("w", encoding="utf-8") as file:
        history, clock, each = History(file), Clock(), -(-operations // clients)
        history.write(Line.PLAN, seed=seed, clients=clients, each=each)
        all_steps = [islice(client(world, number, Random(f"{seed}-{number}")), each) for number in range(clients)]
        _run(all_steps, history, clock, patience=PATIENCE + PER_OPERATION * operations)
        over_at = clock()
        for number, sweep in enumerate(SWEEPS):
            _ask(Step(sweep.__name__, {}, sweep), history, clock, client=clients, number=number)
        return over_at


def _run(all_steps: Sequence[Iterator[Step]], history: History, clock: Clock, *, patience: float) -> None:
    together, over = Barrier(len(all_steps)), Event()
    observer = _thread(_observe, history, over)
    _wait([_thread(_act, n, steps, together, history, clock) for n, steps in enumerate(all_steps)], patience)
    over.set()
    _wait([observer], PATIENCE)


def _thread(target: Callable[..., None], *args: Any) -> Thread:
    """One that hangs must not keep the tests from ending."""
    thread = Thread(target=_and_hang_up, args=(target, *args), daemon=True)
    thread.start()
    return thread


def _and_hang_up(target: Callable[..., None], *args: Any) -> None:
    try:
        target(*args)
    finally:
        connection.close()


def _wait(threads: Sequence[Thread], seconds: float) -> None:
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _act(number: int, steps: Iterator[Step], together: Barrier, history: History, clock: Clock) -> None:
    connection.ensure_connection()
    together.wait(timeout=PATIENCE)
    for turn, step in enumerate(steps):
        _ask(step, history, clock, client=number, number=turn)


def _ask(step: Step, history: History, clock: Clock, *, client: int, number: int) -> None:
    now, start = clock(), time.monotonic()
    answer = answer_to(step, now)
    history.write(
        Line.ANSWER,
        client=client,
        number=number,
        operation=step.operation,
        ids=step.ids,
        now=now.isoformat(),
        answer=answer,
        start=start,
        end=time.monotonic(),
    )


def answer_to(step: Step, now: datetime) -> Any:
    """What the operation gave back, why it was refused, or what it must never say: that something broke."""
    try:
        return _told(step.call(now=now))
    except REFUSALS as refusal:
        return {"refused": type(refusal).__name__, "why": _why(refusal)}
    except DatabaseError as error:
        return {"broke": type(error).__name__, "code": getattr(error.__cause__, "pgcode", None)}
    except Exception as error:
        return {"broke": type(error).__name__}


def _told(given: Any) -> Any:
    if isinstance(given, Enrollment | Card):
        return {"id": given.pk, "state": given.state}
    if isinstance(given, Model):
        return {"id": given.pk}
    return given if isinstance(given, bool | int) else len(given)


def _why(refusal: Exception) -> list[str]:
    return [*getattr(refusal, "reasons", ())] or [getattr(refusal, "obstacle", "")]


def _observe(history: History, over: Event) -> None:
    """Counts and counters in one statement, so of one moment; only what has changed is written."""
    before = None
    while not over.wait(0.02):
        with connection.cursor() as cursor:
            cursor.execute(_SAMPLE)
            now = cursor.fetchall()
        if now != before:
            history.write(Line.SAMPLE, rows=now)
        before = now
