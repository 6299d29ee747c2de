"""How many places there are, and what a newcomer can count on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from enrollment.models import QueueStretch, SeatPool


@dataclass(frozen=True)
class Availability:
    """`cap`: as many as may be given out now; `free`: what a newcomer can get, so none while somebody is in line."""

    cap: int
    taken: int
    free: int
    waiting: int


def availability(pool: SeatPool) -> Availability:
    return availabilities([pool])[pool.pk]


def availabilities(pools: Iterable[SeatPool]) -> dict[int, Availability]:
    """For each pool's id, with one query for all."""
    pools = list(pools)
    waiting = QueueStretch.objects.people_in(pool.pk for pool in pools)
    return {pool.pk: _availability(pool, waiting.get(pool.pk, 0)) for pool in pools}


def _availability(pool: SeatPool, waiting: int) -> Availability:
    return Availability(cap=pool.limit, taken=pool.taken, free=0 if waiting else pool.free, waiting=waiting)
