"""Proved cards asked about again over real sockets, with the sandbox's library system as the other side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from catalog.models import Programme
from libraries.cards import sip2_pool
from libraries.models import Card, Doubt, LibrarySystem
from tests.factories import NOW, make_library, make_programme, make_system
from tests.library_server import INSTITUTION, LOCATION, USER, Condition, Kind, RunningLibrary, a_card, library
from tests.rechecks import Clock, make_proved

pytestmark = pytest.mark.django_db

__all__ = ["library"]


@pytest.fixture
def programme(library: RunningLibrary) -> Iterator[Programme]:
    make_system(
        make_library().institution,
        port=library.port,
        encoding="utf-8",
        institution_code=INSTITUTION,
        location=LOCATION,
        login=USER,
        secret_name="SANDBOX_LIBRARY_PASSWORD",
    )
    yield make_programme(cap=0)
    sip2_pool.close_all()


def prove(programme: Programme, *numbers: str) -> None:
    cards = make_proved(len(numbers), library=make_library(), pool=programme.pool)
    for card, number in zip(cards, numbers, strict=True):
        Card.objects.filter(pk=card.pk).update(number=number)


def test_good_cards_are_found_good_without_a_pin_and_bad_ones_are_doubted(
    programme: Programme, library: RunningLibrary
) -> None:
    good, blocked = a_card(), a_card(Condition.BLOCKED)
    prove(programme, good.number, blocked.number, "2999999999")
    Clock(NOW + timedelta(days=30)).go_by(timedelta(hours=1))
    assert list(Card.objects.filter(found_good_at__isnull=False).values_list("number", flat=True)) == [good.number]
    doubts = Doubt.objects.order_by("says").values_list("card__number", "says")
    assert list(doubts) == [(blocked.number, "blocked"), ("2999999999", "unknown")]
    assert (library.questions("23"), library.questions("63")) == (0, 3)
    assert good.pin.encode() not in b"".join(library.heard)


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.GARBAGE])
def test_system_that_is_broken_lapses_nobody(kind: Kind, programme: Programme, library: RunningLibrary) -> None:
    prove(programme, a_card().number, a_card(Condition.BLOCKED).number)
    library.fault(kind)
    clock = Clock(NOW + timedelta(days=30))
    clock.settle()
    assert (Doubt.objects.count(), LibrarySystem.objects.get().unanswered_since) == (0, NOW + timedelta(days=30))
    assert Card.objects.filter(state=Card.State.CONFIRMED).count() == 2
