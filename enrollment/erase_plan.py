"""Whose data one person's wish is about, and what erasing them ends: to be shown, and to be done."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db import models
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from enrollment.models import Enrollment, Event, ProviderAccount
from libraries import identities, scoping
from libraries.models import Card, User

M = TypeVar("M", bound=Model)


class Obstacle(models.TextChoices):
    STAFF = (
        "staff",
        _("This account is used for work at the libraries. An operator has to take its roles away first."),
    )
    NOT_YOURS = "not_yours", _("This belongs to another institution.")
    ELSEWHERE = (
        "elsewhere",
        _("This person also has an application at another institution: a coordinator has to do this."),
    )
    UNKNOWN = "unknown", _("This account is closed, or is not there any more.")


@dataclass(frozen=True)
class Plan:
    """`people`: the person, and accounts of theirs that were put together with this one; all else is of all of them.
    `ending`: their open applications."""

    user: User
    people: Sequence[User]
    cards: Sequence[Card]
    enrollments: Sequence[Enrollment]
    accounts: Sequence[ProviderAccount]

    @property
    def ending(self) -> list[Enrollment]:
        return [each for each in self.enrollments if each.state != Enrollment.State.ENDED]

    @property
    def fingerprint(self) -> str:
        """The same as long as it would do the same."""
        ending = [(each.pk, each.state, each.card_id, each.next_card_id) for each in self.ending]
        rest = ([each.pk for each in rows] for rows in (self.people, self.cards, self.enrollments, self.accounts))
        return hashlib.sha256(repr((ending, *rest)).encode()).hexdigest()[:16]

    def obstacle(self, by: User | None) -> Obstacle | None:
        """`by` None: a list of erasures says so."""
        if any(identities.is_staff(each) for each in self.people):
            return Obstacle.STAFF
        if by is None or by.pk == self.user.pk:
            return None
        counted = {each.share.institution_id for each in self.enrollments}
        decided = {pk for pk in counted if scoping.may_decide_on(by, pk)}
        if not decided:
            return Obstacle.NOT_YOURS
        return None if {each.share.institution_id for each in self.ending} <= decided else Obstacle.ELSEWHERE


def people_of(user_id: int) -> set[int]:
    """Theirs, and of the accounts that were put together with it: who applied is told by each application, and where
    there was none, by the event of the merge."""
    found, new = {user_id}, {user_id}
    while new:
        applied = Event.objects.filter(
            kind=Event.Kind.APPLIED,
            enrollment_id__in=Enrollment.objects.filter(user_id__in=new).values("pk"),
            actor_id__isnull=False,
        )
        merged = Event.objects.filter(
            kind=Event.Kind.MERGED, enrollment_id=None, new_value__in=new, old_value__isnull=False
        )
        known = set(applied.values_list("actor_id", flat=True)) | set(merged.values_list("old_value", flat=True))
        closed = User.objects.filter(pk__in=known - found, is_active=False)
        new = set(closed.values_list("pk", flat=True))
        found |= new
    return found


def plan_for(user_id: int, ids: Collection[int], *, locked: bool) -> Plan | None:
    """Cards, people, enrollments, accounts: read, or locked, in this order, each by id. None where nobody is there."""
    cards = _by_id(Card.objects.filter(user_id__in=ids).select_related("library"), locked)
    people = {each.pk: each for each in _by_id(User.objects.filter(pk__in=ids), locked)}
    rows = Enrollment.objects.filter(user_id__in=ids).select_related("share", "pool__programme")
    accounts = ProviderAccount.objects.filter(user_id__in=ids).select_related("provider")
    if user_id not in people:
        return None
    return Plan(people[user_id], list(people.values()), cards, _by_id(rows, locked), _by_id(accounts, locked))


def open_numbers(ids: Iterable[int]) -> set[tuple[int, str]]:
    found = Card.objects.filter(user_id__in=ids, state__in=Card.OPEN)
    return set(found.values_list("institution_id", "number"))


def open_pools(ids: Iterable[int]) -> set[int]:
    return set(Enrollment.objects.open().filter(Q(user_id__in=ids)).values_list("pool_id", flat=True))


def _by_id(rows: QuerySet[M], locked: bool) -> list[M]:
    return list((rows.select_for_update(no_key=True, of=("self",)) if locked else rows).order_by("pk"))
