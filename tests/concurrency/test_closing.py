"""A programme that ends, while sweeps run and librarians decide."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from threading import Event as Signal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import QuerySet

from enrollment import card_checking, closing
from enrollment.models import Enrollment, Event, Letter, SeatPool
from enrollment.models.letter import LetterQuerySet
from enrollment.models.seat_pool import SeatPoolManager
from libraries.models import User
from tests.concurrency.conftest import Together
from tests.factories import NOW, make_coordinator, make_librarian, make_library, make_member, make_programme

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

WAITING = 3
TODAY = NOW.date()


@pytest.fixture
def mo() -> User:
    make_library()
    return make_coordinator()


def close(mo: User, plan: closing.Plan) -> None:
    closing.close(pool_id=SeatPool.objects.get().pk, plan=plan, reason="The contract ends", by=mo, now=NOW)


def failures(answers: list[Any]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, Exception)]


# --- Sweeps at once ---


def ended_by_sweeps(mo: User, together: Together, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often somebody was told; between ending and telling there is time for another sweep."""
    programme = make_programme(cap=0)
    for number in range(WAITING):
        make_member(f"member{number}@example.test", programme=programme, now=NOW)
    close(mo, closing.Plan(closes_on=TODAY))
    owe_each = LetterQuerySet.owe_each

    def owe_later(letters: LetterQuerySet, kind: str, enrollments: Iterable[Enrollment], **more: Any) -> None:
        time.sleep(0.2)
        owe_each(letters, kind, enrollments, **more)

    monkeypatch.setattr(LetterQuerySet, "owe_each", owe_later)
    assert failures(together([partial(closing.end_waiting, now=NOW)] * 4)) == []
    assert Enrollment.objects.open().count() == 0
    assert Event.objects.filter(kind="withdrawn").count() == Letter.objects.filter(kind="seat_ended").count()
    return Letter.objects.filter(kind="seat_ended").count()


def test_sweeps_at_once_end_each_application_once(
    mo: User, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ended_by_sweeps(mo, together, monkeypatch) == WAITING


def test_without_the_locks_the_same_sweeps_end_it_again(
    mo: User, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail."""
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    assert ended_by_sweeps(mo, together, monkeypatch) > WAITING


# --- A card confirmed while it is decided ---


def end_of_seat_confirmed_meanwhile(mo: User, together: Together) -> datetime | None:
    ada = make_member(programme=make_programme(), now=NOW)
    lin, decided = make_librarian(), Signal()

    def decide() -> None:
        with transaction.atomic():
            close(mo, closing.Plan(closes_on=TODAY, seats_end_on=TODAY))
            decided.set()
            time.sleep(1)  # the librarian waits for the lock

    def confirm() -> None:
        decided.wait(timeout=60)
        card_checking.confirm(card_id=ada.card_id, by=lin, now=NOW)

    assert failures(together([decide, confirm])) == []
    ada.refresh_from_db()
    assert ada.state == Enrollment.State.SEATED
    return ada.ends_at


def test_seat_given_after_waiting_for_the_decision_ends_with_the_programme(mo: User, together: Together) -> None:
    assert end_of_seat_confirmed_meanwhile(mo, together) == SeatPool.objects.get().programme.seats_end_at


def test_without_the_programmes_lock_the_same_seat_lasts_beyond_it(
    mo: User, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail."""

    def lock_the_pool_alone(manager: SeatPoolManager, pk: int) -> SeatPool:
        return manager.select_related("programme").select_for_update(no_key=True, of=("self",)).get(pk=pk)

    monkeypatch.setattr(SeatPoolManager, "lock", lock_the_pool_alone)
    assert end_of_seat_confirmed_meanwhile(mo, together) != SeatPool.objects.get().programme.seats_end_at
