"""Plan the courses on offer, on record: who may, why, and whom it concerns; the rules are catalog's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import rotation
from catalog.models import Course, Listing, Programme
from catalog.offer_rules import Slot
from catalog.rotation import Outcome, Plan
from enrollment import history, leaving, seats
from enrollment.models import Event
from libraries import scoping
from libraries.models import User

EDITORS = (scoping.Role.COORDINATOR, scoping.Role.OPERATOR)


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("Only coordinators and operators plan the courses on offer.")
    NO_REASON = "no_reason", _("Write why.")


class What(models.TextChoices):
    """On the event, with the id of the course in `old_value` and of its listing in `new_value`."""

    ADDED = "course_added", _("a title comes")
    MODULE = "module_added", _("a module of the month comes")
    CHANGED = "course_changed", _("the days of a title change")
    WITHDRAWN = "course_withdrawn", _("a planned title does not come")


class CannotPlan(Exception):
    """`words` holds every reason, for people in the language that is active now."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(len(words))
        self.words = words


@dataclass(frozen=True)
class Preview:
    """What a plan would do. `learners`: of each course that leaves or changes, the members who follow it; `savers`: of
    each that does not come after all, the members who had saved it. `fingerprint` is the same as long as this is."""

    outcome: Outcome
    learners: Mapping[int, int]
    savers: Mapping[int, int]
    fingerprint: str

    @property
    def words(self) -> list[str]:
        """All that stands against it."""
        return [reason.words for reason in self.outcome.reasons]

    @property
    def leaving(self) -> Sequence[tuple[Slot, Slot, int]]:
        """What ends on another day than before, with how many follow it."""
        return [(slot, was, self.learners.get(slot.course_id, 0)) for slot, was in self.outcome.changed]

    @property
    def withdrawn(self) -> Sequence[tuple[Slot, int]]:
        return [(slot, self.savers.get(slot.course_id, 0)) for slot in self.outcome.gone]


class Overtaken(Exception):
    """Since it was previewed, something has changed: `preview` is what it would do now."""

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.preview = preview


def is_used(course: Course) -> bool:
    """It is or was on offer or is planned, or is among somebody's own: it belongs to its provider from then on."""
    return course.listings.exists() or course.runs.exists()


def preview(*, programme_id: int, plan: Plan, by: User, now: datetime) -> Preview:
    """What the plan would do now, with what stands against it; changes nothing. Raises CannotPlan for who may not."""
    _check(by)
    return _foresee(Programme.objects.get(pk=programme_id), plan, now=now)


@seats.transition
def carry_out(
    *, programme_id: int, plan: Plan, reason: str, by: User, now: datetime, expected: str | None = None
) -> Preview:
    """Do what was planned, under the programme's lock, and say what was done.

    `expected` is the fingerprint of a preview: when it would not do the same any more, Overtaken is raised. A planned
    title that members have saved is withdrawn only by whoever has seen that. Raises CannotPlan with every reason,
    having changed nothing.
    """
    _check(by, reason)
    programme = rotation.lock(programme_id)
    shown = _foresee(programme, plan, now=now)
    if shown.words:
        raise CannotPlan(shown.words)
    unseen = expected is None and any(members for _slot, members in shown.withdrawn)
    if unseen or expected not in (None, shown.fingerprint):
        raise Overtaken(shown)
    done = rotation.carry_out(programme, plan, learners=shown.learners, now=now)
    _record(programme, done, reason.strip(), by=by, now=now)
    return Preview(done, shown.learners, shown.savers, shown.fingerprint)


def _check(by: User, reason: str | None = None) -> None:
    if not scoping.may(by, *EDITORS):
        raise CannotPlan([str(Obstacle.NOT_YOURS.label)])
    if reason is not None and not reason.strip():
        raise CannotPlan([str(Obstacle.NO_REASON.label)])


def _foresee(programme: Programme, plan: Plan, *, now: datetime) -> Preview:
    """With five queries at most, however much is on offer."""
    touched = {*plan.remove, *(pk for pk, _day in plan.ends), *(slot.listing_id for slot in plan.change)}
    courses = set(
        Listing.objects.filter(programme=programme, pk__in=touched).order_by().values_list("course_id", flat=True)
    )
    learners = leaving.learners(programme.pk, courses)
    outcome = rotation.foresee(programme, plan, learners=learners, now=now)
    savers = leaving.savers([slot.course_id for slot in outcome.gone])
    told = (plan, sorted(outcome.offer.before.items()), programme.core_titles, sorted(learners.items()), savers)
    fingerprint = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
    return Preview(outcome, learners, savers, fingerprint)


def _record(programme: Programme, done: Outcome, words: str, *, by: User, now: datetime) -> None:
    """One event for each title, with the words beside each."""
    told = [(What.MODULE if slot.role == Listing.Role.MODULE else What.ADDED, slot) for slot in done.come]
    told += [(What.CHANGED, slot) for slot, _was in done.changed]
    told += [(What.WITHDRAWN, slot) for slot in done.gone]
    pool_id = getattr(getattr(programme, "pool", None), "pk", None)
    for what, slot in told:
        history.record(
            Event.Kind.COURSES_PLANNED,
            now=now,
            by=by,
            provider_id=programme.provider_id,
            pool_id=pool_id,
            reason=what,
            words=words,
            old_value=slot.course_id,
            new_value=slot.listing_id,
        )
