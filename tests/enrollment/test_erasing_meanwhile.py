"""A person is erased while a library system is asked about their card: whatever it says comes too late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from catalog.models import Programme
from enrollment import applying, asking_again, erasing, moving, rechecking
from enrollment.eligibility import Reason
from enrollment.models import Enrollment
from libraries.cards.checks import Answer, Outcome
from libraries.models import Card, Library, User
from tests import merges
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.erasures import erasures
from tests.factories import (
    ADDRESS,
    make_application,
    make_institution,
    make_library,
    make_member,
    make_programme,
    make_system,
    make_user,
)

__all__ = ["erasures"]
pytestmark = pytest.mark.django_db

NUMBER = "21000001"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def library(system: AnsweringSystem) -> Library:
    return make_library("Kortrijk", make_system(make_institution("kortrijk")).institution)


@pytest.fixture
def programme(library: Library) -> Programme:
    return make_programme()


def erase(user: User) -> Callable[[], None]:
    """At once, as if the letter had left long ago."""

    def now() -> None:
        erasure = erasing.ask(user_id=user.pk, by=user, now=timezone.now())
        erasing.write_down(erasure, now=timezone.now())
        erasing.erase_here(erasure_id=erasure.pk, now=timezone.now())

    return now


def check(user: User) -> None:
    user.refresh_from_db()
    assert (user.email, user.full_name) == (f"erased-{user.pk}@invalid", "")
    cards = Card.objects.filter(user=user)
    assert {(card.state, card.number) for card in cards} <= {("lapsed", f"ERASED{card.pk}") for card in cards}
    assert not Enrollment.objects.open().filter(user=user).exists()
    merges.check()


def test_who_applies_is_told_that_the_account_is_closed(
    programme: Programme, library: Library, system: AnsweringSystem, erasures: Path
) -> None:
    user = make_user()
    system.while_asking = erase(user)
    told = make_application(library, NUMBER, pin=PIN)
    with pytest.raises(applying.Ineligible) as caught:
        applying.apply(user=user, pool=programme.pool, application=told, address=ADDRESS, now=timezone.now())
    assert list(caught.value.reasons) == [Reason.ACCOUNT_CLOSED]
    check(user)


def test_who_gives_another_card_has_nothing_left_to_change(
    programme: Programme, library: Library, system: AnsweringSystem, erasures: Path
) -> None:
    ada = make_member(programme=programme, library=library, number=NUMBER, pin=PIN)
    system.while_asking = erase(ada.user)
    told = moving.NewCard(library=library, number="21000002", pin=PIN)
    with pytest.raises(moving.CannotMove):
        moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=timezone.now())
    check(ada.user)


@pytest.mark.parametrize("answer", [Answer(Outcome.UNKNOWN), Answer(Outcome.CONFIRMED, date(2030, 1, 1))])
def test_proved_card_that_is_asked_about_again_stays_erased(
    answer: Answer, programme: Programme, library: Library, system: AnsweringSystem, erasures: Path
) -> None:
    ada = make_member(programme=programme, library=library, number=NUMBER, pin=PIN)
    later = timezone.now() + timedelta(days=40)
    system.answers[NUMBER] = answer
    system.while_asking = erase(ada.user)
    assert rechecking.recheck_next(now=lambda: later)
    assert system.looked_up == [NUMBER]
    check(ada.user)


def test_card_to_which_no_answer_came_is_not_asked_about_any_more(
    programme: Programme, library: Library, system: AnsweringSystem, erasures: Path
) -> None:
    system.answers[NUMBER] = Answer(Outcome.NO_ANSWER)
    ada = make_member(programme=programme, library=library, number=NUMBER, pin=PIN)
    system.answers.clear()
    system.while_asking = erase(ada.user)
    assert asking_again.ask_again(now=timezone.now()) == 0
    check(ada.user)
    assert Card.objects.get(user=ada.user).unanswered_since is None
