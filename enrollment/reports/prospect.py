"""What somebody who waits may expect: how many places came free, from that an honest range of dates, and why the place
in the queue changed. Nothing of it is stored: it is read from events (docs/adr/0009)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from math import sqrt

from django.db import models
from django.db.models import F, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog import dates
from catalog.models import Programme
from enrollment import waiting_list
from enrollment.models import Enrollment, Event
from enrollment.models.enrollment import EnrollmentQuerySet
from enrollment.reports.turns import Turn, turns_of

WEEKS = 8
WINDOW = timedelta(weeks=WEEKS)
# With fewer, chance says more than the seats do.
LEAST_FREED = 5
FURTHEST = timedelta(days=730)
# What is further away is told in months.
NEAR = timedelta(days=92)
MOST_DAYS = 10


class Unknown(models.TextChoices):
    """Why nothing is said of a date."""

    FEW = "few", gettext_lazy("Too few places came free lately to tell.")
    SINKING = (
        "sinking",
        gettext_lazy("The programme will have fewer places, so what comes free is not given again yet."),
    )
    FAR = "far", gettext_lazy("It may take longer than two years.")
    CLOSES = "closes", gettext_lazy("The programme may close before that.")


@dataclass(frozen=True)
class Expected:
    """From the first to the last day; `first` None: only the last is known."""

    first: date | None
    last: date
    in_months: bool

    @property
    def words(self) -> str:
        last = self._of(self.last)
        if self.first is None:
            return _("You can expect a place around %(month)s at the latest.") % {"month": last}
        first = self._of(self.first)
        if first == last:
            return _("You can expect a place around %(month)s.") % {"month": last}
        if self.in_months:
            months = {"first_month": first, "last_month": last}
            return _("You can expect a place between %(first_month)s and %(last_month)s.") % months
        days = {"first_day": first, "last_day": last}
        return _("You can expect a place between %(first_day)s and %(last_day)s.") % days

    def _of(self, day: date) -> str:
        return dates.written(day, "F Y" if self.in_months else "j F")


@dataclass(frozen=True)
class Day:
    """What changed on one day, and the place that came of it."""

    day: date
    place: int
    turns: Sequence[Turn]


@dataclass(frozen=True)
class Prospect:
    """`place` in the whole queue. `counted` is the one that counts: where the institution has all it may have, only its
    seats and its members do. `raised`: seats that a higher cap added, which are no steady flow."""

    enrollment: Enrollment
    now: datetime
    place: int
    counted: int
    only_share: bool
    freed: int
    raised: int
    expected: Expected | Unknown

    @property
    def weeks(self) -> int:
        return WEEKS

    @property
    def is_known(self) -> bool:
        return isinstance(self.expected, Expected)

    @property
    def words(self) -> str:
        """One sentence."""
        if isinstance(self.expected, Expected):
            return self.expected.words
        return _("We cannot say yet when you will get a place.")

    @property
    def why_unknown(self) -> str:
        return str(self.expected.label) if isinstance(self.expected, Unknown) else ""

    @cached_property
    def days(self) -> Sequence[Day]:
        """The newest first; asked for only where it is shown, with one query."""
        return days_of(turns_of(self.enrollment, since=self.now - WINDOW, days=MOST_DAYS), place=self.place)


def prospect_of(enrollment: Enrollment, *, now: datetime) -> Prospect | None:
    """None for whoever is not in line. With at most five queries; the share and the pool's programme must be loaded."""
    place = waiting_list.place_of(enrollment)
    if place is None:
        return None
    only_share = enrollment.share.ceiling is not None and enrollment.share.taken >= enrollment.share.ceiling
    counted = _place_in_share(enrollment) if only_share else place
    freed = _freed(enrollment, only_share, now)
    return Prospect(
        enrollment=enrollment,
        now=now,
        place=place,
        counted=counted,
        only_share=only_share,
        freed=freed,
        raised=0 if only_share else _raised(enrollment, now),
        expected=_expected(enrollment, counted, freed, _certain(enrollment, only_share, counted), now),
    )


def days_of(turns: Sequence[Turn], *, place: int) -> list[Day]:
    """The days are told back from the place now, so that they always add up to it."""
    days: list[Day] = []
    for day in dict.fromkeys(turn.day for turn in turns):
        told = [turn for turn in turns if turn.day == day]
        days.append(Day(day, place, told))
        place -= sum(turn.places for turn in told)
    return days


# --- What is counted ---


def _place_in_share(enrollment: Enrollment) -> int:
    return Enrollment.objects.ahead_of(enrollment).filter(share_id=enrollment.share_id).count() + 1


def _freed(enrollment: Enrollment, only_share: bool, now: datetime) -> int:
    freed = Event.objects.filter(
        pool_id=enrollment.pool_id, at__gt=now - WINDOW, kind__in=(Event.Kind.SEAT_ENDED, Event.Kind.HOLD_LAPSED)
    )
    return (freed.filter(institution_id=enrollment.share.institution_id) if only_share else freed).count()


def _raised(enrollment: Enrollment, now: datetime) -> int:
    raised = enrollment.pool.cap_changes.filter(applied_at__gt=now - WINDOW, new_cap__gt=F("old_cap"), old_cap__gt=0)
    return raised.aggregate(seats=Sum(F("new_cap") - F("old_cap")))["seats"] or 0


def _certain(enrollment: Enrollment, only_share: bool, place: int) -> datetime | None:
    """When as many terms are over as there are people up to this one. As long as somebody waits they are not renewed,
    unless the programme renews always, so that by then so many seats have certainly come free."""
    if enrollment.pool.programme.renewal == Programme.Renewal.ALWAYS:
        return None
    seated = _seated(enrollment, only_share).order_by("ends_at").values_list("ends_at", flat=True)
    return next(iter(seated[place - 1 : place]), None)


def _seated(enrollment: Enrollment, only_share: bool) -> EnrollmentQuerySet:
    part = {"share_id": enrollment.share_id} if only_share else {"pool_id": enrollment.pool_id}
    return Enrollment.objects.filter(state=Enrollment.State.SEATED, **part)


# --- What is expected ---


def span(place: int, freed: int) -> tuple[timedelta, timedelta]:
    """Between what and what the wait for so many seats is, four times out of five.

    Seats that come free one by one, at a rate that nobody knows but from those that did: the wait for `place` of them
    is spread by 1/sqrt(place) of itself, and the rate, known from `freed`, by 1/sqrt(freed). 1.28 standard deviations
    to both sides hold 80 %.
    """
    middle = WINDOW * place / freed
    spread = 1 + 1.28 * sqrt(1 / place + 1 / freed)
    return middle / spread, middle * spread


def _expected(
    enrollment: Enrollment, place: int, freed: int, certain: datetime | None, now: datetime
) -> Expected | Unknown:
    if enrollment.pool.planned_cap is not None:
        return Unknown.SINKING
    first, last = span(place, freed) if freed >= LEAST_FREED else (None, None)
    waits = [wait for wait in (last, certain - now if certain else None) if wait is not None]
    if not waits:
        return Unknown.FEW
    longest = max(min(waits), timedelta())
    if longest > FURTHEST:
        return Unknown.FAR if first is not None else Unknown.FEW
    found = _in_days(None if first is None else now + min(first, longest), now + longest, now)
    closes_on = enrollment.pool.programme.closes_on
    return Unknown.CLOSES if closes_on is not None and found.last >= closes_on else found


def _in_days(first: datetime | None, last: datetime, now: datetime) -> Expected:
    """To whole weeks, or months when it is further away: what is not known to the day is not told to the day."""
    today, until = timezone.localdate(now), timezone.localdate(last)
    since = None if first is None else timezone.localdate(first)
    if since is None or last - now > NEAR:
        return Expected(since, until, in_months=True)
    monday = max(since - timedelta(days=since.weekday()), today)
    return Expected(monday, until + timedelta(days=6 - until.weekday()), in_months=False)
