"""Whether a provider is called at all: after several failures in a row it is left alone, but for single probes.

What is known stands in the provider's row (`ProviderLine`), shared by all workers. The turns that calls take are in
`catalog.line`; what a call that has ended says of the line is written here, in one statement with the count of calls.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from django.db import connection
from django.db.models import F, Min, Q
from django.db.models.functions import Greatest

from catalog.models import Provider, ProviderLine
from catalog.provider.errors import PERHAPS_WIDE, PROVIDER_WIDE, ProviderError, Refused, Unclear, Unreachable
from catalog.tallies import BUCKETS, bucket_of

logger = logging.getLogger(__name__)

# So many failures one after another, whichever workers met them.
MOST_FAILURES = 5
# The other side answered; what it said concerns one account.
_ANSWERS = frozenset({"changed_meanwhile", "gone"})
FIRST_WAIT, LONGEST_WAIT = 15.0, 300.0
# Within this time the call of a probe that was granted has left; else another one is granted.
PROBE_LEASE = timedelta(seconds=30)
# A caller who would wait longer for its turn than this need not ask.
_LONGEST_LINE, _NOBODY_WAITS = timedelta(seconds=2), timedelta(seconds=10)
_NEVER_SO_LONG = timedelta(seconds=10)
# A line that was never down does not begin slowly: so many successes allow any number of calls at once.
_NOT_SLOW = 100

_MAKE = """
INSERT INTO catalog_providerline (provider_id, departures, under_way, failures, failed_writes, successes, probes,
                                  probing, epoch, last_trouble)
SELECT id, '{}', '{}', 0, 0, %(successes)s, 0, false, 0, '' FROM catalog_provider WHERE id = %(provider)s
ON CONFLICT DO NOTHING
"""

# Whoever holds the line's row also counts the call: two that end at once cannot meet in another order. A call that
# began in another epoch, before the provider went down or came back, changes nothing but the counts. Everything is
# decided from the locked row: the row that UPDATE finds may be older.
# A read that works ends no row of failed writes. Where reads work and writes do not, only a write brings the provider
# back; whoever was its probe with a read goes on as its probe.
_NOTE = """
WITH locked AS MATERIALIZED (
    SELECT * FROM catalog_providerline WHERE provider_id = %(provider)s FOR NO KEY UPDATE
), known AS MATERIALIZED (
    SELECT locked.*, clock_timestamp() AS at, down_since IS NOT NULL AS down,
        coalesce(%(epoch)s, epoch) = epoch AS fresh,
        failures < %(most)s AND failed_writes >= %(most)s AND NOT %(writes)s AS tells_nothing
    FROM locked
), judged AS MATERIALIZED (
    SELECT known.*,
        fresh AND NOT down AND %(bad)s AND (
            %(wide)s OR failures + 1 >= %(most)s OR %(write_failed)s AND failed_writes + 1 >= %(most)s
        ) AS goes_down,
        fresh AND down AND %(bad)s AS stays_down,
        fresh AND down AND %(good)s AND NOT tells_nothing AS comes_back,
        fresh AND down AND %(good)s AND tells_nothing AS goes_on,
        %(first_wait)s * least(power(2, least(probes, 20)), %(most_doubled)s) * %(jitter)s AS wait
    FROM known
), tally AS (
    INSERT INTO catalog_calltally AS tally (provider_id, minute, outcome, count, buckets)
    SELECT provider_id, date_trunc('minute', at), %(code)s, 1, %(buckets)s FROM judged WHERE %(counts)s
    ON CONFLICT (provider_id, minute, outcome)
    DO UPDATE SET count = tally.count + 1, buckets[%(bucket)s] = tally.buckets[%(bucket)s] + 1
)
UPDATE catalog_providerline AS line SET
    under_way = array_remove(judged.under_way, %(place)s),
    failures = CASE WHEN NOT fresh THEN judged.failures WHEN %(good)s THEN 0
        WHEN %(bad)s THEN judged.failures + 1 ELSE judged.failures END,
    failed_writes = CASE WHEN NOT fresh THEN judged.failed_writes WHEN %(good)s AND %(writes)s THEN 0
        WHEN %(write_failed)s THEN judged.failed_writes + 1 ELSE judged.failed_writes END,
    successes = CASE WHEN goes_down OR comes_back THEN 0
        WHEN fresh AND %(good)s THEN least(judged.successes + 1, %(not_slow)s) ELSE judged.successes END,
    down_since = CASE WHEN goes_down THEN at WHEN comes_back THEN NULL ELSE judged.down_since END,
    next_probe_at = CASE WHEN goes_down THEN at + %(first_wait)s * %(jitter)s * interval '1 second'
        WHEN stays_down THEN at + wait * interval '1 second'
        WHEN goes_on THEN at + %(probe_lease)s * interval '1 second'
        WHEN comes_back THEN NULL ELSE judged.next_probe_at END,
    probes = CASE WHEN goes_down OR comes_back THEN 0 ELSE judged.probes END,
    probing = goes_on OR judged.probing AND NOT (goes_down OR stays_down OR comes_back),
    epoch = judged.epoch + CASE WHEN goes_down OR comes_back THEN 1 ELSE 0 END,
    paused_until = greatest(judged.paused_until, at + %(pause)s * interval '1 second'),
    last_success_at = CASE WHEN %(good)s THEN at ELSE judged.last_success_at END,
    last_trouble_at = CASE WHEN %(trouble)s THEN at ELSE judged.last_trouble_at END,
    last_trouble = CASE WHEN %(trouble)s THEN %(code)s ELSE judged.last_trouble END,
    down_told_at = CASE WHEN comes_back THEN NULL ELSE judged.down_told_at END
FROM judged, set_config('synchronous_commit', 'off', true)
WHERE line.provider_id = judged.provider_id
RETURNING goes_down, comes_back
"""

# A turn that came, and was not used: nothing has left. The probe of a provider that is down is the next one's.
_WITHDRAW = """
UPDATE catalog_providerline SET
    under_way = array_remove(under_way, %(place)s),
    departures = array_remove(departures, %(leaves)s),
    next_probe_at = CASE WHEN down_since IS NOT NULL AND epoch = %(epoch)s THEN clock_timestamp()
        ELSE next_probe_at END,
    probes = CASE WHEN down_since IS NOT NULL AND epoch = %(epoch)s THEN greatest(probes - 1, 0) ELSE probes END
WHERE provider_id = %(provider)s
"""

# A departure further ahead than anybody waits was written by a clock that has been set back since.
_LOOK = """
SELECT down_since IS NOT NULL, coalesce(paused_until > %(soon)s, false)
    OR coalesce(to_timestamp(departures[cardinality(departures)] / 1000000.0) BETWEEN %(soon)s AND %(later)s, false)
FROM catalog_providerline WHERE provider_id = %(provider)s
"""


class Admission(Enum):
    """OPEN: calls go as usual. PROBE: the provider is down, and this one asker may try it with one call. CLOSED: not
    now."""

    OPEN = "open"
    PROBE = "probe"
    CLOSED = "closed"


class Effect(Enum):
    """REFUSED is a failure too, but an answer: it may concern one account. WIDE would be met by every account. UNKNOWN:
    nobody knows how it went, and it is not counted."""

    GOOD = "good"
    BAD = "bad"
    REFUSED = "refused"
    WIDE = "wide"
    NONE = "none"
    UNKNOWN = "unknown"


_FAILURES = frozenset({Effect.BAD, Effect.REFUSED, Effect.WIDE})


@dataclass(frozen=True)
class Outcome:
    """Of a call: what is counted (`code`, empty when it was answered as hoped), what it does to the breaker, the pause
    that the provider asked for, in seconds, and whether it was to write."""

    code: str
    effect: Effect
    pause: float | None = None
    writes: bool = False


@dataclass(frozen=True)
class Place:
    """A call's own among those under way. Moments in microseconds since 1970."""

    until: int
    leaves: int
    epoch: int


def judge(error: ProviderError | None, *, writes: bool = False) -> Outcome:
    if error is None:
        return Outcome("", Effect.GOOD, writes=writes)
    effect = _effect(error)
    pause = error.after if effect in (Effect.BAD, Effect.NONE) else None
    return Outcome(error.code, effect, pause, writes)


def _effect(error: ProviderError) -> Effect:
    if isinstance(error, Refused):
        if error.code in PERHAPS_WIDE:
            return Effect.REFUSED
        return Effect.WIDE if error.code in PROVIDER_WIDE else Effect.GOOD
    if isinstance(error, Unclear) and error.code in _ANSWERS:
        return Effect.GOOD
    return Effect.BAD if isinstance(error, Unreachable | Unclear) else Effect.NONE


# --- Asked before work is claimed ---


def admits(provider_id: int, *, now: datetime) -> Admission:
    """Whether it is worth while to claim work for this provider. Ask only when there is some: a PROBE is granted to one
    asker alone, and the next only when its time is over. Also CLOSED while the provider wants a pause, or more calls
    wait for their turns than will leave soon."""
    with connection.cursor() as cursor:  # asked before each call, and the ORM takes longer than the database
        cursor.execute(_LOOK, {"provider": provider_id, "soon": now + _LONGEST_LINE, "later": now + _NOBODY_WAITS})
        is_down, waits = cursor.fetchone() or (False, False)
    if is_down:
        return Admission.PROBE if _grant_probe(provider_id, now) else Admission.CLOSED
    return Admission.CLOSED if waits else Admission.OPEN


def _grant_probe(provider_id: int, now: datetime) -> bool:
    calm = Q(paused_until=None) | Q(paused_until__lte=now)
    due = ProviderLine.objects.filter(calm, pk=provider_id, down_since__isnull=False, next_probe_at__lte=now)
    return bool(due.update(next_probe_at=now + PROBE_LEASE, probes=F("probes") + 1, probing=True))


def to_be_tried(*, now: datetime) -> list[Provider]:
    """Those that are down and may be probed with a read; not where reads work and only a write tells."""
    only_writes = Q(line__failures__lt=MOST_FAILURES, line__failed_writes__gte=MOST_FAILURES)
    calm = Q(line__paused_until=None) | Q(line__paused_until__lte=now)
    due = Provider.objects.filter(calm, line__down_since__isnull=False, line__next_probe_at__lte=now)
    return list(due.exclude(only_writes).order_by("line__next_probe_at", "pk"))


def first_pause_ends(*, now: datetime) -> datetime | None:
    """When the next provider that wants a pause may be called again."""
    paused = ProviderLine.objects.filter(paused_until__gt=now)
    ends_at: datetime | None = paused.aggregate(first=Min("paused_until"))["first"]
    return ends_at


def release(provider_id: int, *, now: datetime) -> bool:
    """A probe that was granted is over: where no call left as one, the next asker gets it at once. Says whether that
    was so. Whoever comes too late may take it from another, whose call then is "no_turn"."""
    unused = ProviderLine.objects.filter(pk=provider_id, down_since__isnull=False, probing=True)
    return bool(unused.update(next_probe_at=now, probes=Greatest(F("probes") - 1, 0), probing=False))


def retry_now(provider_id: int, *, now: datetime) -> bool:
    """Somebody wants a provider that is down, or wants a pause, to be tried at once: the next asker gets a probe. Says
    whether that changes anything: not while a probe is out, or calls are under way that began before."""
    line = ProviderLine.objects.filter(pk=provider_id).first()
    if line is None:
        return False
    if line.down_since is None:
        return bool(ProviderLine.objects.filter(pk=provider_id, paused_until__gt=now).update(paused_until=None))
    out = line.probing and line.next_probe_at is not None and line.next_probe_at > now
    if out or any(moment > now.timestamp() * 1_000_000 for moment in line.under_way):
        return False
    unchanged = ProviderLine.objects.filter(
        pk=provider_id, epoch=line.epoch, probes=line.probes, down_since__isnull=False
    )
    return bool(unchanged.update(next_probe_at=now, paused_until=None, probing=False))


# --- Written when a call has ended ---


def report(provider_id: int, error: ProviderError) -> None:
    """What was found before any call: no secret in the environment, no client of this kind."""
    make(provider_id)
    _note(provider_id, judge(error), place=None, seconds=None)


def note(provider_id: int, outcome: Outcome, *, place: Place, seconds: float) -> None:
    """A call has ended: its place is free, and how it went is known."""
    _note(provider_id, outcome, place=place, seconds=seconds)


def withdraw(provider_id: int, place: Place) -> None:
    """The call was not made after all: it is as if its turn had not come."""
    with connection.cursor() as cursor:
        cursor.execute(
            _WITHDRAW, {"provider": provider_id, "place": place.until, "leaves": place.leaves, "epoch": place.epoch}
        )


def new_line(provider: Provider) -> ProviderLine:
    """As `make` writes it."""
    return ProviderLine(provider=provider, successes=_NOT_SLOW)


def make(provider_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, {"provider": provider_id, "successes": _NOT_SLOW})


def _note(provider_id: int, outcome: Outcome, *, place: Place | None, seconds: float | None) -> None:
    bucket = bucket_of((seconds or 0.0) * 1000)
    facts = {
        "provider": provider_id,
        "place": place.until if place else 0,
        "epoch": place.epoch if place else None,
        "code": outcome.code[:50],
        "good": outcome.effect == Effect.GOOD,
        "bad": outcome.effect in _FAILURES,
        "wide": outcome.effect == Effect.WIDE,
        "writes": outcome.writes,
        "write_failed": outcome.writes and outcome.effect == Effect.BAD,
        "trouble": outcome.effect in _FAILURES or outcome.pause is not None,
        "pause": outcome.pause,
        "counts": seconds is not None and outcome.effect != Effect.UNKNOWN,
        "bucket": bucket + 1,
        "buckets": [int(each == bucket) for each in range(len(BUCKETS) + 1)],
        "most": MOST_FAILURES,
        "not_slow": _NOT_SLOW,
        "probe_lease": PROBE_LEASE.total_seconds(),
        "first_wait": FIRST_WAIT,
        "most_doubled": LONGEST_WAIT / FIRST_WAIT,
        "jitter": random.uniform(0.75, 1.0),  # spreads the tries, guards nothing
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, facts)
        changed = cursor.fetchone()
    if changed and changed[0]:
        logger.error("provider %s is left alone: %s", provider_id, outcome.code)
    elif changed and changed[1]:
        logger.warning("provider %s is back", provider_id)
