"""The line to a provider: all workers together never make more calls than it allows, in a second and at once.

One row for each provider (`ProviderLine`), which every call passes twice: to take its turn, and to give its place back
with what came of it. Each time it is one statement, and nothing is held in between. Where the database does not answer,
no call is made. Moments are told by the database's clock: the workers' own need not agree.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from django.db import Error as DatabaseTrouble
from django.db import connection, transaction

from catalog import breaker
from catalog.breaker import (
    PROBE_LEASE,
    Admission,
    Effect,
    Outcome,
    Place,
    admits,
    first_pause_ends,
    release,
    report,
    retry_now,
    to_be_tried,
)
from catalog.models import Provider
from catalog.provider.errors import PROVIDER_WIDE, ProviderError, Unreachable
from catalog.tallies import BUCKETS

__all__ = [
    "BUCKETS",
    "LONGEST_WAIT",
    "PROBE_LEASE",
    "PROVIDER_WIDE",
    "Admission",
    "NotSent",
    "State",
    "admits",
    "busy",
    "first_pause_ends",
    "release",
    "report",
    "retry_now",
    "state",
    "to_be_tried",
    "turn",
]

logger = logging.getLogger(__name__)

# A call leaves within so many seconds of being asked for, or not at all: whoever renewed a lease just before need not
# look again.
LONGEST_WAIT = 5.0
# So many calls leave in so many seconds as the provider allows in one. The rest is for what cannot be known: that a
# caller wakes late (up to LATEST, then its turn is over), and that not every call is as long on its way.
WINDOW, LATEST = 1.04, 0.01
# Of the even distance between two calls; below 1, so that a turn that nobody took is made up for.
_DISTANCE = 0.8
_SHORTEST_STEP, _LONGEST_STEP = 0.01, 0.1

# The clock is read when the row is ours. Everything is decided from the locked row: the row that UPDATE finds may be
# older. Places that are overdue fall out by themselves; a departure further ahead than anybody waits was written by a
# clock that has been set back since. `mine` is the turn that came too late, 0 the first time; a probe that was late is
# still the probe.
_TAKE = """
WITH locked AS MATERIALIZED (
    SELECT line.*, provider.calls_per_second AS rate, provider.calls_at_once AS places
    FROM catalog_providerline AS line JOIN catalog_provider AS provider ON provider.id = line.provider_id
    WHERE line.provider_id = %(provider)s
    FOR NO KEY UPDATE OF line
), timed AS MATERIALIZED (
    SELECT locked.*, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS at FROM locked
), counted AS MATERIALIZED (
    SELECT timed.*,
        ARRAY(SELECT t FROM unnest(under_way) AS t WHERE t > at AND t <> %(mine_until)s) AS busy,
        ARRAY(SELECT t FROM unnest(departures) AS t
              WHERE t < at + 2 * %(longest)s AND t <> %(mine_leaves)s ORDER BY t) AS taken,
        CASE WHEN down_since IS NULL THEN least(places, successes + 1) ELSE places END AS allowed
    FROM timed
), placed AS MATERIALIZED (
    SELECT counted.*, greatest(
        at,
        (extract(epoch FROM paused_until) * 1000000)::bigint,
        taken[cardinality(taken)] + %(distance)s / rate,
        taken[cardinality(taken) - rate + 1] + %(window)s
    ) AS leaves
    FROM counted
), decided AS MATERIALIZED (
    SELECT placed.*,
        CASE WHEN down_since IS NOT NULL AND NOT probing AND epoch <> %(mine_epoch)s THEN 'down'
            WHEN leaves - at > %(patience)s THEN 'later'
            WHEN cardinality(busy) >= allowed THEN 'full'
            ELSE 'go' END AS answer,
        (SELECT min(t) FROM generate_series(leaves + %(expires)s, leaves + %(expires)s + cardinality(busy)) AS t
         WHERE t <> ALL (busy)) AS until
    FROM placed
), written AS (
    UPDATE catalog_providerline AS line SET
        under_way = CASE answer WHEN 'go' THEN busy || until ELSE busy END,
        departures = CASE answer WHEN 'go' THEN (taken || leaves)[cardinality(taken) + 2 - rate:] ELSE taken END,
        next_probe_at = CASE WHEN answer = 'go' AND decided.down_since IS NOT NULL
            THEN to_timestamp(until / 1000000.0) ELSE decided.next_probe_at END,
        probing = decided.probing AND answer <> 'go'
    FROM decided, set_config('synchronous_commit', 'off', true)
    WHERE line.provider_id = decided.provider_id AND (answer = 'go' OR %(mine_until)s <> 0)
)
SELECT answer, until, leaves, epoch, (leaves - at) / 1000000.0,
    extract(epoch FROM to_timestamp(at / 1000000.0) - statement_timestamp())
FROM decided
"""


@dataclass(frozen=True)
class _Answer:
    """`wait` is until the call may leave, `held` what the database waited for the row; in seconds."""

    word: str
    place: Place
    wait: float
    held: float


class NotSent(Exception):
    """Raised inside a turn by whoever finds that nothing is to be sent: that was no call, and its place is free."""


@contextmanager
def turn(
    provider_id: int,
    *,
    expires: float,
    writes: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Around one request to the provider, outside any transaction. Waits for its turn, LONGEST_WAIT seconds at most;
    Unreachable "no_turn" when that would not do, or when the provider is down: then nothing is sent.

    The request must be over `expires` seconds after it left: then its place is somebody else's, whatever became of it.
    How it went is told by what is raised inside: a ProviderError, or nothing. Of any other error nobody knows; NotSent
    gives the turn back.
    """
    with transaction.atomic(durable=True):
        pass  # or it raises: a transaction must not wait here, and what is written in it nobody else would see
    place = _take(provider_id, expires, clock, sleep)
    left_at = clock()
    outcome: Outcome | None = Outcome("", Effect.UNKNOWN)
    try:
        yield
        outcome = breaker.judge(None, writes=writes)
    except ProviderError as error:
        outcome = breaker.judge(error, writes=writes)
        raise
    except NotSent:
        outcome = None
        raise
    finally:
        _give_back(provider_id, place, outcome, clock() - left_at)


def _take(provider_id: int, expires: float, clock: Callable[[], float], sleep: Callable[[float], object]) -> Place:
    until, step, mine = clock() + LONGEST_WAIT, _SHORTEST_STEP, None
    while True:
        asked_at = clock()
        answer = _ask(provider_id, expires=expires, patience=until - asked_at, mine=mine)
        mine = answer.place if answer.word == "go" else None
        if answer.word == "go":
            sleep(answer.wait)
            # From when the question left: the answer may have been long on its way.
            if clock() - asked_at - answer.held - answer.wait <= LATEST:
                return answer.place
        elif answer.word == "full" and clock() + step < until:
            sleep(step * random.uniform(0.5, 1.0))
            step = min(step * 1.5, _LONGEST_STEP)
        else:
            _refuse(provider_id, answer)


def _refuse(provider_id: int, answer: _Answer) -> NoReturn:
    raise Unreachable(
        "no_turn", f"provider {provider_id}: {answer.word}", answer.wait if answer.word == "later" else None
    )


def _ask(provider_id: int, *, expires: float, patience: float, mine: Place | None) -> _Answer:
    """When patience is over, a turn that is `mine` is given back."""
    asked = {
        "provider": provider_id,
        "mine_until": mine.until if mine else 0,
        "mine_leaves": mine.leaves if mine else 0,
        "mine_epoch": mine.epoch if mine else -1,
        "expires": _micros(expires),
        "patience": _micros(patience),
        "longest": _micros(LONGEST_WAIT),
        "window": _micros(WINDOW),
        "distance": _micros(WINDOW * _DISTANCE),
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, asked)
        row = cursor.fetchone()
        if row is None:
            breaker.make(provider_id)
            cursor.execute(_TAKE, asked)
            row = cursor.fetchone()
    if row is None:
        raise Unreachable("no_turn", f"there is no provider {provider_id}")
    word, until, leaves, epoch, wait, held = row
    return _Answer(word, Place(until, leaves, epoch), float(wait), float(held))


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _give_back(provider_id: int, place: Place, outcome: Outcome | None, seconds: float) -> None:
    """What became of the call is the caller's to know, also where the database is away now: then the place is free when
    it is overdue. Without an outcome there was no call."""
    try:
        if outcome is None:
            breaker.withdraw(provider_id, place)
        else:
            breaker.note(provider_id, outcome, place=place, seconds=seconds)
    except DatabaseTrouble as error:
        logger.warning("provider %s: the end of a call could not be written: %s", provider_id, type(error).__name__)


# --- What people read ---


_BUSY = """
SELECT line.provider_id, (SELECT count(*) FROM unnest(line.under_way) AS t WHERE t > %(at)s)::float
                         / provider.calls_at_once
FROM catalog_providerline AS line JOIN catalog_provider AS provider ON provider.id = line.provider_id
WHERE line.provider_id = ANY(%(providers)s)
"""


def busy(provider_ids: Sequence[int], *, now: datetime) -> dict[int, float]:
    """Of each the part of its calls at once that are under way; those never called are left out. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_BUSY, {"providers": list(provider_ids), "at": _micros(now.timestamp())})
        return dict(cursor.fetchall())


@dataclass(frozen=True)
class State:
    """`calls_at_once` is what is allowed at the moment: fewer than the provider allows, shortly after it came back."""

    down_since: datetime | None
    next_probe_at: datetime | None
    paused_until: datetime | None
    failures: int
    under_way: int
    last_success_at: datetime | None
    last_trouble_at: datetime | None
    last_trouble: str
    calls_in_last_second: int
    calls_at_once: int


def state(provider_id: int, *, now: datetime) -> State:
    """One query."""
    provider = Provider.objects.select_related("line").get(pk=provider_id)
    line = provider.line if hasattr(provider, "line") else breaker.new_line(provider)
    micros = _micros(now.timestamp())
    return State(
        down_since=line.down_since,
        next_probe_at=line.next_probe_at,
        paused_until=line.paused_until if line.paused_until and line.paused_until > now else None,
        failures=line.failures,
        under_way=sum(moment > micros for moment in line.under_way),
        last_success_at=line.last_success_at,
        last_trouble_at=line.last_trouble_at,
        last_trouble=line.last_trouble,
        calls_in_last_second=sum(micros - 1_000_000 < moment <= micros for moment in line.departures),
        calls_at_once=min(provider.calls_at_once, line.successes + 1),
    )
