"""An institution's library system: change how it is asked, test it, and ask it about one card, each on record.

Asking takes seconds: `try_out` and `look_up` are never called inside a transaction. They decide nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from datetime import datetime, timedelta

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import history
from enrollment.models import Enrollment, Event
from libraries import guessing, limits, membership, rechecking, scoping
from libraries.cards.checks import Outcome, Question, Walk
from libraries.models import Card, Institution, LibrarySystem, StaffRole, User

# By one person.
ASKED_PER_PERSON, PERIOD = 30, timedelta(hours=1)
GOOD = "good"


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("This belongs to another institution.")
    TOO_OFTEN = "too_often", _("Library systems were asked very often from here. Please wait an hour and try again.")
    NOTHING_TO_ASK = "nothing_to_ask", _("There is no library system to ask: look at its settings.")


class Refused(Exception):
    """Nothing was changed, and nobody was asked."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


def may_test(user: User, institution_id: int) -> bool:
    """Operators, and the institution's own librarians."""
    return scoping.may(user, StaffRole.Role.OPERATOR) or scoping.is_librarian_of(user, institution_id)


def may_look_up(user: User, enrollment: Enrollment, card: Card) -> bool:
    """Whoever may decide about the card, while the application lasts, where a system can be asked about it."""
    carries = card.pk in (enrollment.card_id, enrollment.next_card_id) and enrollment.state != Enrollment.State.ENDED
    return carries and card.institution.is_asked and scoping.may_decide_on(user, card.institution_id)


def save(system: LibrarySystem, *, by: User, now: datetime, fields: Collection[str] | None = None) -> None:
    """A new row, or these fields of one; of the others only that it does not answer, which may be over now. Raises
    Refused."""
    if not scoping.may(by, StaffRole.Role.OPERATOR):
        raise Refused(Obstacle.NOT_YOURS)
    with transaction.atomic():
        system.save(update_fields=fields)
        rechecking.note_answering(system)
        history.record(Event.Kind.SYSTEM_CHANGED, now=now, by=by, institution_id=system.institution_id)


def try_out(
    system: LibrarySystem, *, by: User, now: datetime, kind: str = "", number: str = "", pin: str | None = None
) -> Walk:
    """Step by step, with a card where a normalized number is given: without a PIN that is a look-up. Neither is kept.

    `kind` counts where the institution's cards are not checked by asking yet. Raises Refused.
    """
    institution = system.institution
    if not may_test(by, institution.pk):
        raise Refused(Obstacle.NOT_YOURS)
    _count(by, now)
    guess = _begin(institution, number, by, now) if number and pin else None
    walk = _walk(institution, kind, _question(number, pin, now) if number else None)
    if guess is not None:
        guess.settle(walk.answer.outcome if walk.answer else None)
    trouble = _trouble(walk)
    if trouble == GOOD:
        rechecking.note_answering(system)
    history.record(Event.Kind.SYSTEM_TESTED, now=now, by=by, institution_id=institution.pk, reason=trouble)
    return walk


def look_up(*, enrollment: Enrollment, card: Card, by: User, now: datetime) -> Walk:
    """What the system says of a card of this application, without a PIN: whether it is known and good, not whose it is.
    Raises Refused."""
    if not may_look_up(by, enrollment, card):
        raise Refused(Obstacle.NOT_YOURS)
    _count(by, now)
    walk = _walk(card.institution, "", _question(card.number, None, now))
    history.record(
        Event.Kind.CARD_LOOKED_UP,
        now=now,
        by=by,
        enrollment=enrollment,
        institution_id=card.institution_id,
        card_id=card.pk,
        reason=walk.answer.outcome if walk.answer else Outcome.NO_ANSWER,
    )
    return walk


def _walk(institution: Institution, kind: str, question: Question | None) -> Walk:
    if not institution.is_asked:
        institution = copy(institution)
        institution.card_check = kind
    try:
        system = membership.system_of(institution)
    except LookupError:
        raise Refused(Obstacle.NOTHING_TO_ASK) from None
    return system.walk(question)


def _question(number: str, pin: str | None, now: datetime) -> Question:
    return Question(number=number, last_name="", on=timezone.localdate(now), pin=pin or None)


def _trouble(walk: Walk) -> str:
    """The first one, also of a card step; what the system said of a card is nobody's business."""
    found = [step.trouble for step in walk.steps if step.trouble]
    if walk.answer and walk.answer.trouble:
        found.append(walk.answer.trouble)
    return found[0] if found else GOOD


def _count(by: User, now: datetime) -> None:
    if not limits.allow("system asked by", str(by.pk), limit=ASKED_PER_PERSON, per=PERIOD, now=now):
        raise Refused(Obstacle.TOO_OFTEN)


def _begin(institution: Institution, number: str, by: User, now: datetime) -> guessing.Guess:
    """Counted with what members try: testing is no way to guess."""
    try:
        return guessing.begin(institution_id=institution.pk, number=number, address=f"staff {by.pk}", now=now)
    except guessing.TooManyGuesses:
        raise Refused(Obstacle.TOO_OFTEN) from None
