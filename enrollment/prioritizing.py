"""Priority in the queue: given by a person, for a reason that is on record, and taken back the same way."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from enrollment import history, seats, waiting_list
from enrollment.models import Enrollment, Event
from libraries import scoping
from libraries.models import User


class Reason(models.TextChoices):
    OUR_MISTAKE = "our_mistake", _("a mistake of the library or the provider cost the place")
    FOR_WORK = "for_work", _("needs a course for work, or to find work")
    FOR_INTEGRATION = "for_integration", _("follows a civic integration programme")
    ANOTHER = "another_reason", _("another reason, told below")


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("This application belongs to another institution.")
    OWN = "own", _("You cannot give yourself priority.")
    NO_WORDS = "no_words", _("Write why, in your own words.")
    NOT_WAITING = "not_waiting", _("This person does not wait in the queue.")
    UNCHANGED = "unchanged", _("That is how it is already.")


class CannotGive(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@seats.transition
def give(*, enrollment_id: int, reason: Reason, words: str, by: User, now: datetime) -> Enrollment:
    """From now on this person stands before everybody without priority; among those who have it, the time of the
    application counts. Raises CannotGive."""
    return _set(enrollment_id, Enrollment.FIRST, Event.Kind.PRIORITY_GIVEN, reason=reason, words=words, by=by, now=now)


@seats.transition
def take_back(*, enrollment_id: int, words: str, by: User, now: datetime) -> Enrollment:
    """The person stands again where the time of the application puts them. Raises CannotGive."""
    return _set(enrollment_id, Enrollment.NORMAL, Event.Kind.PRIORITY_TAKEN, reason="", words=words, by=by, now=now)


def _set(
    enrollment_id: int, priority: int, kind: Event.Kind, *, reason: str, words: str, by: User, now: datetime
) -> Enrollment:
    pool = seats.lock(Enrollment.objects.values_list("pool_id", flat=True).get(pk=enrollment_id))
    rows = Enrollment.objects.select_related("share").select_for_update(no_key=True, of=("self",))
    enrollment = rows.get(pk=enrollment_id)
    if found := _obstacle(enrollment, priority, words, by):
        raise CannotGive(found)
    place_before = waiting_list.place_of(enrollment)
    enrollment.priority = priority
    enrollment.save(update_fields=["priority"])
    history.record(
        kind,
        now=now,
        by=by,
        enrollment=enrollment,
        reason=reason,
        words=words.strip(),
        # The places in the queue; none for who is passed over.
        old_value=place_before,
        new_value=waiting_list.place_of(enrollment),
    )
    seats.allocate(pool, now=now, by=by)
    return enrollment


def _obstacle(enrollment: Enrollment, priority: int, words: str, by: User) -> Obstacle | None:
    obstacles = {
        Obstacle.NOT_YOURS: not scoping.may_decide_on(by, enrollment.share.institution_id),
        Obstacle.OWN: enrollment.user_id == by.pk,
        Obstacle.NO_WORDS: not words.strip(),
        Obstacle.NOT_WAITING: enrollment.state != Enrollment.State.WAITING,
        Obstacle.UNCHANGED: enrollment.priority == priority,
    }
    return next((obstacle for obstacle, holds in obstacles.items() if holds), None)
