"""Two accounts of one person: which application stays, which card, which account at a provider, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby

from django.db import models
from django.utils.translation import gettext_lazy as _

from enrollment.models import Enrollment, Event, ProviderAccount
from libraries.models import Card, User

State = Enrollment.State


class Obstacle(models.TextChoices):
    NOT_COORDINATOR = "not_coordinator", _("Only a coordinator may put two accounts together.")
    NO_WORDS = "no_words", _("Write why, in your own words.")
    UNKNOWN = "unknown", _("We find no such application or account.")
    SAME = "same", _("That is the same account.")
    YOURSELF = "yourself", _("You cannot do this with your own account.")
    STAFF = "staff", _("One of them works for the libraries: accounts of staff are not put together.")
    INACTIVE = "inactive", _("One of these accounts is closed.")
    UNPROVED = (
        "unproved",
        _("The email address of the account that stays is not proved yet. Keep the other, or prove it first."),
    )


class Why(models.TextChoices):
    """Why this application stays; the reason on its event."""

    HAS_PLACE = "has_place", _("it has the place")
    PLACE_HELD = "place_held", _("a place is held for it")
    IN_LINE = "in_line", _("the other one cannot get a place until its card is confirmed")
    OLDER = "older", _("it is the older one")
    ONLY = "only", _("there is no other one in this programme")


@dataclass(frozen=True)
class Fate:
    """Of a programme: the application that stays open, and the one that ends, if there are two."""

    stays: Enrollment
    ends: Enrollment | None
    why: Why

    @property
    def place(self) -> tuple[int, datetime]:
        """Priority and time of the claim that was first in line. Never the best of both mixed: the priority of one with
        the time of the other could stand before somebody who was before either. A claim that is passed over stands
        before nobody, so that it counts only beside another such: else somebody's turn would come later by this."""
        if self.stays.state == State.SEATED:  # in no line any more: what happened in it is told by the time it had
            return self.stays.priority, self.stays.applied_at
        both = [each for each in (self.stays, self.ends) if each is not None]
        counting = [each for each in both if not each.passed_over] or both
        return min((each.priority, each.applied_at) for each in counting)

    @property
    def used_at(self) -> datetime | None:
        """When the person first used either seat."""
        return min(
            (each.used_at for each in (self.stays, self.ends) if each is not None and each.used_at), default=None
        )


@dataclass(frozen=True)
class Double:
    """Two open cards with one number of one institution: which of them stays."""

    stays: Card
    goes: Card


@dataclass(frozen=True)
class Plan:
    """What putting them together does. `enrollments`: the open ones of both, with their share and card;
    `cards` and `accounts`: all of both."""

    keep: User
    other: User
    cards: Sequence[Card]
    enrollments: Sequence[Enrollment]
    accounts: Sequence[ProviderAccount]

    @cached_property
    def fates(self) -> list[Fate]:
        """In the order of the pools."""
        by_pool = groupby(sorted(self.enrollments, key=lambda each: each.pool_id), key=lambda each: each.pool_id)
        return [_fate(list(open_there)) for _pool_id, open_there in by_pool]

    @cached_property
    def doubles(self) -> list[Double]:
        def number(card: Card) -> tuple[int, str]:
            return card.institution_id, card.number

        of_number = groupby(sorted((c for c in self.cards if c.state in Card.OPEN), key=number), key=number)
        same = [sorted(cards, key=_standing_of_card) for _number, cards in of_number]
        return [Double(first, second) for first, second in (cards for cards in same if len(cards) == 2)]

    def moves(self, row: Enrollment | ProviderAccount) -> bool:
        """Whether it comes from the account that is closed here."""
        return row.user_id == self.other.pk

    def card_after(self, card: Card) -> Card:
        """The card that stands for its number afterwards."""
        return next((double.stays for double in self.doubles if double.goes.pk == card.pk), card)

    # --- Accounts at providers ---

    @property
    def kept_accounts(self) -> list[ProviderAccount]:
        """Those of the one who stays, and those of the other at providers where the first had none."""
        own = {each.provider_id for each in self.accounts if not self.moves(each)}
        return [each for each in self.accounts if not self.moves(each) or each.provider_id not in own]

    @property
    def closing_accounts(self) -> list[ProviderAccount]:
        """Open ones of the other, where the person who stays has one at the same provider."""
        kept = self.kept_accounts
        return [each for each in self.accounts if each.must_be_active and each not in kept]

    @property
    def fingerprint(self) -> str:
        """The same as long as it would do the same."""
        fates = [(fate.stays.pk, fate.stays.state, fate.ends and fate.ends.pk, fate.why.value) for fate in self.fates]
        doubles = [(double.stays.pk, double.stays.state, double.goes.pk) for double in self.doubles]
        closing = [each.pk for each in self.closing_accounts]
        facts = (self.keep.pk, self.other.pk, fates, [fate.place for fate in self.fates], doubles, closing)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _fate(open_there: Sequence[Enrollment]) -> Fate:
    """A seat before a held one before a turn in line; then the one that stands before the other."""
    first, *others = sorted(open_there, key=lambda each: (_standing(each), each.priority, each.applied_at, each.pk))
    return Fate(first, others[0] if others else None, _why(first, others))


def _standing(enrollment: Enrollment) -> int:
    return [State.SEATED, State.HELD, State.WAITING].index(State(enrollment.state)) + enrollment.passed_over


def _why(first: Enrollment, others: Sequence[Enrollment]) -> Why:
    if not others:
        return Why.ONLY
    if _standing(first) == _standing(others[0]):
        return Why.OLDER
    return {State.SEATED: Why.HAS_PLACE, State.HELD: Why.PLACE_HELD}.get(State(first.state), Why.IN_LINE)


def _standing_of_card(card: Card) -> tuple[int, int]:
    return [Card.State.CONFIRMED, Card.State.CLAIMED, Card.State.DISPUTED].index(Card.State(card.state)), card.pk


def older(applications: Iterable[Enrollment], people: Sequence[User]) -> User:
    """Whose claim is the older one: of the open applications, else of all; without any, who came first."""
    first = min(applications, key=lambda each: (each.state == State.ENDED, each.applied_at, each.pk), default=None)
    owner = next((each for each in people if first is not None and each.pk == first.user_id), None)
    return owner or min(people, key=lambda each: (each.date_joined, each.pk))


def whose_now(user_id: int) -> int:
    """Whose it is by now what somebody had: theirs, or of whoever their account was put together with; that is told by
    the applications they made, and where there was none, by the event of the merge. With one query, where the account
    is not closed."""
    seen: set[int] = set()
    while user_id not in seen and User.objects.filter(pk=user_id, is_active=False).exists():
        seen.add(user_id)
        applied = Event.objects.filter(kind=Event.Kind.APPLIED, actor_id=user_id).values("enrollment_id")
        made = Enrollment.objects.filter(pk__in=applied).exclude(user_id=user_id)
        merged = Event.objects.filter(kind=Event.Kind.MERGED, enrollment_id=None, old_value=user_id)
        user_id = (
            made.values_list("user_id", flat=True).first()
            or merged.values_list("new_value", flat=True).first()
            or user_id
        )
    return user_id
