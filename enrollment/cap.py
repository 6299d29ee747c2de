"""Open the seats of a programme, and change their number: always with a reason, always a line in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from enrollment import history, seats
from enrollment.models import CapChange, Enrollment, Event, SeatPool, Share
from libraries import scoping
from libraries.models import User

HIGHEST_CAP = 1_000_000


class Obstacle(models.TextChoices):
    NOT_COORDINATOR = "not_coordinator", _("Only a coordinator may change the number of places.")
    NO_REASON = "no_reason", _("Write why the number of places changes.")
    UNCHANGED = "unchanged", _("That is the number of places already.")
    OPENED = "opened", _("This programme has places already.")
    BELOW_FLOORS = "below_floors", _("The institutions are guaranteed more places than that.")
    TOO_LOW = "too_low", _("The number of places cannot be below zero.")
    TOO_HIGH = "too_high", _("This number is too high. Check it.")


class CannotChange(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@seats.transition
def open_pool(
    *, programme_id: int, cap: int, institution_ids: Iterable[int], reason: str, by: User, now: datetime
) -> SeatPool:
    """Give a programme its seats. The institutions take part without floor or ceiling; others can be let in later."""
    _check(by, reason.strip(), cap=cap, limit=None, floors=0)
    pool, made = SeatPool.objects.get_or_create(programme_id=programme_id, defaults={"cap": cap})
    if not made:
        raise CannotChange(Obstacle.OPENED)
    _note(pool, old=0, new=cap, reason=reason, by=by, now=now)
    _let_in(pool, institution_ids, by=by, now=now)
    return pool


@seats.transition
def let_in(*, pool_id: int, institution_ids: Iterable[int], by: User, now: datetime) -> int:
    """Let more institutions take part in a programme; says how many did not before."""
    if not scoping.may(by, scoping.Role.COORDINATOR):
        raise CannotChange(Obstacle.NOT_COORDINATOR)
    return _let_in(seats.lock(pool_id), institution_ids, by=by, now=now)


def _let_in(pool: SeatPool, institution_ids: Iterable[int], *, by: User, now: datetime) -> int:
    new = sorted(set(institution_ids) - set(pool.shares.values_list("institution_id", flat=True)))
    for institution_id in new:
        Share.objects.create(pool=pool, institution_id=institution_id)
        history.record(Event.Kind.SHARE_CHANGED, now=now, by=by, pool_id=pool.pk, institution_id=institution_id)
    return len(new)


@seats.transition
def change(*, pool_id: int, cap: int, reason: str, by: User, now: datetime) -> Sequence[Enrollment]:
    """Set the cap, and give what comes free to the next in line at once; returns who got a seat.

    Below what is taken it becomes a plan: nobody loses a seat, the cap sinks with every seat that ends.
    """
    pool = seats.lock(pool_id)
    _check(by, reason.strip(), cap=cap, limit=pool.limit, floors=pool.floors)
    _note(pool, old=pool.limit, new=cap, reason=reason, by=by, now=now)
    pool.cap, pool.planned_cap = max(cap, pool.taken), cap if cap < pool.taken else None
    pool.save(update_fields=["cap", "planned_cap"])
    return seats.allocate(pool, now=now, by=by)


def _note(pool: SeatPool, *, old: int, new: int, reason: str, by: User, now: datetime) -> None:
    CapChange.objects.create(pool=pool, old_cap=old, new_cap=new, reason=reason.strip(), by=by, effective_at=now)
    history.record(
        Event.Kind.CAP_CHANGED, now=now, by=by, pool_id=pool.pk, words=reason.strip(), old_value=old, new_value=new
    )


def _check(by: User, reason: str, *, cap: int, limit: int | None, floors: int) -> None:
    obstacles = {
        Obstacle.NOT_COORDINATOR: not scoping.may(by, scoping.Role.COORDINATOR),
        Obstacle.NO_REASON: not reason,
        Obstacle.UNCHANGED: cap == limit,
        Obstacle.TOO_LOW: cap < 0,
        Obstacle.BELOW_FLOORS: cap < floors,
        Obstacle.TOO_HIGH: cap > HIGHEST_CAP,
    }
    for obstacle, holds in obstacles.items():
        if holds:
            raise CannotChange(obstacle)
