"""Plan what is on offer in a programme: what stands against it, and then do it, under the lock of the programme's row.

Who may, why, and who has to be told is not known here (enrollment.rotating).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.db import connection
from django.utils import timezone

from catalog import offer_rules
from catalog.models import Course, Listing, Programme
from catalog.offer_rules import Against, Offer, Role, Rule, Slot


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What comes; what changes, by the listing's id; and what was planned and does not come after all."""

    come: tuple[Slot, ...] = ()
    change: tuple[Slot, ...] = ()
    ends: tuple[tuple[int, date | None], ...] = ()
    remove: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a plan does, and all that stands against it. `changed`: each as it will be, and as it was; `gone` as it
    was."""

    offer: Offer
    reasons: Sequence[Against]
    come: Sequence[Slot]
    changed: Sequence[tuple[Slot, Slot]]
    gone: Sequence[Slot]


class CannotPlan(Exception):
    def __init__(self, reasons: Sequence[Against]) -> None:
        super().__init__([reason.rule for reason in reasons])
        self.reasons = reasons


def replacing(*, out: Collection[int], come: Collection[int], day: date) -> Plan:
    """Titles leave and others come on the same day, as core titles without an end: ids of listings, and of courses."""
    return Plan(
        come=tuple(Slot(course_id=pk, since=day) for pk in come),
        ends=tuple((pk, day) for pk in out),
    )


def module(*, course_id: int, month: date, now: datetime) -> Plan:
    """The module of a month (any day of it): from the first day until the next month, or from today on where the month
    has begun."""
    first = month.replace(day=1)
    since = max(first, min(timezone.localdate(now), _next_month(first) - timedelta(days=1)))
    return Plan(come=(Slot(course_id=course_id, role=Role.MODULE, since=since, until=_next_month(first)),))


def _next_month(first: date) -> date:
    return first + timedelta(days=monthrange(first.year, first.month)[1])


def ending(*, listing_id: int, day: date | None) -> Plan:
    """`day` is the first day it is gone; None: no end is planned any more."""
    return Plan(ends=((listing_id, day),))


def withdrawing(*, listing_id: int) -> Plan:
    return Plan(remove=(listing_id,))


# --- Ask ---


def foresee(programme: Programme, plan: Plan, *, learners: Mapping[int, int], now: datetime) -> Outcome:
    """What the plan would do, and against which rules it goes; with two queries, and without any lock. `learners`: of
    each course, how many members have to be told before it leaves."""
    before = slots_of(programme)
    courses = {course.pk: course for course in Course.objects.filter(pk__in={slot.course_id for slot in plan.come})}
    reasons = list(_missing(plan, before, courses))
    come = [replace(slot, title=courses[slot.course_id].title) for slot in plan.come if slot.course_id in courses]
    changed = [(slot, before[pk]) for pk, slot in _changes(plan, before).items() if slot != before[pk]]
    gone = [before[pk] for pk in dict.fromkeys(plan.remove) if pk in before]
    over = {slot.listing_id for slot in [*gone, *(was for _slot, was in changed)]}
    stay = [slot for pk, slot in before.items() if pk not in over]
    new: list[tuple[Slot, Slot | None]] = [*((slot, None) for slot in come), *changed]
    after = [*stay, *(slot for slot, _was in new)]
    offer = Offer(timezone.localdate(now), programme.core_titles, before, after, new, gone, learners)
    reasons += [
        Against(Rule.OTHER_PROVIDER, {"title": course.title})
        for course in courses.values()
        if course.provider_id != programme.provider_id
    ]
    reasons += offer_rules.reasons_against(offer)
    if not reasons and not new and not gone:
        reasons.append(Against(Rule.NOTHING))
    return Outcome(offer, reasons, come, changed, gone)


def slots_of(programme: Programme) -> dict[int, Slot]:
    """All that is, was and will be on offer, by the id of its listing."""
    rows = (
        Listing.objects.filter(programme=programme).select_related("course").order_by("offered_from", "course__title")
    )
    return {row.pk: slot_of(row) for row in rows}


def slot_of(row: Listing) -> Slot:
    return Slot(
        course_id=row.course_id,
        since=row.offered_from,
        until=row.offered_until,
        role=row.role,
        title=row.course.title,
        listing_id=row.pk,
    )


def _changes(plan: Plan, before: Mapping[int, Slot]) -> dict[int, Slot]:
    """By the id of the listing. Of a listing the programme does not have, nothing."""
    ended = {pk: replace(before[pk], until=day) for pk, day in plan.ends if pk in before}
    whole = {
        pk: replace(slot, course_id=before[pk].course_id, title=before[pk].title)
        for slot in plan.change
        if (pk := slot.listing_id or 0) in before
    }
    return ended | whole


def _missing(plan: Plan, before: Mapping[int, Slot], courses: Mapping[int, Course]) -> Sequence[Against]:
    listed = {*plan.remove, *(pk for pk, _day in plan.ends), *(slot.listing_id for slot in plan.change)}
    reasons = [Against(Rule.GONE)] if listed - set(before) else []
    unknown = any(slot.course_id not in courses for slot in plan.come)
    return [*reasons, Against(Rule.UNKNOWN_COURSE)] if unknown else reasons


# --- Act ---


def lock(programme_id: int) -> Programme:
    """The programme's row, locked until the transaction ends: whoever plans comes one after another."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
    return Programme.objects.select_for_update(no_key=True).get(pk=programme_id)


def carry_out(programme: Programme, plan: Plan, *, learners: Mapping[int, int], now: datetime) -> Outcome:
    """The programme must be locked. Gives back what was done, with the ids of the new listings. Raises CannotPlan,
    having changed nothing."""
    outcome = foresee(programme, plan, learners=learners, now=now)
    if outcome.reasons:
        raise CannotPlan(outcome.reasons)
    Listing.objects.filter(pk__in=[slot.listing_id or 0 for slot in outcome.gone]).delete()
    # Ends first: what comes may take the place of what leaves.
    for slot, _was in sorted(outcome.changed, key=lambda pair: pair[0].until or date.max):
        Listing.objects.filter(pk=slot.listing_id or 0).update(**_columns(slot))
    made = Listing.objects.bulk_create(
        Listing(programme=programme, course_id=slot.course_id, **_columns(slot)) for slot in outcome.come
    )
    come = [replace(slot, listing_id=row.pk) for slot, row in zip(outcome.come, made, strict=True)]
    return replace(outcome, come=come)


def _columns(slot: Slot) -> dict[str, object]:
    return {"role": slot.role, "offered_from": slot.since, "offered_until": slot.until}


def fewest_core_titles(programme_id: int, *, now: datetime) -> int:
    """To how many the programme's core titles can be lowered, as things are planned."""
    day = timezone.localdate(now)
    rows = Listing.objects.filter(programme=programme_id).select_related("course")
    return offer_rules.most_at_once([slot_of(row) for row in rows], day)
