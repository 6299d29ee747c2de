"""Measured beside `bare_seats`: the portal's own operations on seats, as the workplace and the sweep do them."""

from django.utils import timezone

from enrollment import cap, waiting_list
from enrollment.cap_plan import Plan
from enrollment.models import Enrollment, SeatPool
from enrollment.reports.audit import audit
from libraries.models import StaffRole, User


def make_coordinator() -> User:
    mo = User.objects.create_user("mo@example.test", is_staff=True)
    StaffRole.objects.create(user=mo, role=StaffRole.Role.COORDINATOR)
    return mo


def preview(pool: SeatPool, *, seats: int, by: User) -> None:
    assert cap.preview(pool_id=pool.pk, plan=_more(pool, seats), by=by, now=timezone.now()).given == seats


def raise_cap(pool: SeatPool, *, seats: int, by: User) -> None:
    """The whole change: ledger, events, letters and owed accounts."""
    plan = _more(pool, seats)
    assert len(cap.change(pool_id=pool.pk, plan=plan, reason="Benchmark", by=by, now=timezone.now())) == seats


def _more(pool: SeatPool, seats: int) -> Plan:
    pool.refresh_from_db()
    return Plan(cap=pool.cap + seats)


def make_overdue(pool: SeatPool, *, seats: int) -> None:
    """So many held seats, for `release`."""
    now = timezone.now()
    held = Enrollment.objects.filter(pool=pool, state="held", hold_until__gt=now).order_by("pk")[:seats]
    Enrollment.objects.filter(pk__in=held.values("pk")).update(hold_until=now)


def release(*, seats: int) -> None:
    """Of held seats that are overdue: they go to the first in line."""
    assert waiting_list.lapse_holds(now=timezone.now()) == seats


def check() -> None:
    assert all(finding.holds for finding in audit(now=timezone.now()))
