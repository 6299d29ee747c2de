"""Ask library systems again about proved cards: whose turn it is, what was said, and when it is too much at once.

A bad answer changes nothing by itself. It is kept as a doubt, and counts once the system has said it twice, half a day
apart, while no unusual share of its cards was doubted: a system that is broken takes no card from anybody.
These functions change what is known of the cards and of the system; enrollment chooses the cards, has them lapse, and
records it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F, Min, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from libraries import fuse, membership
from libraries.cards.checks import Answer, Outcome
from libraries.models import Card, Doubt, Institution, LibrarySystem

logger = logging.getLogger(__name__)

ASKED_AGAIN_AFTER = timedelta(hours=12)
# What the fuse looks back on. A doubt that could not be asked about again by then begins anew, so that whatever is
# believed was counted.
WINDOW = timedelta(hours=48)
# A system that does not answer is left alone for as long as it has been silent, within these.
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=6)
# An operator who believes the doubts switches the fuse off for so long.
TRUSTED_FOR = timedelta(hours=24)
_SAYS = {
    Outcome.EXPIRED: Doubt.Says.EXPIRED,
    Outcome.BLOCKED: Doubt.Says.BLOCKED,
    Outcome.UNKNOWN: Doubt.Says.UNKNOWN,
}
# By the system, or by whoever confirmed the card since.
LAST_FOUND_GOOD = Greatest("found_good_at", "decided_at")


@dataclass(frozen=True)
class Count:
    """Of the cards a system was asked about lately, those it doubted."""

    bad: int
    asked: int

    @property
    def is_unusual(self) -> bool:
        return fuse.is_unusual(bad=self.bad, of=self.asked)


def claim(*, now: datetime, lease: timedelta) -> LibrarySystem | None:
    """The system whose turn it is, under a lease, or None: one worker at a time asks it about proved cards."""
    free = Q(recheck_lease_until=None) | Q(recheck_lease_until__lte=now)
    due = Q(recheck_at=None) | Q(recheck_at__lte=now)
    asked = LibrarySystem.objects.filter(institution__card_check__in=Institution.ASKED, recheck_days__gt=0)
    rows = asked.filter(free, due, rechecks_stopped_at=None).select_related("institution")
    with transaction.atomic():
        in_turn = rows.order_by(F("recheck_at").asc(nulls_first=True), "pk")
        row = in_turn.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
        if row is not None:
            row.recheck_token, row.recheck_lease_until = uuid4(), now + lease
            row.save(update_fields=["recheck_token", "recheck_lease_until"])
    return row


def is_ours(system: LibrarySystem) -> bool:
    """Whether nobody has taken over the system since it was claimed, and the fuse has not blown."""
    return LibrarySystem.objects.filter(
        pk=system.pk, recheck_token=system.recheck_token, rechecks_stopped_at=None
    ).exists()


def release(system: LibrarySystem, *, next_at: datetime) -> None:
    _publish(system, recheck_at=next_at)


def note_answering(system: LibrarySystem) -> None:
    """Or asked in another way from now on: no silence is known."""
    LibrarySystem.objects.filter(pk=system.pk, unanswered_since__isnull=False).update(unanswered_since=None)


def note_silent(system: LibrarySystem, *, now: datetime) -> None:
    LibrarySystem.objects.filter(pk=system.pk, unanswered_since=None).update(unanswered_since=now)


def release_silent(system: LibrarySystem, *, now: datetime) -> None:
    """It does not answer: nothing is known of any card, and it is left alone for a while."""
    since = system.unanswered_since or now
    wait = min(max(now - since, _FIRST_WAIT), _LONGEST_WAIT)
    _publish(system, recheck_at=now + wait, unanswered_since=Coalesce("unanswered_since", now))


def _publish(system: LibrarySystem, **outcome: object) -> None:
    mine = LibrarySystem.objects.filter(pk=system.pk, recheck_token=system.recheck_token)
    mine.update(recheck_token=None, recheck_lease_until=None, **outcome)


def long_good(cards: QuerySet[Card], system: LibrarySystem, *, now: datetime) -> QuerySet[Card]:
    """Those not found good for so long that they are to be asked about again, the longest first.

    Each card is asked about up to a quarter of the time earlier, by its own number of hours: those that were proved on
    one day are spread, so that the fuse, which looks back two days, sees them in many pieces.
    """
    longest, earlier = timedelta(days=system.recheck_days), timedelta(days=system.recheck_days) / 4
    hours = F("pk") % (earlier // timedelta(hours=1))
    own = ExpressionWrapper(hours * Value(timedelta(hours=1)), output_field=DurationField())
    # The first condition is what the index knows, the second what is meant.
    old = cards.alias(last=LAST_FOUND_GOOD).filter(last__lte=now - longest + earlier)
    return old.filter(last__lte=now - longest + own).order_by("last")


def look_up(institution: Institution, number: str, *, on: date) -> Answer:
    """What the system says without a PIN. Whatever is no clear word about the card is NO_ANSWER. Never raises; may
    take seconds: never call it inside a transaction."""
    try:
        answer = membership.system_of(institution).look_up(number, on=on)
    except Exception as error:  # only its kind: its text may hold the number
        logger.error("institution %s: look-up failed: %s", institution.pk, type(error).__name__)
        return Answer(Outcome.NO_ANSWER)
    if answer.outcome == Outcome.CONFIRMED and answer.valid_until is not None and answer.valid_until < on:
        return Answer(Outcome.EXPIRED, answer.valid_until)
    clear = {Outcome.CONFIRMED, Outcome.NO_ANSWER, *_SAYS}
    return answer if answer.outcome in clear else Answer(Outcome.NO_ANSWER)


def is_there(institution: Institution) -> bool:
    """Whether the system can be reached, and is ready, without asking about a card. Never raises; may take seconds, as
    above."""
    try:
        walk = membership.system_of(institution).walk(None)
    except Exception as error:
        logger.error("institution %s: not reached: %s", institution.pk, type(error).__name__)
        return False
    return not any(step.trouble for step in walk.steps)


def note_asked(card: Card, *, now: datetime) -> None:
    """Whatever it says, and if it says nothing."""
    Card.objects.filter(pk=card.pk).update(rechecked_at=now)


def note_good(card: Card, *, now: datetime) -> None:
    Card.objects.filter(pk=card.pk).update(found_good_at=now, rechecked_at=now)
    Doubt.objects.filter(card=card).delete()


def note_bad(card: Card, answer: Answer, *, now: datetime) -> None:
    """A doubt, unless the card has run out anyway, or will tonight: that is no news."""
    note_asked(card, now=now)
    if card.state != Card.State.CONFIRMED or not card.is_valid_on(timezone.localdate(now) + timedelta(days=1)):
        return
    told = {"says": _SAYS[answer.outcome], "until": answer.valid_until, "asked_at": now}
    known = Doubt.objects.filter(card=card, believed_at=None, found_at__gte=_oldest(card, now))
    if not known.update(**told):
        begun = {"institution_id": card.institution_id, "found_at": now, "believed_at": None}
        Doubt.objects.update_or_create(card=card, defaults=told | begun)


def _oldest(card: Card, now: datetime) -> datetime:
    """What was said before somebody confirmed the card, or too long ago, is not the first word of two."""
    return max(now - WINDOW, card.decided_at or card.claimed_at)


def count(system: LibrarySystem, *, now: datetime) -> Count:
    return _count(system, _counts_from(system, now))


def alarm(system: LibrarySystem, *, now: datetime) -> Count | None:
    """What is unusual, if anything: of all that was said lately, or since the first doubt that is open. Good answers of
    before must not hide that a system is broken since."""
    since = _counts_from(system, now)
    open_doubts = Doubt.objects.filter(institution_id=system.institution_id, believed_at=None, found_at__gte=since)
    first = open_doubts.aggregate(at=Min("found_at"))["at"]
    counts = [_count(system, since), *([_count(system, first)] if first else [])]
    return next((each for each in counts if each.is_unusual), None)


def _counts_from(system: LibrarySystem, now: datetime) -> datetime:
    return max(now - WINDOW, system.fuse_from or now - WINDOW)


def _count(system: LibrarySystem, since: datetime) -> Count:
    bad = Doubt.objects.filter(institution_id=system.institution_id, found_at__gte=since).count()
    proved = Card.objects.filter(institution_id=system.institution_id, state=Card.State.CONFIRMED)
    # The first condition is what the index knows, the second what is meant.
    good = proved.alias(last=LAST_FOUND_GOOD).filter(last__gte=since, found_good_at__gte=since).count()
    return Count(bad, good + bad)


def said_twice(institution_id: int, *, now: datetime) -> Collection[Doubt]:
    """Doubts that are ready to be believed, if nothing speaks against it."""
    doubts = Doubt.objects.filter(institution_id=institution_id, believed_at=None, found_at__gte=now - WINDOW)
    twice = doubts.filter(asked_at__gte=F("found_at") + ASKED_AGAIN_AFTER)
    proved = twice.filter(card__state=Card.State.CONFIRMED, found_at__gte=F("card__decided_at"))
    return list(proved.select_related("card").order_by("pk"))


def note_believed(doubt: Doubt, *, now: datetime) -> None:
    Doubt.objects.filter(pk=doubt.pk).update(believed_at=now)


def stop(system: LibrarySystem, *, now: datetime) -> bool:
    """The fuse blows; says whether it had not before."""
    running = LibrarySystem.objects.filter(pk=system.pk, rechecks_stopped_at=None)
    return bool(running.update(rechecks_stopped_at=now))


def go_on(system_id: int, *, believe: bool, now: datetime) -> bool:
    """Ask on, from now: believing what was said, with the fuse off for a day, or having forgotten it all. Says whether
    it had stopped."""
    stopped = LibrarySystem.objects.filter(pk=system_id, rechecks_stopped_at__isnull=False)
    fuse_from = now + TRUSTED_FOR if believe else now
    if not stopped.update(rechecks_stopped_at=None, recheck_at=now, fuse_from=fuse_from):
        return False
    if not believe:
        Doubt.objects.filter(institution__system=system_id, believed_at=None).delete()
    return True
