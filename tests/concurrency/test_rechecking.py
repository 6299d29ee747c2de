"""Several workers at once: each card is asked about once, and a system is asked by one of them at a time."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from threading import Lock

import pytest
from django.db.models import QuerySet

from enrollment import rechecking
from libraries.models import Card, LibrarySystem
from tests.card_systems import AnsweringSystem, answer_in_place_of
from tests.concurrency.conftest import Together
from tests.factories import NOW, make_library, make_programme, make_system
from tests.rechecks import make_proved

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

WORKERS, CARDS = 4, 12
DUE = NOW + timedelta(days=30)


class Counting:
    """How many questions were open at once at most."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = Lock()

    def __call__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        with self._lock:
            self.now -= 1


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    make_system(make_library().institution)
    make_proved(CARDS, library=make_library(), pool=make_programme(cap=0).pool)
    system = answer_in_place_of("sip2", monkeypatch)
    system.while_asking = Counting()
    return system


def ask_together(together: Together) -> list[object]:
    return together([partial(rechecking.recheck_next, now=lambda: DUE)] * WORKERS)


def test_each_card_is_asked_about_once_by_one_worker(system: AnsweringSystem, together: Together) -> None:
    assert sorted(map(str, ask_together(together))) == ["False", "False", "False", "True"]
    assert sorted(system.looked_up) == sorted(Card.objects.values_list("number", flat=True))
    assert isinstance(system.while_asking, Counting)
    assert system.while_asking.most == 1


def test_without_the_claim_they_would_all_ask(
    system: AnsweringSystem, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "libraries.rechecking.claim", lambda **_: LibrarySystem.objects.select_related("institution").get()
    )
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    ask_together(together)
    assert len(system.looked_up) > CARDS
