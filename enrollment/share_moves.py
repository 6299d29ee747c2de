"""Seats that count in the share of another institution than their person's card: they move to their own as soon as both
shares allow it. When that is, is plain arithmetic on counts, so that the preview of a change comes to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from enrollment import history
from enrollment.models import Enrollment, Event, SeatPool, Share


@dataclass
class Counts:
    """Of one share; `kept` says that its unused floor is kept free for it, and not lent to others."""

    taken: int
    floor: int
    ceiling: int | None
    kept: bool

    @property
    def unused(self) -> int:
        return max(self.floor - self.taken, 0) if self.kept else 0

    @property
    def has_room(self) -> bool:
        return self.ceiling is None or self.taken < self.ceiling


@dataclass(frozen=True)
class Mover:
    """An enrollment with a seat in one share that is to count in another."""

    enrollment_id: int
    source: int
    target: int


def carry_out(counts: Mapping[int, Counts], free: int, movers: Iterable[Mover]) -> Sequence[Mover]:
    """Those that can move, in the order given; `counts`, by the shares' ids, are then as after the moves.

    The target must have room, and what is guaranteed to the institution that the seat leaves must still be there.
    """
    return [mover for mover in movers if _move(counts, free, mover)]


def _move(counts: Mapping[int, Counts], free: int, mover: Mover) -> bool:
    source, target = counts[mover.source], counts[mover.target]
    if not target.has_room:
        return False
    before = sum(each.unused for each in counts.values())
    source.taken, target.taken = source.taken - 1, target.taken + 1
    after = sum(each.unused for each in counts.values())
    if after <= max(before, free):
        return True
    source.taken, target.taken = source.taken + 1, target.taken - 1
    return False


# --- The rows ---


def move(pool: SeatPool, enrollment: Enrollment, share: Share, *, now: datetime) -> None:
    """The enrollment is to count in this share from now on, keeping seat and place. Who waits moves at once; a seat
    moves when both shares allow it, now or as soon as they do. The pool must be locked."""
    if enrollment.share_id == share.pk:
        return
    if enrollment.has_seat:
        pool.has_movers = True
        pool.save(update_fields=["has_movers"])
        move_all(pool, now=now)
        enrollment.refresh_from_db(fields=["share"])
    else:
        _count_in(enrollment, share, now=now)


def move_all(pool: SeatPool, *, now: datetime) -> None:
    """Whoever can, the oldest application first."""
    shares = {share.pk: share for share in pool.shares.select_for_update(no_key=True).order_by("pk")}
    wishes = _movers(pool, shares.values())
    moved = carry_out(_counts(shares.values(), now=now), pool.free, wishes)
    rows = Enrollment.objects.select_for_update(no_key=True).in_bulk([mover.enrollment_id for mover in moved])
    for mover in moved:
        Share.objects.filter(pk=mover.source).update(taken=F("taken") - 1)
        Share.objects.filter(pk=mover.target).update(taken=F("taken") + 1)
        _count_in(rows[mover.enrollment_id], shares[mover.target], now=now)
    pool.has_movers = len(moved) < len(wishes)
    pool.save(update_fields=["has_movers"])


def _count_in(enrollment: Enrollment, share: Share, *, now: datetime) -> None:
    enrollment.share = share
    enrollment.save(update_fields=["share"])
    history.record(Event.Kind.MOVED, now=now, enrollment=enrollment)


def _movers(pool: SeatPool, shares: Iterable[Share]) -> list[Mover]:
    share_of = {share.institution_id: share.pk for share in shares}
    elsewhere = pool.enrollments.holding_seats().exclude(card__institution_id=F("share__institution_id"))
    rows = elsewhere.in_queue_order().values_list("pk", "share_id", "card__institution_id")
    return [Mover(pk, source, share_of[to]) for pk, source, to in rows if to in share_of]


def _counts(shares: Iterable[Share], *, now: datetime) -> dict[int, Counts]:
    day = timezone.localdate(now)
    return {
        share.pk: Counts(
            share.taken, share.floor, share.ceiling, kept=share.lends_from is None or share.lends_from > day
        )
        for share in shares
    }


def terms_after(pool: SeatPool, *, free: int, terms: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The terms of all shares, with what they would have taken once everybody has moved who then can."""
    shares, new = list(pool.shares.order_by("pk")), {row["id"]: row for row in terms}
    for share in shares:
        for name, value in new.get(share.pk, {}).items():
            setattr(share, name, value)
    counts = _counts(shares, now=now)
    carry_out(counts, free, _movers(pool, shares))
    names = ("id", "floor", "ceiling", "lends_from")
    return [{name: getattr(share, name) for name in names} | {"taken": counts[share.pk].taken} for share in shares]
