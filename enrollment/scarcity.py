"""Tell the coordinators that places become scarce, or the queue long: once each time it happens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.utils import timezone

from catalog.models import Programme
from enrollment import seats
from enrollment.models import Letter, QueueStretch, SeatPool
from libraries import scoping

# In percents of the places. One is left when so many percents fewer are taken: a seat that comes and goes is no news.
LEVELS = (75, 90, 100)
_FALL = 5
# The queue is no longer long below so many percents of the programme's number.
_SHORT = 80


def announce_scarcity(*, now: datetime) -> int:
    """Owe a letter to each coordinator for every pool in which a level is reached, or whose queue has become long;
    say how many letters. While there are no coordinators, nobody is told and nothing is noted."""
    people = scoping.staff_with(scoping.Role.COORDINATOR)
    if not people:
        return 0
    return sum(_announce(pk, people, now=now) for pk in _changed(now))


def level(pool: SeatPool) -> int:
    """The highest level reached, or told before and not left since; 0 for none, and where there are no places."""
    if pool.limit == 0:
        return 0
    reached = [each for each in LEVELS if pool.taken * 100 >= each * pool.limit]
    kept = [each for each in LEVELS if each <= pool.told_percent and pool.taken * 100 > (each - _FALL) * pool.limit]
    return max([*reached, *kept], default=0)


def is_long(pool: SeatPool, waiting: int) -> bool:
    """Whether the queue is longer than the programme's number, or was and is not short since."""
    alarm = pool.programme.queue_alarm
    return alarm is not None and (waiting > alarm or (pool.told_queue and waiting * 100 >= _SHORT * alarm))


def waiting_for(pool: SeatPool) -> int:
    return QueueStretch.objects.people_in([pool.pk]).get(pool.pk, 0)


def _changed(now: datetime) -> list[int]:
    """The ids of open programmes' pools where something else holds than was told; with two queries for all."""
    open_now = Programme.objects.open_on(timezone.localdate(now))
    pools = list(SeatPool.objects.filter(programme__in=open_now).select_related("programme").order_by("pk"))
    waiting = QueueStretch.objects.people_in(pool.pk for pool in pools)
    return [pool.pk for pool in pools if _told(pool) != (level(pool), is_long(pool, waiting.get(pool.pk, 0)))]


def _told(pool: SeatPool) -> tuple[int, bool]:
    return pool.told_percent, pool.told_queue


@seats.transition
def _announce(pool_id: int, people: Collection[int], *, now: datetime) -> int:
    """Another sweep may have told it meanwhile: everything is read under the pool's lock."""
    pool = seats.lock(pool_id)
    told_percent, told_queue = _told(pool)
    pool.told_percent, pool.told_queue = level(pool), is_long(pool, waiting_for(pool))
    pool.save(update_fields=["told_percent", "told_queue"])
    news = {Letter.Kind.PLACES_SCARCE: str(pool.told_percent)} if pool.told_percent > told_percent else {}
    news |= {Letter.Kind.QUEUE_LONG: ""} if pool.told_queue and not told_queue else {}
    for kind, reason in news.items():
        Letter.objects.owe_to_staff(kind, people, now=now, pool_id=pool.pk, reason=reason)
    return len(news) * len(people)
