"""Claim a card, and decide about it: confirm, refuse, hand a number on to who disputes it.

These functions change cards only. They run inside the caller's transaction, which holds the locks; the enrollment
operations that call them record the events and see to the seats.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.utils import timezone

from libraries import rosters
from libraries.cards import patterns, registry
from libraries.cards.checks import Answer, AskedSystem, CardCheck, Outcome, Question
from libraries.cards.systems import SystemFacts
from libraries.models import Card, Doubt, Institution, Library, LibrarySystem, User
from libraries.secrets import find_secret

RENEWED_FOR = relativedelta(years=1)


def fits(institution: Institution, number: str) -> bool:
    """Whether a normalized number can be that of one of its cards, by the patterns and the check digit in its settings:
    nobody is asked."""
    by_check_digit = patterns.has_check_digit(number, institution.check_digit)
    return by_check_digit and patterns.fits(number, institution.number_patterns)


def check_of(institution: Institution, number: str = "") -> CardCheck:
    """The way this institution proves cards; for a roster with what the roster says of the number. A system that
    nobody has said how to reach cannot be asked: then a librarian looks."""
    by_roster = institution.card_check == Institution.CardCheck.ROSTER
    facts = facts_of(institution) if institution.is_asked else None
    setup = registry.Setup(
        institution_id=institution.pk,
        second_fact=institution.second_fact,
        tells_unknown_cards=institution.tells_unknown_cards,
        key=rosters.fact_key(institution) if by_roster else b"",
        roster=rosters.facts_for(institution, number) if by_roster and number else None,
        system=facts,
    )
    unreachable = institution.is_asked and facts is None
    return registry.check_for(Institution.CardCheck.BY_HAND if unreachable else institution.card_check, setup)


def system_of(institution: Institution) -> AskedSystem:
    """The same for an institution whose library system is asked. Raises LookupError for others."""
    setup = registry.Setup(institution_id=institution.pk, system=facts_of(institution))
    return registry.system_for(institution.card_check, setup)


def facts_of(institution: Institution) -> SystemFacts | None:
    """How its library system is reached, with the secrets that its row names; None where there is no such row."""
    row = LibrarySystem.objects.filter(institution=institution).first()
    if row is None:
        return None
    secrets = {name: find_secret(name) for name in (row.secret_name, row.terminal_secret_name) if name}
    return SystemFacts(
        institution_id=institution.pk,
        address=row.address,
        port=row.port,
        tls=row.tls,
        encoding=row.encoding,
        checksums=row.checksums,
        institution_code=row.institution_code,
        location=row.location,
        login=row.login,
        login_secret=secrets.get(row.secret_name, ""),
        terminal_secret=secrets.get(row.terminal_secret_name, ""),
        oauth=row.oauth,
        missing_secrets=not all(secrets.values()),
        asks_pin=row.asks_pin,
        asks_expiry=row.asks_expiry,
        looks_up=row.recheck_days > 0,
        tells_unknown_cards=institution.tells_unknown_cards,
        timeout_seconds=row.timeout_seconds,
        most_connections=row.most_connections,
        private=settings.ALLOW_PRIVATE_ADDRESSES,
    )


def ask(institution: Institution, question: Question) -> Answer:
    """What the institution's card check says. May take seconds: never call it inside a transaction."""
    return check_of(institution, question.number).ask(question)


def open_cards(institution_id: int, number: str) -> Sequence[Card]:
    """All open claims on a number, locked, in the order of their ids."""
    found = Card.objects.filter(institution_id=institution_id, number=number, state__in=Card.OPEN)
    return list(found.select_for_update(no_key=True).order_by("id"))


def claim(
    *, user: User, library: Library, number: str, cards: Sequence[Card], answer: Answer, on: date, now: datetime
) -> Card:
    """The user's card of this number: their open one, or a new one. `cards` are all open claims on it, locked.

    Confirmed when the check proved it, disputed when the number is somebody else's living card. Proof against an
    unproved rival is settled by the caller before; two proofs for one number are for a librarian to settle. A card
    that was confirmed until a day before `on` has to be looked at again.

    Raises IntegrityError when somebody else has claimed the number since the cards were read: try again.
    """
    own = next((card for card in cards if card.user_id == user.pk), None)
    card = own or Card(user=user, library=library, institution_id=library.institution_id, number=number, claimed_at=now)
    taken = any(rival.user_id != user.pk and rival.state in Card.LIVING for rival in cards)
    if taken:
        card.state = Card.State.DISPUTED
    elif answer.outcome == Outcome.CONFIRMED:
        card.valid_until = answer.valid_until or _unless_over(card, on)
        if card.state != Card.State.CONFIRMED:
            _decide(card, Card.State.CONFIRMED, how=library.institution.card_check, by=None, now=now)
    elif not card.is_valid_on(on):
        _ask_again(card)
    _note_answer(card, answer, now)
    card.save()
    return card


def confirm(card: Card, *, by: User | None, how: str, now: datetime, valid_until: date | None = None) -> None:
    """The card is this person's. Living rivals must have been refused before, in the same transaction."""
    _decide(card, Card.State.CONFIRMED, how=how, by=by, now=now)
    card.valid_until = valid_until or _day_after_renewal(card, timezone.localdate(now))
    card.save()


def refuse(card: Card, *, by: User | None, how: str, reason: str, now: datetime) -> None:
    _decide(card, Card.State.REFUSED, how=how, by=by, now=now)
    card.refusal = reason
    card.save()


def expire(card: Card, *, now: datetime) -> bool:
    """A confirmed card whose last day is over has to be looked at again, unless a newer list of the library says that
    it is valid for longer. It keeps the day, from which its time of grace counts. Says whether it has expired."""
    on = timezone.localdate(now)
    if _is_listed_on(card, on):
        card.save(update_fields=["valid_until"])
        return False
    _ask_again(card)
    card.save()
    return True


def relist(card: Card, *, now: datetime) -> bool:
    """Confirm a card that has run out and stands on a newer list of its library; says whether it does."""
    if not card.has_run_out or not _is_listed_on(card, timezone.localdate(now)):
        return False
    _decide(card, Card.State.CONFIRMED, how=Institution.CardCheck.ROSTER, by=None, now=now)
    card.save()
    return True


def cut_short(card: Card, *, last_day: date) -> None:
    """A confirmed card is no longer good, says its library: it has to be looked at again, as if this had been its last
    day all along."""
    card.valid_until = last_day
    _ask_again(card)
    card.save()


def renew(card: Card, *, valid_until: date | None, now: datetime) -> bool:
    """Its library says that the card, proved before, is good; until when, where it told. Says whether it had run out
    and is confirmed again now."""
    has_run_out = card.state == Card.State.CLAIMED and card.has_run_out
    if has_run_out:
        _decide(card, Card.State.CONFIRMED, how=card.institution.card_check, by=None, now=now)
    elif card.state != Card.State.CONFIRMED:
        return False
    card.valid_until = valid_until or _unless_over(card, timezone.localdate(now))
    card.save()
    return has_run_out


def lapse(card: Card, *, how: str, now: datetime) -> None:
    """The card no longer stands for its number."""
    _decide(card, Card.State.LAPSED, how=how, by=None, now=now)
    card.save()


def forget(card: Card) -> None:
    """Of a card that stands for its number no more, only that there was one."""
    assert card.state not in Card.OPEN
    Doubt.objects.filter(card=card).update(until=None)
    card.number, card.valid_until = card.number_after_erasing, None
    card.save(update_fields=["number", "valid_until"])


def undispute(institution_id: int, number: str) -> Card | None:
    """When nobody's living card has this number any more, the oldest disputed claim becomes a plain one."""
    left = open_cards(institution_id, number)
    if not left or any(card.state in Card.LIVING for card in left):
        return None
    left[0].state = Card.State.CLAIMED
    left[0].save(update_fields=["state"])
    return left[0]


def _is_listed_on(card: Card, on: date) -> bool:
    if card.institution.card_check != Institution.CardCheck.ROSTER:
        return False
    listed = rosters.facts_for(card.institution, card.number)
    if listed is None or (listed.valid_until is not None and listed.valid_until < on):
        return False
    card.valid_until = listed.valid_until
    return True


def _day_after_renewal(card: Card, on: date) -> date | None:
    """A card that has run out is renewed for a year, as libraries do: else it would be good for ever from now on."""
    return card.valid_until if card.is_valid_on(on) else on + RENEWED_FOR


def _unless_over(card: Card, on: date) -> date | None:
    return card.valid_until if card.is_valid_on(on) else None


def _ask_again(card: Card) -> None:
    card.state, card.decided_at, card.decided_how, card.decided_by = Card.State.CLAIMED, None, "", None


def _note_answer(card: Card, answer: Answer, now: datetime) -> None:
    unanswered = answer.outcome == Outcome.NO_ANSWER and card.state != Card.State.CONFIRMED
    card.unanswered_since = (card.unanswered_since or now) if unanswered else None


def _decide(card: Card, state: Card.State, *, how: str, by: User | None, now: datetime) -> None:
    # Two machines' clocks may differ by more than there is between a claim and a decision.
    decided_at = max(now, card.claimed_at)
    card.state, card.decided_at, card.decided_how, card.decided_by = state, decided_at, how, by
    card.unanswered_since = None
