"""Few card numbers, several programmes, two providers, many accounts of few people: whatever happens before and after,
merging leaves everything in agreement and nobody behind more people than before."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from django.db.models import Exists, F, OuterRef, Q

from enrollment import applying, asking, card_checking, ending, merging, prioritizing, waiting_list
from enrollment.models import Enrollment, ProviderAccount
from enrollment.reports.audit import audit
from libraries import guessing
from libraries.models import Card, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_library,
    make_member,
    make_programme,
    make_provider,
)

STEPS = 60


class Days:
    """What may happen, each drawn from the same chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.now, self.mo = chance, NOW, make_coordinator()
        self.libraries = [make_library(slug, make_institution(slug)) for slug in ("antwerpen", "halle")]
        elsewhere = make_provider("other")
        self.programmes = [make_programme("first", cap=3), make_programme("second", cap=2)]
        self.programmes += [make_programme("third", cap=2, provider=elsewhere)]

    def any_open(self) -> Enrollment | None:
        found = list(Enrollment.objects.open().select_related("user").order_by("pk"))
        return self.chance.choice(found) if found else None

    def apply(self) -> None:
        email, number = f"{self.chance.randint(0, 9)}@example.test", f"2100000{self.chance.randint(0, 4)}"
        programme, library = self.chance.choice(self.programmes), self.chance.choice(self.libraries)
        with suppress(applying.Ineligible):
            make_member(email, programme=programme, library=library, number=number, now=self.now)

    def confirm(self) -> None:
        if row := self.any_open():
            with suppress(card_checking.CannotDecide):
                card_checking.confirm(card_id=row.card_id, by=self.mo, now=self.now)

    def refuse(self) -> None:
        if row := self.any_open():
            with suppress(card_checking.CannotDecide):
                card_checking.refuse(card_id=row.card_id, reason=Card.Refusal.UNKNOWN, by=self.mo, now=self.now)

    def give_back(self) -> None:
        if row := self.any_open():
            ending.give_back(enrollment_id=row.pk, by=row.user, now=self.now)

    def give_priority(self) -> None:
        if row := self.any_open():
            told = {"enrollment_id": row.pk, "words": "So", "by": self.mo, "now": self.now}
            with suppress(prioritizing.CannotGive):
                prioritizing.give(reason=prioritizing.Reason.ANOTHER, **told)  # type: ignore[arg-type]

    def let_time_pass(self) -> None:
        self.now += timedelta(days=self.chance.choice([1, 15]))
        waiting_list.lapse_holds(now=self.now)

    def merge(self) -> None:
        people = list(User.objects.filter(is_active=True, is_staff=False).order_by("pk"))
        if len(people) < 2:
            return
        keep, other = self.chance.sample(people, 2)
        before = ahead_of_each({keep.pk, other.pk})
        merging.merge(keep_user_id=keep.pk, other_user_id=other.pk, words="The same", by=self.mo, now=self.now)
        after = ahead_of_each({keep.pk, other.pk})
        assert {pk: ahead for pk, ahead in after.items() if ahead > before.get(pk, 0)} == {}
        assert not other.enrollments.exists()
        assert not other.cards.exists()


def ahead_of_each(two: set[int]) -> dict[int, int]:
    """Of everybody else who waits: how many were first, those who are passed over too."""
    rows = list(Enrollment.objects.waiting())

    def turn(row: Enrollment) -> tuple[int, datetime, int]:
        return row.priority, row.applied_at, row.pk

    return {
        row.pk: sum(each.pool_id == row.pool_id and turn(each) < turn(row) for each in rows)
        for row in rows
        if row.user_id not in two
    }


def check(now: datetime) -> None:
    findings = audit(now=now, unanswered_days=100_000)
    late = {"holds_end"}  # the sweep comes when time passes
    assert [(each.check.name, each.rows) for each in findings if not each.holds and each.check.name not in late] == []
    same_number = Q(institution_id=OuterRef("institution_id"), number=OuterRef("number"))
    unproved = Card.objects.filter(state__in=[Card.State.CLAIMED, Card.State.DISPUTED])
    broken = {
        "application with a card of somebody else": Enrollment.objects.exclude(card__user=F("user")),
        "open account of nobody": ProviderAccount.objects.filter(must_be_active=True, user__is_active=False),
        "unproved card that carries nothing": unproved.exclude(enrollments__in=Enrollment.objects.open()),
        "dispute about nothing": Card.objects.filter(
            ~Exists(Card.objects.living().filter(same_number)), state="disputed"
        ),
        "passed over for no reason": Enrollment.objects.waiting().filter(
            passed_over=True, card__state__in=Card.LIVING, hold_lapsed_at=None
        ),
    }
    assert [what for what, rows in broken.items() if rows.exists()] == []


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(8))
def test_merging_leaves_everything_in_agreement(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "MOST", {})
    monkeypatch.setattr(asking, "ANSWERS_PER_ADDRESS", 10_000)
    days = Days(random.Random(seed))
    rare = [days.confirm, days.refuse, days.give_back, days.give_priority, days.let_time_pass]
    happenings: list[Callable[[], None]] = [*[days.apply] * 6, *rare, days.merge, days.merge]
    for _ in range(STEPS):
        days.now += timedelta(minutes=days.chance.randint(0, 2))
        days.chance.choice(happenings)()
        check(days.now)
