"""A library system that is broken takes no card from anybody: nothing is believed while unusually many turn bad."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from catalog.models import Programme
from enrollment import drafts, rechecking
from enrollment.models import Event, Letter, Share
from libraries import fuse
from libraries.cards.checks import Answer, Outcome
from libraries.models import Card, Doubt, Library, LibrarySystem, StaffRole, User
from tests.card_systems import AnsweringSystem, answer_in_place_of
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_programme,
    make_staff,
    make_system,
)
from tests.letters import check_complete
from tests.rechecks import Clock, earlier, make_proved

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
UNKNOWN = Answer(Outcome.UNKNOWN)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    make_system(checks_per_minute=600)
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def library(system: AnsweringSystem) -> Library:
    return make_library()


@pytest.fixture
def programme(library: Library) -> Programme:
    return make_programme(cap=0)


@pytest.fixture
def una() -> User:
    return make_staff("una@example.test", StaffRole.Role.OPERATOR, language="en")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW + 30 * DAY)


def make_cards(count: int, library: Library, programme: Programme, system: AnsweringSystem, *, bad: int) -> list[Card]:
    cards = make_proved(count, library=library, pool=programme.pool)
    system.answers |= {card.number: UNKNOWN for card in cards[:bad]}
    return cards


def lapsed() -> int:
    return Card.objects.exclude(state=Card.State.CONFIRMED).count()


def row() -> LibrarySystem:
    return LibrarySystem.objects.get()


def go_on(by: User, clock: Clock, *, believe: bool) -> bool:
    return rechecking.go_on(system_id=row().pk, believe=believe, by=by, now=clock())


# --- What is unusual ---


@pytest.mark.parametrize(
    ("bad", "of", "unusual"),
    [
        (9, 11, True),  # few, but most of them
        (9, 12, False),
        (10, 100, False),
        (11, 100, True),
        (10, 99, True),
        (9, 80, False),
        (100, 1000, False),
        (101, 1000, True),
        (2, 2, False),
        (3, 3, True),
        (3, 4, False),
        (0, 0, False),
    ],
)
def test_both_the_number_and_the_share_must_be_unusual(bad: int, of: int, unusual: bool) -> None:
    assert fuse.is_unusual(bad=bad, of=of) == unusual


# --- It blows ---


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.BLOCKED, Outcome.EXPIRED])
def test_system_that_says_it_of_all_of_1000_cards_lapses_none(
    outcome: Outcome, library: Library, programme: Programme, system: AnsweringSystem, una: User, clock: Clock
) -> None:
    make_proved(1000, library=library, pool=programme.pool)
    system.otherwise = Answer(outcome)
    clock.go_by(3 * DAY)
    assert lapsed() == 0
    assert row().rechecks_stopped_at == NOW + 30 * DAY
    assert len(system.looked_up) == 150  # one batch; then nothing is asked any more
    assert not Letter.objects.filter(enrollment__isnull=False).exists()


def test_without_the_fuse_all_of_them_would_lapse(
    library: Library,
    programme: Programme,
    system: AnsweringSystem,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fuse, "is_unusual", lambda **_: False)
    make_cards(20, library, programme, system, bad=20)
    clock.settle()
    assert lapsed() == 20


def test_without_the_second_question_the_first_ones_would_lapse_before_the_fuse_blows(
    library: Library,
    programme: Programme,
    system: AnsweringSystem,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("libraries.rechecking.ASKED_AGAIN_AFTER", timedelta())
    LibrarySystem.objects.update(checks_per_minute=4)  # one card at a time
    make_cards(5, library, programme, system, bad=5)
    clock.go_by(timedelta(hours=1), step=timedelta(minutes=1))
    assert (lapsed(), row().rechecks_stopped_at is not None) == (2, True)


def test_slow_trickle_of_a_broken_system_lapses_none(
    library: Library, programme: Programme, system: AnsweringSystem, clock: Clock
) -> None:
    """Six a day: the first bad ones wait for their second question until the others have told."""
    for day in range(4):
        cards = make_proved(6, library=library, pool=programme.pool)
        for card in cards:
            decided_at = NOW + day * DAY + earlier(card.pk)
            Card.objects.filter(pk=card.pk).update(decided_at=decided_at, claimed_at=NOW)
    clock.go_by(DAY)
    system.otherwise = UNKNOWN
    clock.go_by(5 * DAY)
    assert (lapsed(), row().rechecks_stopped_at is not None) == (0, True)


def test_usual_share_lapses_and_does_not_stop(
    library: Library, programme: Programme, system: AnsweringSystem, clock: Clock
) -> None:
    make_cards(150, library, programme, system, bad=15)
    clock.settle()
    assert (lapsed(), row().rechecks_stopped_at) == (15, None)
    assert Doubt.objects.filter(believed_at=None).count() == 0


def test_one_more_stops_it_before_any_of_them_lapses(
    library: Library, programme: Programme, system: AnsweringSystem, clock: Clock
) -> None:
    make_cards(150, library, programme, system, bad=16)
    clock.settle()
    assert (lapsed(), row().rechecks_stopped_at is not None) == (0, True)


def test_what_has_lapsed_lately_counts_too(
    library: Library, programme: Programme, system: AnsweringSystem, clock: Clock
) -> None:
    make_cards(150, library, programme, system, bad=15)
    clock.settle()
    more = make_proved(1, library=library, pool=programme.pool)
    system.answers[more[0].number] = UNKNOWN
    clock.settle()
    assert (lapsed(), row().rechecks_stopped_at is not None) == (15, True)


def test_another_institution_goes_on(
    library: Library, programme: Programme, system: AnsweringSystem, clock: Clock
) -> None:
    krook = make_library("Krook", make_institution("gent"))
    make_system(krook.institution)
    Share.objects.create(pool=programme.pool, institution=krook.institution)
    make_cards(20, library, programme, system, bad=20)
    make_cards(5, krook, programme, system, bad=1)
    clock.settle()
    assert list(Card.objects.exclude(state="confirmed").values_list("institution__slug", flat=True)) == ["gent"]


def test_it_is_recorded_and_told_to_operators(
    library: Library, programme: Programme, system: AnsweringSystem, una: User, clock: Clock
) -> None:
    make_coordinator()
    make_cards(40, library, programme, system, bad=30)
    clock.settle()
    event = Event.objects.get(kind=Event.Kind.RECHECKS_STOPPED)
    assert (event.institution_id, event.old_value, event.new_value) == (library.institution_id, 40, 30)
    letter = Letter.objects.get(kind=Letter.Kind.RECHECKS_STOPPED)
    assert (letter.user_id, letter.institution_id) == (una.pk, library.institution_id)


def test_coordinators_are_told_where_there_is_no_operator(
    library: Library, programme: Programme, system: AnsweringSystem, clock: Clock
) -> None:
    mo = make_coordinator()
    make_cards(20, library, programme, system, bad=20)
    clock.settle()
    assert list(Letter.objects.values_list("kind", "user_id")) == [("rechecks_stopped", mo.pk)]


@pytest.mark.parametrize("language", ["en", "nl", "fr"])
def test_letter_says_what_there_is_to_do(
    language: str, library: Library, programme: Programme, system: AnsweringSystem, una: User, clock: Clock
) -> None:
    make_cards(40, library, programme, system, bad=30)
    clock.settle()
    page = f"admin/libraries/rechecking/{row().pk}/change"
    text = check_complete(Letter.objects.get(), language, page=page)
    if language == "en":
        assert "asked again about 40 cards that had been proved, and said of 30 that they are no longer good" in text


def test_letter_is_not_sent_once_it_goes_on(
    library: Library, programme: Programme, system: AnsweringSystem, una: User, clock: Clock
) -> None:
    make_cards(20, library, programme, system, bad=20)
    clock.settle()
    go_on(una, clock, believe=False)
    assert drafts.compose(Letter.objects.get()) is None


# --- An operator lets it go on ---


@pytest.fixture
def stopped(
    library: Library, programme: Programme, system: AnsweringSystem, una: User, clock: Clock
) -> AnsweringSystem:
    make_cards(40, library, programme, system, bad=30)
    clock.settle()
    assert row().rechecks_stopped_at is not None
    return system


def test_forgotten_answers_are_asked_for_anew(stopped: AnsweringSystem, una: User, clock: Clock) -> None:
    stopped.answers.clear()
    assert go_on(una, clock, believe=False)
    assert Doubt.objects.count() == 0
    clock.settle()
    assert (lapsed(), row().rechecks_stopped_at) == (0, None)
    assert Card.objects.filter(found_good_at__isnull=False).count() == 40


def test_system_that_is_still_broken_stops_it_again(stopped: AnsweringSystem, una: User, clock: Clock) -> None:
    go_on(una, clock, believe=False)
    clock.settle()
    assert (lapsed(), row().rechecks_stopped_at is not None) == (0, True)
    assert Letter.objects.filter(kind=Letter.Kind.RECHECKS_STOPPED).count() == 2


def test_answers_that_an_operator_believes_count_after_their_second_question(
    stopped: AnsweringSystem, una: User, clock: Clock
) -> None:
    assert go_on(una, clock, believe=True)
    clock.settle()
    assert (lapsed(), row().rechecks_stopped_at) == (30, None)


def test_fuse_holds_again_a_day_after(
    stopped: AnsweringSystem, una: User, clock: Clock, library: Library, programme: Programme
) -> None:
    go_on(una, clock, believe=True)
    clock.go_by(DAY)
    more = make_proved(3, library=library, pool=programme.pool)
    stopped.answers |= {card.number: UNKNOWN for card in more}
    clock.settle()
    assert (lapsed(), row().rechecks_stopped_at is not None) == (30, True)


@pytest.mark.parametrize(("believe", "reason"), [(True, "doubts_believed"), (False, "doubts_forgotten")])
def test_letting_it_go_on_is_recorded_once(
    believe: bool, reason: str, stopped: AnsweringSystem, una: User, clock: Clock
) -> None:
    assert [go_on(una, clock, believe=believe) for _ in range(2)] == [True, False]
    found: list[Any] = list(
        Event.objects.filter(kind=Event.Kind.RECHECKS_RESUMED).values_list("actor_id", "institution_id", "reason")
    )
    assert found == [(una.pk, row().institution_id, reason)]


def test_only_operators_let_it_go_on(stopped: AnsweringSystem, clock: Clock, library: Library) -> None:
    for someone in (make_librarian(library.institution), make_coordinator()):
        with pytest.raises(rechecking.NotYours):
            go_on(someone, clock, believe=True)
    assert row().rechecks_stopped_at is not None
