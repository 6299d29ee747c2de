"""Change the number of seats of a programme: always with a reason, always a line in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from enrollment import history, seats
from enrollment.models import CapChange, Enrollment, Event
from libraries import scoping
from libraries.models import User

HIGHEST_CAP = 1_000_000


class Obstacle(models.TextChoices):
    NOT_COORDINATOR = "not_coordinator", _("Only a coordinator may change the number of places.")
    NO_REASON = "no_reason", _("Write why the number of places changes.")
    UNCHANGED = "unchanged", _("That is the number of places already.")
    BELOW_FLOORS = "below_floors", _("The institutions are guaranteed more places than that.")
    TOO_LOW = "too_low", _("The number of places cannot be below zero.")
    TOO_HIGH = "too_high", _("That is more places than anybody can mean.")


class CannotChange(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@seats.transition
def change(*, pool_id: int, cap: int, reason: str, by: User, now: datetime) -> Sequence[Enrollment]:
    """Set the cap, and give what comes free to the next in line at once; returns who got a seat.

    Below what is taken it becomes a plan: nobody loses a seat, the cap sinks with every seat that ends.
    """
    pool = seats.lock(pool_id)
    _check(by, reason.strip(), cap=cap, limit=pool.limit, floors=pool.floors)
    CapChange.objects.create(pool=pool, old_cap=pool.limit, new_cap=cap, reason=reason.strip(), by=by, effective_at=now)
    history.record(
        Event.Kind.CAP_CHANGED,
        now=now,
        by=by,
        pool_id=pool.pk,
        words=reason,
        old_value=pool.limit,
        new_value=cap,
    )
    pool.cap, pool.planned_cap = max(cap, pool.taken), cap if cap < pool.taken else None
    pool.save(update_fields=["cap", "planned_cap"])
    return seats.allocate(pool, now=now, by=by)


def _check(by: User, reason: str, *, cap: int, limit: int, floors: int) -> None:
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
