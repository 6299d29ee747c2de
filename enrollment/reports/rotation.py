"""What is on offer in a programme in the year ahead, month by month, as it is planned now."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dateutil.relativedelta import relativedelta
from django.utils import timezone

from catalog import offer_rules, rotation
from catalog.models import Programme
from catalog.offer_rules import Role, Slot
from enrollment import leaving

MONTHS = 12
# On the drawing every month is as wide as another; a day is a part of its month.
MONTH_WIDTH = 100


@dataclass(frozen=True)
class Row:
    """A title with its time, and where that stands in the drawing; `members` follow it now."""

    slot: Slot
    x: int
    width: int
    begun: bool
    leaves_soon: bool
    members: int

    @property
    def last_day(self) -> date | None:
        return self.slot.until and self.slot.until - timedelta(days=1)


@dataclass(frozen=True)
class Month:
    """`core`: the most core titles on any of its days to come."""

    first: date
    core: int


@dataclass(frozen=True)
class Year:
    months: Sequence[Month]
    core: Sequence[Row]
    modules: Sequence[Row]
    today_x: int
    most: int
    now: int

    width = MONTHS * MONTH_WIDTH

    @property
    def free(self) -> int:
        return max(0, self.most - self.now)

    @property
    def lines(self) -> list[int]:
        """Where a month ends."""
        return [number * MONTH_WIDTH for number in range(1, MONTHS)]

    @property
    def module_now(self) -> Row | None:
        return next((row for row in self.modules if row.begun), None)


def year_of(programme: Programme, *, now: datetime) -> Year:
    """With two queries. What has left is not shown; what comes later than in a year is, without a bar."""
    today = timezone.localdate(now)
    slots = [slot for slot in rotation.slots_of(programme).values() if slot.until is None or slot.until > today]
    followed = leaving.learners(programme.pk, {slot.course_id for slot in slots})
    core = [slot for slot in slots if slot.role == Role.CORE]
    rows = [_row(slot, today, followed.get(slot.course_id, 0)) for slot in slots]
    first = today.replace(day=1)
    return Year(
        months=[_month(first + relativedelta(months=number), core, today) for number in range(MONTHS)],
        core=sorted((row for row in rows if row.slot.role == Role.CORE), key=_by_title),
        modules=[row for row in rows if row.slot.role == Role.MODULE],
        today_x=_x(today, today),
        most=programme.core_titles,
        now=offer_rules.busy_on(core, today),
    )


def _by_title(row: Row) -> tuple[bool, str, date]:
    """What is on offer now first."""
    return not row.begun, row.slot.title.casefold(), row.slot.since


def _row(slot: Slot, today: date, members: int) -> Row:
    start = _x(max(slot.since, today.replace(day=1)), today)
    end = Year.width if slot.until is None else _x(slot.until, today)
    soon = slot.until is not None and slot.until - today <= offer_rules.TOLD_BEFORE
    return Row(slot, start, max(0, end - start), slot.since <= today, soon and slot.since <= today, members)


def _x(day: date, today: date) -> int:
    month = (day.year - today.year) * 12 + day.month - today.month
    into = (day.day - 1) * MONTH_WIDTH // monthrange(day.year, day.month)[1]
    return min(max(month * MONTH_WIDTH + into, 0), Year.width)


def _month(first: date, core: Iterable[Slot], today: date) -> Month:
    """On the days on which a title comes, or on its first day."""
    last, since = first + relativedelta(months=1) - timedelta(days=1), max(first, today)
    core = list(core)
    days = {since, *(slot.since for slot in core if since < slot.since <= last)}
    return Month(first, max(offer_rules.busy_on(core, day) for day in days))
