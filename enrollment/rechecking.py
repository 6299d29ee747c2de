"""Check proved cards again while they carry an application, at the pace that their library's system allows.

A system is claimed under a lease and asked about a few cards, one after another, outside any transaction; then it has
its pause. What it says of a card counts as libraries.rechecking tells; a card that is no longer good lapses like one
whose last day is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from enrollment import history, lapsing, seats
from enrollment.models import Enrollment, Event, Letter
from libraries import rechecking, scoping
from libraries.cards.checks import Answer, Outcome, Trouble
from libraries.models import Card, Doubt, LibrarySystem, User
from libraries.rechecking import Count

Role = scoping.Role

# A batch ends with the card that is being asked about when its time is over: no card takes half a minute.
_TURN, LEASE = timedelta(seconds=20), timedelta(seconds=60)
# A batch is what may be asked in this time, and the pause after it is as long: so no minute sees more than its limit.
_BATCHES_A_MINUTE = 4
# When there is nothing to ask, and when all its connections are taken by people who sign up.
_IDLE, _BUSY = timedelta(minutes=5), timedelta(minutes=1)
# So often is asked about a card whose last day has come, which may be renewed any day, and about one of which no answer
# came: it may be that one card alone, and must not hold up the others.
_AT_MOST_EVERY = timedelta(days=1)


class NotYours(Exception):
    """Only operators let it go on."""


def recheck_next(*, now: Callable[[], datetime]) -> bool:
    """Ask the library system whose turn it is about its next few cards; says whether there was one."""
    system = rechecking.claim(now=now(), lease=LEASE)
    if system is None:
        return False
    answers = _ask(system, now)
    if answers and answers[-1].trouble == Trouble.BUSY:
        rechecking.release(system, next_at=now() + _BUSY)
        return True
    if answers and answers[-1].outcome == Outcome.NO_ANSWER:
        rechecking.release_silent(system, now=now())
        return True
    if answers:
        rechecking.note_answering(system)
    _conclude(system, now=now())
    pause = timedelta(minutes=1) * len(answers) / system.checks_per_minute
    rechecking.release(system, next_at=now() + (pause or _IDLE))
    return True


def go_on(*, system_id: int, believe: bool, by: User, now: datetime) -> bool:
    """An operator has looked after the fuse has blown: the doubts are right, or they are all forgotten and the cards
    asked about anew. Says whether it had stopped. Raises NotYours."""
    if not scoping.may(by, Role.OPERATOR):
        raise NotYours
    with transaction.atomic():
        went_on = rechecking.go_on(system_id, believe=believe, now=now)
        if went_on:
            system = LibrarySystem.objects.get(pk=system_id)
            reason = "doubts_believed" if believe else "doubts_forgotten"
            history.record(
                Event.Kind.RECHECKS_RESUMED, now=now, by=by, institution_id=system.institution_id, reason=reason
            )
    return went_on


def _ask(system: LibrarySystem, now: Callable[[], datetime]) -> Sequence[Answer]:
    """What was answered and noted; the last one may be that there is no answer, which ends it."""
    answers: list[Answer] = []
    until = now() + _TURN
    for card in _due(system, now=now()):
        if now() >= until:
            break
        answer = rechecking.look_up(system.institution, card.number, on=timezone.localdate(now()))
        answers.append(answer)
        if answer.outcome == Outcome.NO_ANSWER:
            rechecking.note_asked(card, now=now())
            break
        _note(card, answer, now=now())
    return answers


def _due(system: LibrarySystem, *, now: datetime) -> Sequence[Card]:
    """First those in doubt, then those whose last day has come, then those not asked about for the longest."""
    theirs = Card.objects.filter(institution_id=system.institution_id)
    proved = theirs.filter(state=Card.State.CONFIRMED)
    not_lately = Q(rechecked_at=None) | Q(rechecked_at__lte=now - _AT_MOST_EVERY)
    doubted = proved.filter(
        doubt__isnull=False, doubt__believed_at=None, rechecked_at__lte=now - rechecking.ASKED_AGAIN_AFTER
    )
    over = theirs.filter(not_lately, valid_until__lte=timezone.localdate(now))
    # A doubt that was believed is over: the card is confirmed, so somebody has looked since.
    old = proved.filter(not_lately, Q(doubt=None) | Q(doubt__believed_at__isnull=False))
    most = max(1, system.checks_per_minute // _BATCHES_A_MINUTE)
    in_turn = (
        doubted.order_by("rechecked_at"),
        over.filter(state__in=Card.LIVING),
        rechecking.long_good(old, system, now=now),
    )
    found: dict[int, Card] = {}
    for cards in in_turn:
        found |= {card.pk: card for card in _carrying(cards)[:most]}
    return list(found.values())[:most]


def _carrying(cards: QuerySet[Card]) -> QuerySet[Card]:
    return cards.filter(Exists(Enrollment.objects.open().filter(card=OuterRef("pk"))))


def _note(card: Card, answer: Answer, *, now: datetime) -> None:
    if answer.outcome == Outcome.CONFIRMED:
        rechecking.note_good(card, now=now)
        if card.state != Card.State.CONFIRMED or answer.valid_until not in (None, card.valid_until):
            lapsing.note_good(card.pk, valid_until=answer.valid_until, now=now)
    else:
        rechecking.note_bad(card, answer, now=now)


def _conclude(system: LibrarySystem, *, now: datetime) -> None:
    """Judge what is known by now as a whole: nothing is believed of a system that doubts too many of its cards."""
    if unusual := rechecking.alarm(system, now=now):
        _stop(system, unusual, now=now)
        return
    for doubt in rechecking.said_twice(system.institution_id, now=now):
        _believe(system, doubt, now=now)


@transaction.atomic
def _stop(system: LibrarySystem, counted: Count, *, now: datetime) -> None:
    if not rechecking.stop(system, now=now):
        return
    institution_id = system.institution_id
    history.record(
        Event.Kind.RECHECKS_STOPPED,
        now=now,
        institution_id=institution_id,
        old_value=counted.asked,
        new_value=counted.bad,
    )
    people = scoping.staff_with(Role.OPERATOR) or scoping.staff_with(Role.COORDINATOR)
    Letter.objects.owe_to_staff(Letter.Kind.RECHECKS_STOPPED, people, now=now, institution_id=institution_id)


@seats.transition
def _believe(system: LibrarySystem, doubt: Doubt, *, now: datetime) -> None:
    if not rechecking.is_ours(system):
        return
    lapsing.cut_short(doubt.card_id, last_day=_last_day(doubt, now), why=doubt.says, now=now)
    rechecking.note_believed(doubt, now=now)


def _last_day(doubt: Doubt, now: datetime) -> date:
    """From which the time of grace counts: the day that was told, but not before the card was last known to be good;
    without one, the day before."""
    card, yesterday = doubt.card, timezone.localdate(now) - timedelta(days=1)
    good_on = timezone.localdate(card.found_good_at or card.decided_at or card.claimed_at)
    return min(yesterday, max(doubt.until or yesterday, good_on))
