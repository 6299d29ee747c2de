"""Who has had priority in the queue: when, why, by whom; without names of members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from enrollment import prioritizing
from enrollment.models import Enrollment, Event, SeatPool
from enrollment.reports.timeline import names_of
from libraries import scoping
from libraries.models import Institution, User

Kind = Event.Kind


@dataclass(frozen=True)
class Priority:
    """From when it was given until it was taken back, or the person got a place or left. `state` is that of now, empty
    when the application is erased."""

    application: int
    programme: str
    institution: str
    reason: str
    words: str
    given_at: datetime
    given_by: str
    taken_at: datetime | None
    taken_by: str
    why_taken: str
    state: str


@dataclass(frozen=True)
class Total:
    institution: str
    reason: str
    count: int


@dataclass(frozen=True)
class Period:
    """Both days count."""

    since: date
    until: date

    @property
    def starts_at(self) -> datetime:
        return timezone.make_aware(datetime.combine(self.since, time()))

    @property
    def ends_before(self) -> datetime:
        return timezone.make_aware(datetime.combine(self.until + timedelta(days=1), time()))


def priorities(user: User, period: Period, *, programme_id: int | None = None) -> list[Priority]:
    """Everybody who had it at some moment of the period, as far as the user may see: the institution is the one that
    the application counted at when it was given. The newest first; with six queries."""
    pools = _pools(programme_id)
    given = _given(user, period, pools)
    taken, rows = _taken(given), _rows(given)
    given = [event for event in given if _lasted(event, taken.get(event.pk), rows, period)]
    names = names_of(event.actor_id for event in [*given, *taken.values()])
    institutions = dict(Institution.objects.values_list("pk", "name"))
    return [
        _priority(event, taken.get(event.pk), rows, names, institutions.get(event.institution_id or 0, ""), pools)
        for event in given
    ]


def totals(found: Iterable[Priority]) -> list[Total]:
    counted = Counter((each.institution, each.reason) for each in found)
    return [Total(institution, reason, count) for (institution, reason), count in sorted(counted.items())]


def table(found: Iterable[Priority]) -> list[Sequence[object]]:
    """For a spreadsheet, with what the columns are called."""
    names = (
        *(_("application"), _("programme"), _("institution"), _("reason"), _("words"), _("given"), _("given by")),
        *(_("taken back"), _("taken back by"), _("why it was taken back"), _("state now")),
    )
    return [names, *(_line(each) for each in found)]


def _line(each: Priority) -> Sequence[object]:
    return (
        *(each.application, each.programme, each.institution, each.reason, each.words, _moment(each.given_at)),
        *(each.given_by, _moment(each.taken_at), each.taken_by, each.why_taken, each.state),
    )


def _moment(at: datetime | None) -> str:
    return f"{localtime(at):%Y-%m-%d %H:%M}" if at else ""


# --- What is on record ---


def _pools(programme_id: int | None) -> Mapping[int, str]:
    """Of each pool the programme: events are found by their pool and time."""
    pools = SeatPool.objects.all() if programme_id is None else SeatPool.objects.filter(programme_id=programme_id)
    return dict(pools.values_list("pk", "programme__name"))


def _given(user: User, period: Period, pools: Mapping[int, str]) -> list[Event]:
    events = Event.objects.filter(pool_id__in=pools, kind=Kind.PRIORITY_GIVEN, at__lt=period.ends_before)
    ids = scoping.institutions_of(user)
    events = events if ids is None else events.filter(institution_id__in=ids)
    return list(events.select_related("note").order_by("-at", "-id"))


def _taken(given: Sequence[Event]) -> dict[int, Event]:
    """By the event that gave it, the one that took it back."""
    people = {event.enrollment_id for event in given}
    turns = Event.objects.filter(enrollment_id__in=people, kind__in=(Kind.PRIORITY_GIVEN, Kind.PRIORITY_TAKEN))
    last: dict[int | None, Event] = {}
    found: dict[int, Event] = {}
    for event in turns.select_related("note").order_by("id"):
        if event.kind == Kind.PRIORITY_GIVEN:
            last[event.enrollment_id] = event
        elif event.enrollment_id in last:
            found[last.pop(event.enrollment_id).pk] = event
    return found


def _rows(given: Iterable[Event]) -> dict[int, Enrollment]:
    return Enrollment.objects.in_bulk({event.enrollment_id for event in given if event.enrollment_id})


def _lasted(event: Event, taken: Event | None, rows: Mapping[int, Enrollment], period: Period) -> bool:
    """Until the period: it was not over before."""
    row = rows.get(event.enrollment_id or 0)
    ends = [taken.at if taken else None, row.seated_at if row else None, row.ended_at if row else None]
    return event.at >= period.starts_at or all(end is None or end >= period.starts_at for end in ends)


def _priority(
    event: Event,
    taken: Event | None,
    rows: Mapping[int, Enrollment],
    names: Mapping[int | None, str],
    institution: str,
    pools: Mapping[int, str],
) -> Priority:
    row, portal = rows.get(event.enrollment_id or 0), _("the portal")
    known = dict(prioritizing.Reason.choices)
    return Priority(
        application=event.enrollment_id or 0,
        programme=pools[event.pool_id or 0],
        institution=institution,
        reason=str(known.get(event.reason, event.reason)),
        words=_words(event),
        given_at=event.at,
        given_by=names.get(event.actor_id, portal),
        taken_at=taken.at if taken else None,
        taken_by=names.get(taken.actor_id, portal) if taken else "",
        why_taken=_words(taken) if taken else "",
        state=str(row.get_state_display()) if row else "",
    )


def _words(event: Event) -> str:
    return event.note.words if hasattr(event, "note") else ""
