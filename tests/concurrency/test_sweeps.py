"""Two schedulers, or a sweep that takes longer than the time until the next: everybody is told once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet

from enrollment import card_checking, renewing
from enrollment.models import Enrollment, Letter
from enrollment.models.letter import LetterQuerySet
from tests.concurrency.conftest import Together
from tests.factories import NOW, make_librarian, make_library, make_member, make_programme

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

SEATS = 3


@pytest.fixture
def nearly_over() -> datetime:
    make_library()
    programme, lin = make_programme(cap=SEATS), make_librarian()
    for number in range(SEATS):
        member = make_member(f"member{number}@example.test", programme=programme, now=NOW)
        card_checking.confirm(card_id=member.card_id, by=lin, now=NOW)
    ends_at = Enrollment.objects.values_list("ends_at", flat=True)[0]
    assert ends_at is not None
    return ends_at - timedelta(days=3)


@pytest.fixture(autouse=True)
def slowly(nearly_over: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading who does not know yet and writing the letters there is time for another sweep."""
    owe_each = LetterQuerySet.owe_each

    def owe_later(letters: LetterQuerySet, kind: str, enrollments: Iterable[Enrollment], **more: Any) -> None:
        rows = list(enrollments)
        time.sleep(1)
        owe_each(letters, kind, rows, **more)

    monkeypatch.setattr(LetterQuerySet, "owe_each", owe_later)


def announced(together: Together, now: datetime) -> int:
    answers = together([partial(renewing.announce_ends, now=now)] * 8)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    return Letter.objects.filter(kind=Letter.Kind.TERM_ENDS_SOON).count()


def test_sweeps_at_once_announce_each_end_once(nearly_over: datetime, together: Together) -> None:
    assert announced(together, nearly_over) == SEATS


def test_without_the_locks_the_same_sweeps_announce_it_again(
    nearly_over: datetime, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail."""
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    assert announced(together, nearly_over) > SEATS
