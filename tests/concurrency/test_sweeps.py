"""Two schedulers, or a sweep that takes longer than the time until the next: everybody is told once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet

from enrollment import card_checking, reminding, renewing, scarcity
from enrollment.models import Enrollment, Letter, SeatPool
from enrollment.models.letter import LetterQuerySet
from tests.concurrency.conftest import Together
from tests.factories import NOW, make_coordinator, make_librarian, make_library, make_member, make_programme

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

SEATS = 3
Sweep = tuple[Callable[[], int], str, int]


def nearly_over() -> Sweep:
    """Three places end within days."""
    programme, lin = make_programme(cap=SEATS), make_librarian()
    for number in range(SEATS):
        member = make_member(f"member{number}@example.test", programme=programme, now=NOW)
        card_checking.confirm(card_id=member.card_id, by=lin, now=NOW)
    ends_at = Enrollment.objects.values_list("ends_at", flat=True)[0]
    assert ends_at is not None
    return partial(renewing.announce_ends, now=ends_at - timedelta(days=3)), Letter.Kind.TERM_ENDS_SOON, SEATS


def holds_ending() -> Sweep:
    """One librarian has to look at a card."""
    make_librarian()
    make_member(programme=make_programme(), now=NOW)
    return partial(reminding.remind_libraries, now=NOW + timedelta(days=10)), Letter.Kind.HOLDS_ENDING, 1


def all_taken() -> Sweep:
    """One coordinator has to hear of it."""
    make_coordinator()
    SeatPool.objects.filter(pk=make_programme().pool.pk).update(taken=10)
    return partial(scarcity.announce_scarcity, now=NOW), Letter.Kind.PLACES_SCARCE, 1


@pytest.fixture(params=[nearly_over, holds_ending, all_taken], ids=lambda scene: scene.__name__)
def sweep(request: pytest.FixtureRequest) -> Sweep:
    make_library()
    scene: Sweep = request.param()
    return scene


@pytest.fixture(autouse=True)
def slowly(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the scene is made: between reading who does not know yet and writing the letters, there is time for another
    sweep."""
    owe_each, owe_to_staff = LetterQuerySet.owe_each, LetterQuerySet.owe_to_staff

    def owe_later(letters: LetterQuerySet, kind: str, enrollments: Iterable[Enrollment], **more: Any) -> None:
        rows = list(enrollments)
        time.sleep(1)
        owe_each(letters, kind, rows, **more)

    def owe_to_staff_later(letters: LetterQuerySet, *told: Any, **more: Any) -> None:
        time.sleep(1)
        owe_to_staff(letters, *told, **more)

    monkeypatch.setattr(LetterQuerySet, "owe_each", owe_later)
    monkeypatch.setattr(LetterQuerySet, "owe_to_staff", owe_to_staff_later)


def told(together: Together, sweep: Callable[[], int], kind: str) -> int:
    answers = together([sweep] * 8)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    return Letter.objects.filter(kind=kind).count()


def test_sweeps_at_once_tell_each_once(sweep: Sweep, together: Together) -> None:
    step, kind, letters = sweep
    assert told(together, step, kind) == letters


def test_without_the_locks_the_same_sweeps_tell_it_again(
    sweep: Sweep, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail."""
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    step, kind, letters = sweep
    assert told(together, step, kind) > letters
