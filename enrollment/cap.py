"""Open the seats of a programme, change their number, share them out: always with a reason, always a line in the
ledger, now or on a day to come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from enrollment import history, seats
from enrollment.cap_plan import (
    Before,
    Obstacle,
    Plan,
    Preview,
    Terms,
    before,
    foresee,
    obstacle,
    senseless,
    what_changes,
)
from enrollment.models import CapChange, Enrollment, Event, SeatPool, Share, ShareChange
from libraries import scoping
from libraries.models import User


class CannotChange(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


class Overtaken(Exception):
    """Since it was previewed, something has changed: `preview` is what it would do now."""

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.preview = preview


# --- Taking part ---


@seats.transition
def open_pool(
    *, programme_id: int, cap: int, institution_ids: Iterable[int], reason: str, by: User, now: datetime
) -> SeatPool:
    """Give a programme its seats. The institutions take part without floor or ceiling; others can be let in later."""
    _check(by, reason, senseless(Plan(cap=cap)))
    pool, made = SeatPool.objects.get_or_create(programme_id=programme_id, defaults={"cap": cap})
    if not made:
        raise CannotChange(Obstacle.OPENED)
    CapChange.objects.create(
        pool=pool, old_cap=0, new_cap=cap, reason=reason.strip(), by=by, effective_at=now, applied_at=now
    )
    _record_cap(pool, old=0, new=cap, reason=reason.strip(), by=by, now=now)
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


# --- Changing ---


def preview(*, pool_id: int, plan: Plan, by: User, now: datetime, later: bool = False) -> Preview:
    """What the plan would do now; changes nothing. Raises CannotChange; for a plan that is for later only where it
    makes no sense at all: how the seats will be by then, nobody knows."""
    at = before(SeatPool.objects.select_related("programme").get(pk=pool_id))
    changes = what_changes(plan, at)
    if later:
        _check(by, None, senseless(plan))
    else:
        _check(by, None, Obstacle.UNCHANGED if changes.is_empty else obstacle(changes, at))
    return foresee(changes, at, now=now)


@seats.transition
def change(
    *, pool_id: int, plan: Plan, reason: str, by: User, now: datetime, expected: str | None = None
) -> Sequence[Enrollment]:
    """Set the cap and the shares' terms, and give what comes free to the next in line at once; returns who got a seat.

    A cap below what is taken becomes a plan: nobody loses a seat, the cap sinks with every seat that ends. `expected`
    is the fingerprint of a preview: when it would not do the same any more, Overtaken is raised. Raises CannotChange.
    """
    at = before(seats.lock(pool_id))
    plan = what_changes(plan, at)
    _check(by, reason, Obstacle.UNCHANGED if plan.is_empty else obstacle(plan, at))
    if expected is not None:
        now_expected = foresee(plan, at, now=now)
        if now_expected.fingerprint != expected:
            raise Overtaken(now_expected)
    line = _write(at.pool, plan, reason=reason, by=by, at=now)
    return _carry_out(line, plan, at, now=now)


@seats.transition
def schedule(*, pool_id: int, plan: Plan, reason: str, at: datetime, by: User, now: datetime) -> CapChange:
    """Plan a change for a moment to come. Whether the seats allow it is looked at then; a cap that is the same as now
    may be another by then. Raises CannotChange."""
    pool = seats.lock(pool_id)
    plan = Plan(cap=plan.cap, shares=what_changes(plan, before(pool)).shares)
    found = senseless(plan) or (Obstacle.UNCHANGED if plan.is_empty else None)
    _check(by, reason, Obstacle.IN_THE_PAST if at <= now else found)
    line = _write(pool, plan, reason=reason, by=by, at=at)
    history.record(Event.Kind.CHANGE_PLANNED, now=now, by=by, pool_id=pool.pk, words=line.reason, new_value=plan.cap)
    return line


@seats.transition
def withdraw(*, change_id: int, by: User, now: datetime) -> bool:
    """Take back a planned change; says whether it was still planned."""
    if not scoping.may(by, scoping.Role.COORDINATOR):
        raise CannotChange(Obstacle.NOT_COORDINATOR)
    pool_id = CapChange.objects.values_list("pool_id", flat=True).get(pk=change_id)
    seats.lock(pool_id)
    if not CapChange.objects.planned().filter(pk=change_id).update(withdrawn_at=now, withdrawn_by=by):
        return False
    history.record(Event.Kind.CHANGE_WITHDRAWN, now=now, by=by, pool_id=pool_id)
    return True


def apply_due(*, now: datetime) -> int:
    """Carry out every planned change whose time has come, oldest first and once each; say how many."""
    due = CapChange.objects.due(now).order_by("effective_at", "pk").values_list("pk", flat=True)
    return sum(_apply_planned(change_id, now=now) for change_id in list(due))


@seats.transition
def _apply_planned(change_id: int, *, now: datetime) -> bool:
    pool_id = CapChange.objects.values_list("pool_id", flat=True).get(pk=change_id)
    at = before(seats.lock(pool_id))
    line = CapChange.objects.due(now).filter(pk=change_id).select_related("by").first()
    if line is None:
        return False
    told = Plan(cap=line.new_cap, shares={each.share_id: _terms(each) for each in line.share_changes.all()})
    changes = what_changes(told, at)
    if found := obstacle(changes, at):
        line.withdrawn_at, line.obstacle = now, found
        line.save(update_fields=["withdrawn_at", "obstacle"])
        history.record(Event.Kind.CHANGE_WITHDRAWN, now=now, pool_id=pool_id, reason=found)
    else:
        _carry_out(line, Plan(cap=changes.cap, shares=told.shares), at, now=now)
    return True


def _check(by: User, reason: str | None, found: Obstacle | None) -> None:
    """`reason` None: nothing is written, so that none is needed."""
    if not scoping.may(by, scoping.Role.COORDINATOR):
        raise CannotChange(Obstacle.NOT_COORDINATOR)
    if reason is not None and not reason.strip():
        raise CannotChange(Obstacle.NO_REASON)
    if found is not None:
        raise CannotChange(found)


def _terms(row: ShareChange) -> Terms:
    return Terms(floor=row.floor, ceiling=row.ceiling, lends_from=row.lends_from)


def _write(pool: SeatPool, plan: Plan, *, reason: str, by: User, at: datetime) -> CapChange:
    line = CapChange.objects.create(pool=pool, new_cap=plan.cap, reason=reason.strip(), by=by, effective_at=at)
    ShareChange.objects.bulk_create(
        ShareChange(change=line, share_id=pk, floor=terms.floor, ceiling=terms.ceiling, lends_from=terms.lends_from)
        for pk, terms in sorted(plan.shares.items())
    )
    return line


@transaction.atomic
def _carry_out(line: CapChange, plan: Plan, at: Before, *, now: datetime) -> Sequence[Enrollment]:
    """Within the pool's lock. What the line says of a share is written beside what it had, changed or not."""
    pool = at.pool
    line.old_cap, line.applied_at = pool.limit, now
    line.save(update_fields=["old_cap", "applied_at"])
    for share in at.shares:
        if share.pk in plan.shares:
            _set_terms(line, share, plan.shares[share.pk], now=now)
    if plan.cap is not None:
        _record_cap(pool, old=pool.limit, new=plan.cap, reason=line.reason, by=line.by, now=now)
        pool.cap, pool.planned_cap = max(plan.cap, pool.taken), plan.cap if plan.cap < pool.taken else None
    pool.floors = sum(share.floor for share in at.shares)
    pool.save(update_fields=["cap", "planned_cap", "floors"])
    return seats.allocate(pool, now=now, by=line.by)


def _set_terms(line: CapChange, share: Share, terms: Terms, *, now: datetime) -> None:
    had = {"had_floor": share.floor, "had_ceiling": share.ceiling, "had_lends_from": share.lends_from}
    ShareChange.objects.filter(change=line, share=share).update(**had)
    for name in ("floor", "ceiling", "lends_from"):
        old, new = getattr(share, name), getattr(terms, name)
        if old != new:
            setattr(share, name, new)
            _record_share(line, share, name, old, new, now=now)
    share.save(update_fields=["floor", "ceiling", "lends_from"])


def _record_share(line: CapChange, share: Share, name: str, old: object, new: object, *, now: datetime) -> None:
    history.record(
        Event.Kind.SHARE_CHANGED,
        now=now,
        by=line.by,
        pool_id=line.pool_id,
        institution_id=share.institution_id,
        reason=name,
        words=line.reason,
        old_value=old if isinstance(old, int) else None,
        new_value=new if isinstance(new, int) else None,
    )


def _record_cap(pool: SeatPool, *, old: int, new: int, reason: str, by: User | None, now: datetime) -> None:
    history.record(Event.Kind.CAP_CHANGED, now=now, by=by, pool_id=pool.pk, words=reason, old_value=old, new_value=new)
